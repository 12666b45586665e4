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
    name, content = await _sent(call, MOST_BYTES)
    try:
        rows = await asyncio.to_thread(read_sheet, content, needed, optional, most_rows=most_rows)
    except SheetError as error:
        raise Problem(422, str(error)) from None
    return SentSheet(plain_name(name, "list"), hashlib.sha256(content).hexdigest(), rows)


async def _sent(call: ApiCall, most_bytes: int) -> tuple[str, bytes]:
    """(name, content). Raises `Problem`."""
    pieces, size = list[bytes](), 0
    try:
        name, chunks = await sent_body(call.request)
        async for chunk in chunks:
            size += len(chunk)
            if size > most_bytes:
                raise Problem(413, f"The file is larger than {most_bytes // 1024 // 1024} MB: split it.")
            pieces.append(chunk)
    except Interrupted as interrupted:
        raise Problem(400, f"{interrupted} Send it again.") from None
    return name, b"".join(pieces)
