"""What handlers are given, and how payloads that may be wrong are read.

A handler **reports and answers**: it turns a payload into facts, waits for their commit, and returns the answer's
payload. It never calls the station: the read loop is serial, the answer could not be read.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from csms.ocpp.options import OcppOptions
from sessions import facts
from sessions.directory import Admission, Inbox, Outcome, StationDirectory

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

Payload = dict[str, Any]


class Unusable(Exception):
    """The payload lacks what the handler cannot do without. The text names it."""


@dataclass(slots=True)
class StationContext:
    """One connection, as handlers see it."""

    station_id: str
    version: str
    inbox: Inbox
    directory: StationDirectory
    now: Callable[[], datetime]
    held: bool
    heartbeat_interval_s: int
    held_retry_s: int
    connection_nonce: str
    options: OcppOptions = field(default_factory=OcppOptions)
    on_boot: Callable[[], None] = lambda: None
    _reported: set[tuple[str, str]] = field(default_factory=set)
    _count: int = 0

    async def submit(self, fact: facts.Fact) -> Outcome:
        """Commit a fact."""
        return await self.inbox.submit(fact)

    async def look_again(self) -> None:
        """A held station that boots again on the same line may have been approved meanwhile (2.0.1 B02)."""
        station = await self.directory.station(self.station_id)
        self.held = station is None or station.admission is not Admission.ACCEPTED

    def unique_key(self, what: str) -> str:
        """A key for a fact that has no content to tell a repeat by: one per message of this connection."""
        self._count += 1
        return f"{what}:{self.station_id}:{self.connection_nonce}:{self._count}"

    async def finding(self, code: str, detail: str, action: str = "") -> None:
        """Record that the station broke the standard; once per connection, code and action.

        One that cannot be stored is let go: the message it is about is answered all the same.
        """
        if (code, action) in self._reported:
            return
        self._reported.add((code, action))
        found = facts.ConformanceFound(
            key=self.unique_key("finding"),
            at=self.now(),
            station_id=self.station_id,
            code=code,
            detail=detail,
            action=action,
        )
        try:
            await self.submit(found)
        except Exception:
            self._reported.discard((code, action))  # the next one may be stored
            log.exception("station %s: the finding %s could not be stored", self.station_id, code)


Handler = Callable[[StationContext, Payload], Awaitable[Payload]]


async def record(ctx: StationContext, action: str, payload: Payload) -> None:
    """Keep a message that carries state and decides nothing."""
    await ctx.submit(
        facts.StationEventRecorded(
            key=ctx.unique_key(action), at=ctx.now(), station_id=ctx.station_id, action=action, payload=payload
        )
    )


def stamp(at: datetime) -> str:
    """RFC 3339 with milliseconds, as stations expect it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def content_key(what: str, station_id: str, content: Any) -> str:
    """A fact's key from what the message says: message ids repeat, and a resend has a new one."""
    canonical = orjson.dumps(content, option=orjson.OPT_SORT_KEYS, default=str)
    return f"{what}:{station_id}:{hashlib.sha256(canonical).hexdigest()[:40]}"


# --- reading payloads that may be wrong -------------------------------------------------------------------------------


def text(payload: Payload, name: str, most: int = 255) -> str:
    """A string; empty if it is missing or something else. Without NUL, which no text column of PostgreSQL takes."""
    value = payload.get(name)
    return value.replace("\0", "")[:most] if isinstance(value, str) else ""


def whole(payload: Payload, name: str) -> int | None:
    """An integer of 32 bits (2.0.1 part 2, primitive datatypes), also one written as a string; else None."""
    value = payload.get(name)
    number: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, str) and len(value) <= 20:
        try:
            number = int(value)
        except ValueError:
            return None
    return number if number is not None and -(2**31) <= number < 2**31 else None


def decimal(value: Any) -> Decimal | None:
    """A finite number, as written; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    written = str(value).strip()
    if _NUMBER.fullmatch(written) is None:  # Python also reads 1_000, other scripts' digits, NaN
        return None
    try:
        number = Decimal(written)
    except InvalidOperation:  # an exponent beyond all measure
        return None
    # By the exponent: comparing 9e999999999 is arithmetic, and overflows.
    if -15 <= number.adjusted() < 15:
        return number
    # Zero for what is too small to matter, however it is written; None for what is too large to be true.
    return Decimal(0) if number == 0 or number.adjusted() < 0 else None


def obj(payload: Payload, name: str) -> Payload:
    """An object; empty if it is missing or something else."""
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def objects(payload: Payload, name: str) -> list[Payload]:
    """The objects of an array; empty if it is missing or something else."""
    value = payload.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def moment(value: Any) -> datetime | None:
    """An ISO 8601 time as aware UTC; a missing zone is read as UTC; None if it cannot be read."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        read = datetime.fromisoformat(_microseconds(value.strip()))
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _microseconds(stamp: str) -> str:
    """Cut fractions of a second that are finer than Python keeps."""
    head, dot, rest = stamp.partition(".")
    if not dot:
        return stamp
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{head}.{rest[: min(digits, 6)]}{rest[digits:]}"


async def stamped(ctx: StationContext, payload: Payload, action: str, name: str = "timestamp") -> datetime:
    """The payload's time, or ours, with a finding."""
    read = moment(payload.get(name))
    if read is None:
        await ctx.finding("timestamp-unreadable", f"{name} is missing or no time; ours is used", action)
        return ctx.now()
    return read
