"""Photos of terminals: told apart by their bytes, and kept without what a camera adds (place, time, owner's name).

Nothing is decoded: of a JPEG, PNG or WebP file the parts that make the picture are copied, all others are left out. How
a JPEG is to be turned is the one thing that is kept of its EXIF. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
#: PNG: the chunks that make the picture; texts, times and EXIF are others.
_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"iCCP"})
_WEBP_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"ANIM", b"ANMF"})
_WEBP_EXTRAS = 0x0C  # VP8X flags: there is EXIF (8), there is XMP (4)
_ORIENTATION = 0x0112


class NoPhotoError(Exception):
    """It is no photo that is taken; the text says what is."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo without what a camera adds."""

    content_type: str
    content: bytes


def cleaned(content: bytes) -> Photo:
    """The photo in ``content``. Raises `NoPhotoError`."""
    try:
        if content.startswith(_JPEG):
            return Photo("image/jpeg", b"".join(_jpeg(content)))
        if content.startswith(_PNG):
            return Photo("image/png", _PNG + b"".join(_png(content)))
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            parts = b"".join(_webp(content))
            return Photo("image/webp", b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts)
    except (struct.error, IndexError):
        raise NoPhotoError("The photo is damaged: it ends in the middle.") from None
    raise NoPhotoError("This is no photo: send a JPEG, PNG or WebP file.")


def _jpeg(content: bytes) -> Iterator[bytes]:
    yield b"\xff\xd8"
    at, pictures, turned = 2, 0, 0
    while True:
        if content[at] != 0xFF:
            raise NoPhotoError("The photo is damaged: it is no JPEG inside.")
        marker = content[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        if marker == 0xD9:
            break
        (size,) = struct.unpack_from(">H", content, at + 2)
        end = at + 2 + size
        if size < 2 or end > len(content):
            raise NoPhotoError("The photo is damaged: it ends in the middle.")
        if marker == 0xE1 and not turned:
            turned = _orientation(content[at + 4 : end])
            if turned:
                yield _turned(turned)
        # APP0 (JFIF), APP2 (colour profile) and APP14 (Adobe's colours) belong to the picture; others do not.
        elif marker in {0xE0, 0xE2, 0xEE} or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            if marker == 0xE2 and not content.startswith(b"ICC_PROFILE\0", at + 4):
                at = end  # such as a second, larger picture, with an EXIF of its own
                continue
            yield content[at:end]
        at = end
        if marker == 0xDA:
            pictures += 1
            end = _scan_ends(content, at)
            yield content[at:end]
            at = end
    if not pictures:
        raise NoPhotoError("The photo is damaged: there is no picture in it.")
    yield b"\xff\xd9"  # what stands after the end is no part of the picture


def _scan_ends(content: bytes, at: int) -> int:
    """Where a JPEG scan's bytes end: before a marker that is neither a stuffed byte nor a restart."""
    while True:
        at = content.find(b"\xff", at)
        if at < 0 or at + 1 >= len(content):
            raise NoPhotoError("The photo is damaged: it ends in the middle.")
        if content[at + 1] == 0 or 0xD0 <= content[at + 1] <= 0xD7:
            at += 2
            continue
        return at


def _orientation(app1: bytes) -> int:
    """The EXIF orientation, 2 to 8; 0: upright, or not told in a way that can be read."""
    if not app1.startswith(b"Exif\0\0"):
        return 0
    tiff = app1[6:]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 0
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for n in range(min(entries, 100)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, directory + 2 + 12 * n)
            if tag == _ORIENTATION:
                return value if kind == 3 and 2 <= value <= 8 else 0
    except struct.error:
        return 0
    return 0


def _turned(orientation: int) -> bytes:
    """An EXIF segment that says nothing but how the picture is to be turned."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def _png(content: bytes) -> Iterator[bytes]:
    at, kind, pictures = len(_PNG), b"", 0
    while kind != b"IEND":
        size, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + size
        if end > len(content):
            raise NoPhotoError("The photo is damaged: it ends in the middle.")
        if kind in _PNG_CHUNKS:
            pictures += kind == b"IDAT"
            yield content[at:end]
        at = end
    if not pictures:
        raise NoPhotoError("The photo is damaged: there is no picture in it.")


def _webp(content: bytes) -> Iterator[bytes]:
    (size,) = struct.unpack_from("<I", content, 4)
    end, at, pictures = size + 8, 12, 0
    if end > len(content):
        raise NoPhotoError("The photo is damaged: it ends in the middle.")
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", content, at)
        stop = at + 8 + length + length % 2
        if at + 8 + length > end:
            raise NoPhotoError("The photo is damaged: it ends in the middle.")
        chunk = content[at:stop]
        if kind == b"VP8X" and length >= 1:
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_EXTRAS]) + chunk[9:]
        if kind in _WEBP_CHUNKS:
            pictures += kind in {b"VP8 ", b"VP8L", b"ANMF"}
            yield chunk
        at = stop
    if not pictures:
        raise NoPhotoError("The photo is damaged: there is no picture in it.")
