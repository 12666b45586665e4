"""Photos: told apart by their bytes, and without what a camera adds. The photos are made here, by Pillow."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from csms.terminals.photos import NoPhotoError, cleaned

SECRET = b"Somebody's phone"


def picture() -> Image.Image:
    made = Image.new("RGB", (40, 24), (200, 30, 30))
    made.paste((20, 60, 220), (0, 0, 20, 12))
    return made


def with_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = SECRET.decode()  # make
    exif.get_ifd(0x8825)[2] = (59.0, 54.0, 50.0)  # latitude
    return exif


def saved(kind: str, **more: Any) -> bytes:
    file = io.BytesIO()
    picture().save(file, kind, **more)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_keeps_its_picture_and_how_it_is_turned(orientation: int, progressive: bool) -> None:
    raw = saved("JPEG", exif=with_exif(orientation), progressive=progressive, comment=SECRET)
    assert SECRET in raw
    photo = cleaned(raw + b"after the end: " + SECRET)
    assert photo.content_type == "image/jpeg"
    assert SECRET not in photo.content
    before, after = opened(raw), opened(photo.content)
    assert after.tobytes() == before.tobytes()
    assert dict(after.getexif()) in ({0x0112: orientation}, {})
    assert ImageOps.exif_transpose(after).tobytes() == ImageOps.exif_transpose(before).tobytes()
    assert not after.getexif().get_ifd(0x8825)


def test_a_png_and_a_webp_keep_their_pictures() -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("Author", SECRET.decode())
    for kind, raw in (
        ("png", saved("PNG", exif=with_exif(), pnginfo=words)),
        ("webp", saved("WEBP", exif=with_exif(), lossless=True)),
        ("webp", saved("WEBP", quality=80)),
    ):
        photo = cleaned(raw)
        assert photo.content_type == f"image/{kind}"
        assert SECRET not in photo.content
        after = opened(photo.content)
        assert after.tobytes() == opened(raw).tobytes()
        assert not dict(after.getexif())


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"<svg onload=alert(1)>", b"%PDF-1.7", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"],
)
def test_what_is_no_photo_is_refused(content: bytes) -> None:
    with pytest.raises(NoPhotoError):
        cleaned(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_cut_off_anywhere_is_refused_or_still_one(kind: str) -> None:
    raw = saved(kind)
    refused = 0
    for length in range(len(raw)):
        try:
            cleaned(raw[:length])
        except NoPhotoError:
            refused += 1
    assert refused == len(raw)


@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.data())
def test_no_bytes_break_it(kind: str, data: st.DataObject) -> None:
    raw = bytearray(saved(kind, exif=with_exif(6)))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        photo = cleaned(bytes(raw))
    except NoPhotoError:
        return
    assert len(photo.content) <= len(raw) + struct.calcsize(">40x")
