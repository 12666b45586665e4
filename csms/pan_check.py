"""The check that no card number is anywhere: every text of every table, and log files, read as a stream.

What is found is told by its place, never by itself: a report of card numbers would be one more place that has them.
"""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import JSON, Column, MetaData, String, Table, cast, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.pan import contains_pan, redact_pans
from storage.engine import reading

ROWS_AT_ONCE = 500
#: A line of a log is read in pieces of so many characters, which overlap by more than a card number is long.
PIECE, OVERLAP = 1_000_000, 80


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a card number stands: a table's column and the row's key, or a file and its line."""

    place: str
    key: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key}"


async def reflected(engine: AsyncEngine) -> list[Table]:
    """The tables as the database has them, whoever made them."""
    metadata = MetaData()
    async with reading(engine) as connection:
        await connection.run_sync(metadata.reflect)
    return list(metadata.sorted_tables)


async def scan_database(engine: AsyncEngine, tables: Iterable[Table]) -> AsyncIterator[Hit]:
    """Every card number in the texts of ``tables``, row by row."""
    async with reading(engine) as connection:
        for table in await _not_empty(connection, tables):
            async for hit in _scan_table(connection, table):
                yield hit


async def _not_empty(connection: AsyncConnection, tables: Iterable[Table]) -> list[Table]:
    """One question for all tables: most of a young database is empty."""
    asked = [table for table in tables if _texts(table)]
    if not asked:
        return []
    named = connection.dialect.identifier_preparer.format_table
    questions = (f"SELECT {n} WHERE EXISTS (SELECT 1 FROM {named(table)})" for n, table in enumerate(asked))  # noqa: S608
    filled = await connection.execute(text(" UNION ALL ".join(questions)))
    return [asked[n] for n in filled.scalars()]


def _texts(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, String | JSON)]


async def _scan_table(connection: AsyncConnection, table: Table) -> AsyncIterator[Hit]:
    texts, keys = _texts(table), list(table.primary_key.columns)
    columns = [cast(column, String).label(f"t{n}") for n, column in enumerate(texts)]
    query = select(*columns, *(cast(key, String).label(f"k{n}") for n, key in enumerate(keys)))
    rows = await connection.stream(query.execution_options(yield_per=ROWS_AT_ONCE))
    async for row in rows:
        for column, value in zip(texts, row, strict=False):
            if value is not None and contains_pan(value):
                key = "/".join(redact_pans(str(part)) for part in row[len(texts) :])
                yield Hit(f"{table.name}.{column.name}", key or "(no key)")


def scan_log(path: Path) -> Iterator[Hit]:
    """Every line of a log (a .gz too) with a card number in it. Raises OSError."""
    with _opened(path) as log:
        line, rest = 1, ""
        while piece := log.readline(PIECE):
            if contains_pan(rest + piece):
                yield Hit(str(path), f"line {line}")
            if piece.endswith("\n"):
                line, rest = line + 1, ""
            else:
                rest = piece[-OVERLAP:]


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")
