"""A small file that a caller sends, whole: as the body itself, or as the first file of a form."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from csms.terminals.sheet import MOST_BYTES, SheetError, SheetRow, read_sheet
from csms.web.api.operation import ApiCall
from csms.web.api.problem import Problem
from csms.web.uploads import Interrupted, plain_name, sent_body


@dataclass(frozen=True, slots=True)
class SentSheet:
    """A table that was sent. ``name``: of its file, made safe; ``sha256``: of its bytes."""

    name: str
    sha256: str
    rows: list[SheetRow]


async def sent_sheet(
    call: ApiCall, needed: Sequence[str], optional: Sequence[str] = (), *, most_rows: int
) -> SentSheet:
    """Read the CSV or XLSX file of a call. Raises `Problem` 400, 413, 422."""
    too_large = f"The file is larger than {MOST_BYTES // 1024 // 1024} MB: split it."
    name, content = await sent_content(call, MOST_BYTES, too_large)
    try:
        rows = await asyncio.to_thread(read_sheet, content, needed, optional, most_rows=most_rows)
    except SheetError as error:
        raise Problem(422, str(error)) from None
    return SentSheet(plain_name(name, "list"), hashlib.sha256(content).hexdigest(), rows)


async def sent_content(call: ApiCall, most_bytes: int, too_large: str) -> tuple[str, bytes]:
    """(name, content) of the file of a call, never more than ``most_bytes``; "" where it has no name.

    ``too_large``: what is said of more. Raises `Problem` 413, 400.
    """
    is_form = call.request.content_type.startswith("multipart/")  # longer than the file in it
    if not is_form and (call.request.content_length or 0) > most_bytes:
        raise Problem(413, too_large)
    content = bytearray()
    try:
        name, chunks = await sent_body(call.request)
        async for chunk in chunks:
            content += chunk
            if len(content) > most_bytes:
                raise Problem(413, too_large)
    except Interrupted as interrupted:
        raise Problem(400, f"{interrupted} Send it again.") from None
    return name, bytes(content)
