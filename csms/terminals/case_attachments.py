"""Attachments of a case: photos and papers. What a file is, its bytes say; its name and its sender's word do not."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator

from billing.pan import contains_pan
from csms.stations.file_store import TooLarge

AT_MOST = 50  # attachments of one case
_HEAD = 16

JPEG, PNG, WEBP, PDF, TEXT = "image/jpeg", "image/png", "image/webp", "application/pdf", "text/plain"
ENDINGS = {JPEG: ".jpg", PNG: ".png", WEBP: ".webp", PDF: ".pdf", TEXT: ".txt"}


class NotTaken(Exception):
    """The file is of no kind that is taken; the text says which are."""


class Sniffed:
    """Passes a file's bytes on and finds out what it is. ``max_bytes``: more raises `TooLarge`."""

    def __init__(self, chunks: AsyncIterator[bytes], max_bytes: int) -> None:
        self._chunks = chunks
        self._max_bytes = max_bytes
        self._size = 0
        self._head = b""
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self._line = ""
        self._card_number = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self._size += len(chunk)
            if self._size > self._max_bytes:
                raise TooLarge
            self._head += chunk[: _HEAD - len(self._head)]
            self._read(chunk, final=False)
            yield chunk
        self._read(b"", final=True)

    def _read(self, chunk: bytes, *, final: bool) -> None:
        """As long as it may be text, look for card numbers in it."""
        if self._decoder is None:
            return
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            self._decoder = None
            return
        if "\0" in text:
            self._decoder = None
            return
        self._card_number = self._card_number or contains_pan(self._line + text)
        self._line = (self._line + text)[-60:]  # a number may stand across two chunks

    def media_type(self) -> str:
        """What it is, once all of it has passed. Raises `NotTaken`."""
        head = self._head
        if head.startswith(b"\xff\xd8\xff"):
            return JPEG
        if head.startswith(b"\x89PNG\r\n\x1a\n"):
            return PNG
        if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
            return WEBP
        if head.startswith(b"%PDF-"):
            return PDF
        if self._decoder is None or not self._size:
            raise NotTaken("Attach a JPEG, PNG or WebP picture, a PDF, or plain text in UTF-8.")
        if self._card_number:
            raise NotTaken("A card number stands in the file, which must not be kept here: take it out.")
        return TEXT


def name_with_ending(name: str, media_type: str) -> str:
    """The name (sanitised already) with an ending that says what the file is."""
    ending = ENDINGS[media_type]
    alike = (ending, ".jpeg") if media_type == JPEG else (ending,)
    return name if name.lower().endswith(alike) else f"{name[: 100 - len(ending)]}{ending}"
