"""Pages by key: a cursor says after which row to go on, so that rows coming and going shift nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.web.api.problem import Problem
from storage.columns import UtcDateTime

T = TypeVar("T")


class PageQuery(BaseModel):
    """The query of every list; filters are added to it."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=500, description="How many items at most.")
    after: str | None = Field(None, max_length=400, description="`next` of the page before.")


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None = Field(None, description="`after` of the next page; null on the last.")


async def fetch_page(
    connection: AsyncConnection,
    query: Select[Any],
    keys: Sequence[ColumnElement[Any]],
    asked: PageQuery,
    make: Callable[[Any], T],
    *,
    newest_first: bool = False,
) -> Page[T]:
    """One page of ``query`` in the order of ``keys`` (which must be unique together, not null, and selected)."""
    if asked.after is not None:
        at = tuple_(*(literal(v, k.type) for v, k in zip(_decoded(asked.after, keys), keys, strict=True)))
        query = query.where(tuple_(*keys) < at if newest_first else tuple_(*keys) > at)
    ordered = query.order_by(*(k.desc() if newest_first else k.asc() for k in keys)).limit(asked.limit + 1)
    rows = (await connection.execute(ordered)).all()
    more = len(rows) > asked.limit
    shown = rows[: asked.limit]
    cursor = _encoded([getattr(shown[-1], str(k.key)) for k in keys]) if more else None
    return Page[T].model_construct(items=[make(row) for row in shown], next=cursor)


def _encoded(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def _decoded(cursor: str, keys: Sequence[ColumnElement[Any]]) -> list[Any]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values = orjson.loads(raw)
        if not isinstance(values, list) or len(values) != len(keys):
            raise ValueError("another list's cursor")
        return [_value(value, key) for value, key in zip(values, keys, strict=True)]
    except (ValueError, TypeError, binascii.Error):
        raise Problem(400, "`after` is no cursor of this list; take it from `next` of the page before.") from None


def _value(value: Any, key: ColumnElement[Any]) -> Any:
    if isinstance(key.type, UtcDateTime):
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError("a time without a zone")
        return at
    if type(value) is not key.type.python_type or (isinstance(value, str) and "\0" in value):
        raise ValueError("a value of another kind")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("too large")
    return value
