"""Transfers: firmware to stations, logs from stations; each from the request over its progress to its end.

A transfer's state follows from what the station answers and notifies, in whatever order it comes. What is completed
stays so; a failure may be followed by another attempt. Request ids that this system never used are kept as well.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.stations.calls import CallEnded, CallRequested, CallState, keep_requests
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from storage import fleet_schema
from storage import transfer_schema as t


class TransferKind(StrEnum):
    """What is transferred."""

    FIRMWARE = "firmware"  # to the station itself
    PUBLICATION = "publication"  # to a local controller, for the stations behind it (L03)
    LOG = "log"  # from the station


class TransferState(StrEnum):
    """requested → accepted → completed | failed | canceled; the rest are ends before or beside it."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"  # under way, or scheduled: `status` says which
    COMPLETED = "completed"
    FAILED = "failed"  # the station may try again by itself
    CANCELED = "canceled"  # a later request took its place
    REFUSED = "refused"
    OFFLINE = "offline"  # not sent: the station was not connected
    UNANSWERED = "unanswered"  # sent, and not answered: it may be under way
    EMPTY = "empty"  # accepted, and the station has nothing to send
    LOST = "lost"  # the station says that it is idle, and never told the end
    WITHDRAWN = "withdrawn"  # was published, and no longer is (L04)


#: A transfer in one of these is under way.
OPEN = frozenset({TransferState.REQUESTED, TransferState.ACCEPTED, TransferState.UNANSWERED})
#: What a station's later word no longer changes, but for the completion that came late.
_FINAL = frozenset({TransferState.CANCELED, TransferState.WITHDRAWN})

_FAILURES = frozenset(
    {
        *("DownloadFailed", "InstallationFailed", "InstallVerificationFailed", "InvalidSignature"),
        *("InvalidChecksum", "PublishFailed"),
        *("UploadFailed", "UploadFailure", "BadMessage", "NotSupportedOperation", "PermissionDenied"),
    }
)
_COMPLETIONS = frozenset({"Installed", "Published", "Uploaded"})
IDLE = "Idle"
CANCELED = "AcceptedCanceled"


def state_after(state: TransferState, status: str) -> TransferState:
    """The state after the station's word ``status`` (2.0.1 Firmware-, PublishFirmware- and UploadLogStatusEnumType)."""
    if state is TransferState.COMPLETED or status in _COMPLETIONS:
        return TransferState.COMPLETED if state is not TransferState.WITHDRAWN else state
    if state in _FINAL or status == IDLE:
        return state
    if status == CANCELED:
        return TransferState.CANCELED
    return TransferState.FAILED if status in _FAILURES else TransferState.ACCEPTED


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRequested(StationFact):
    """An operator asked for a transfer; the call goes out with it. ``token_hash``: of the link that ``payload`` has."""

    transfer_id: str
    command_id: str
    kind: TransferKind
    action: str
    payload: dict[str, Any]
    request_id: int | None
    requested_by: str
    log_type: str | None = None
    image_id: str | None = None
    checksum: str | None = None
    location: str | None = None
    token_hash: str | None = None
    link_expires_at: datetime | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TransferAnswered(StationFact):
    """The station answered a request for a transfer. ``empty``: it has no such log (N01)."""

    command_id: str
    kind: TransferKind
    action: str
    request_id: int | None
    status: str
    empty: bool
    requested_by: str
    log_type: str | None = None
    file_name: str | None = None
    location: str | None = None
    checksum: str | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class TransferProgressed(StationFact):
    """The station told how a transfer stands. Without a request id it is the one under way."""

    kind: TransferKind
    request_id: int | None
    status: str
    published_at: tuple[str, ...] = ()
    detail: dict[str, Any] = field(default_factory=dict)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareUnpublished(StationFact):
    """The local controller no longer offers the firmware with this checksum (L04)."""

    checksum: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class LogReceived(StationFact):
    """A station's upload is on disk."""

    transfer_id: str
    name: str
    size: int
    sha256: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareFetched(StationFact):
    """The station began to download an image from here."""

    transfer_id: str


def new_transfer_id() -> str:
    """An id that nobody can repeat."""
    return f"trf_{secrets.token_hex(12)}"


def new_request_id() -> int:
    """A request id for a station; random, so that a station's late word of an old one is not mistaken."""
    return secrets.randbelow(2**31 - 1) + 1


# --- keepers ----------------------------------------------------------------------------------------------------------


async def keep_requested(
    connection: AsyncConnection, found: Sequence[TransferRequested], now: datetime
) -> list[Command]:
    """Write the transfers and their calls, and send these."""
    names = (
        *("transfer_id", "station_id", "command_id", "action", "request_id", "log_type", "image_id", "checksum"),
        *("location", "token_hash", "link_expires_at"),
    )
    rows = [
        {name: getattr(fact, name) for name in names}
        | {
            "kind": fact.kind.value,
            "state": TransferState.REQUESTED.value,
            "requested_by": fact.requested_by[:80],
            "requested_at": now,
        }
        for fact in found
    ]
    await connection.execute(t.transfers.insert(), rows)
    asked = [
        CallRequested(
            key=f"call-requested:{fact.command_id}",
            at=fact.at,
            station_id=fact.station_id,
            command_id=fact.command_id,
            action=fact.action,
            payload=fact.payload,
            requested_by=fact.requested_by,
        )
        for fact in found
    ]
    return await keep_requests(connection, asked, now)


_WITHOUT_AN_ANSWER = {
    CallState.OFFLINE: TransferState.OFFLINE,
    CallState.TIMED_OUT: TransferState.UNANSWERED,
    CallState.REFUSED: TransferState.REFUSED,
}


async def keep_call_ended(connection: AsyncConnection, found: Sequence[CallEnded], now: datetime) -> list[Command]:
    """A call that brought no answer leaves its transfer at that."""
    c = t.transfers.c
    for fact in found:
        state = _WITHOUT_AN_ANSWER.get(fact.state)
        if state is not None:
            mine = (c.command_id == fact.command_id, c.state == TransferState.REQUESTED.value)
            ended = None if state in OPEN else now
            await connection.execute(update(t.transfers).where(*mine).values(state=state.value, ended_at=ended))
    return []


_ANSWERS = {"Accepted": TransferState.ACCEPTED, CANCELED: TransferState.ACCEPTED}


async def keep_answered(connection: AsyncConnection, found: Sequence[TransferAnswered], now: datetime) -> list[Command]:
    """Write what the station answered; one that was under way before gives way to it, if the station says so."""
    c = t.transfers.c
    for fact in found:
        state = _ANSWERS.get(fact.status, TransferState.REFUSED)
        if fact.empty and state is TransferState.ACCEPTED:
            state = TransferState.EMPTY
        row = await _asked(connection, fact, now)
        values: dict[str, Any] = {"file_name": fact.file_name, "command_id": fact.command_id, "action": fact.action}
        values |= {"requested_by": row.requested_by or fact.requested_by[:80]}
        if row.state in {TransferState.REQUESTED, TransferState.UNANSWERED, TransferState.REFUSED}:
            values |= {"state": state.value, "status": fact.status[:40], "ended_at": None if state in OPEN else now}
        await connection.execute(update(t.transfers).where(c.transfer_id == row.transfer_id).values(values))
        if fact.status == CANCELED:
            earlier = (
                c.station_id == fact.station_id,
                c.kind == fact.kind.value,
                c.transfer_id != row.transfer_id,
                c.requested_at <= row.requested_at,
                c.state.in_([state.value for state in OPEN]),
            )
            gone = {"state": TransferState.CANCELED.value, "ended_at": now}
            await connection.execute(update(t.transfers).where(*earlier).values(gone))
    return []


async def _asked(connection: AsyncConnection, fact: TransferAnswered, now: datetime) -> Any:
    """The row of the request that was answered; a new one if it went through the engineer's door."""
    c = t.transfers.c
    row = (await connection.execute(select(t.transfers).where(c.command_id == fact.command_id))).first()
    if row is not None:
        return row
    sent = select(fleet_schema.station_calls.c.created_at)
    sent = sent.where(fleet_schema.station_calls.c.command_id == fact.command_id)
    asked_at = (await connection.execute(sent)).scalar() or now
    if fact.request_id is not None:
        # The station's first word of it may have come before its answer.
        early = select(t.transfers).where(
            c.station_id == fact.station_id,
            c.kind == fact.kind.value,
            c.request_id == fact.request_id,
            c.action.is_(None),
            c.requested_at >= asked_at,
        )
        row = (await connection.execute(early.limit(1))).first()
        if row is not None:
            return row
    return await _new(
        connection,
        station_id=fact.station_id,
        kind=fact.kind.value,
        request_id=fact.request_id,
        action=fact.action,
        command_id=fact.command_id,
        log_type=fact.log_type,
        location=fact.location,
        checksum=fact.checksum,
        requested_at=asked_at,
    )


async def _new(connection: AsyncConnection, **values: Any) -> Any:
    made = new_transfer_id()
    given = {"transfer_id": made, "state": TransferState.REQUESTED.value} | values
    await connection.execute(t.transfers.insert().values(given))
    return (await connection.execute(select(t.transfers).where(t.transfers.c.transfer_id == made))).one()


async def keep_progressed(
    connection: AsyncConnection, found: Sequence[TransferProgressed], now: datetime
) -> list[Command]:
    """Write each word of the station, and what it makes of its transfer."""
    c = t.transfers.c
    for fact in found:
        if fact.status == IDLE and fact.request_id is None:
            await _nothing_under_way(connection, fact, now)
            continue
        row = await _meant(connection, fact, now)
        before = TransferState(row.state)
        after = state_after(before, fact.status)
        values: dict[str, Any] = {"status": fact.status[:40], "state": after.value}
        if (before in OPEN) != (after in OPEN):
            values["ended_at"] = None if after in OPEN else now
        if fact.published_at:
            values["published_at"] = orjson.dumps(fact.published_at).decode()
        await connection.execute(update(t.transfers).where(c.transfer_id == row.transfer_id).values(values))
        await connection.execute(
            t.transfer_progress.insert().values(
                transfer_id=row.transfer_id,
                status=fact.status[:40],
                detail=orjson.dumps(fact.detail).decode() if fact.detail else None,
                at=fact.at,
            )
        )
    return []


async def _nothing_under_way(connection: AsyncConnection, fact: TransferProgressed, now: datetime) -> None:
    """Asked by a trigger, the station has none (L01, N01): what it had accepted ended without a word."""
    c = t.transfers.c
    mine = (c.station_id == fact.station_id, c.kind == fact.kind.value, c.state == TransferState.ACCEPTED.value)
    lost = {"state": TransferState.LOST.value, "ended_at": now}
    await connection.execute(update(t.transfers).where(*mine).values(lost))


async def _meant(connection: AsyncConnection, fact: TransferProgressed, now: datetime) -> Any:
    """The row a station speaks of: by request id, else the newest under way, else the newest; else a new one."""
    c = t.transfers.c
    mine = select(t.transfers).where(c.station_id == fact.station_id, c.kind == fact.kind.value)
    if fact.request_id is not None:
        looks = [mine.where(c.request_id == fact.request_id)]
    else:
        looks = [mine.where(c.state.in_([state.value for state in OPEN])), mine]
    for look in looks:
        newest = look.order_by(c.requested_at.desc(), c.transfer_id.desc()).limit(1)
        row = (await connection.execute(newest)).first()
        if row is not None:
            return row
    return await _new(
        connection,
        station_id=fact.station_id,
        kind=fact.kind.value,
        request_id=fact.request_id,
        requested_at=now,
    )


async def keep_unpublished(
    connection: AsyncConnection, found: Sequence[FirmwareUnpublished], now: datetime
) -> list[Command]:
    """Note what is published no more."""
    c = t.transfers.c
    for fact in found:
        mine = (c.station_id == fact.station_id, c.checksum == fact.checksum, c.state == TransferState.COMPLETED.value)
        await connection.execute(update(t.transfers).where(*mine).values(state=TransferState.WITHDRAWN.value))
    return []


async def keep_received(connection: AsyncConnection, found: Sequence[LogReceived], now: datetime) -> list[Command]:
    """Note the upload; a later one has replaced the file of an earlier one."""
    for fact in found:
        values = {"upload_name": fact.name[:100], "upload_size": fact.size, "upload_sha256": fact.sha256}
        values |= {"uploaded_at": now, "upload_removed_at": None}
        mine = t.transfers.c.transfer_id == fact.transfer_id
        await connection.execute(update(t.transfers).where(mine).values(values))
    return []


async def keep_fetched(connection: AsyncConnection, found: Sequence[FirmwareFetched], now: datetime) -> list[Command]:
    """Note the first download."""
    for fact in found:
        mine = t.transfers.c.transfer_id == fact.transfer_id
        await connection.execute(update(t.transfers).where(mine).values(fetched_at=now))
    return []


KEEPERS = {
    TransferRequested: (keep_requested,),
    CallEnded: (keep_call_ended,),
    TransferAnswered: (keep_answered,),
    TransferProgressed: (keep_progressed,),
    FirmwareUnpublished: (keep_unpublished,),
    LogReceived: (keep_received,),
    FirmwareFetched: (keep_fetched,),
}
