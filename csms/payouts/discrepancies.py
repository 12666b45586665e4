"""Discrepancies: what was left when the sides were compared, what became of it, and who said so.

One subject, side and kind is one discrepancy for ever: found again it is the same, resolved by later data it is closed
with its history, and opened again where it comes back or differs anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.reconciliation import Finding, Kind, Part, Side
from storage import reconciliation_schema as t

BY_ITSELF = "reconciliation"
AT_ONCE = 500


class State(StrEnum):
    """Where a discrepancy stands."""

    OPEN = "open"
    EXPLAINED = "explained"  # a person knows why, and nothing is to be done
    NOTIFIED = "notified"  # the provider was given notice
    REPAIRED = "repaired"  # the books were mended
    CLOSED = "closed"  # by a person, or by later data


#: state → states that a person may take it to.
MOVES: Mapping[State, frozenset[State]] = {
    State.OPEN: frozenset({State.EXPLAINED, State.NOTIFIED, State.REPAIRED, State.CLOSED}),
    State.EXPLAINED: frozenset({State.OPEN, State.NOTIFIED, State.REPAIRED, State.CLOSED}),
    State.NOTIFIED: frozenset({State.OPEN, State.EXPLAINED, State.REPAIRED, State.CLOSED}),
    State.REPAIRED: frozenset({State.OPEN, State.CLOSED}),
    State.CLOSED: frozenset({State.OPEN}),
}
#: What later data may close.
_UNDECIDED = (State.OPEN, State.EXPLAINED, State.NOTIFIED)


class MoveRefusedError(ValueError):
    """A discrepancy cannot go there from where it stands; the text says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was compared: a payment, or a row that is none. ``findings``: all that differs about it, maybe nothing."""

    account_id: str
    owner_id: str
    session_id: str | None
    findings: tuple[Finding, ...]


def session_subject(session_id: str) -> str:
    """The name of a payment of ours."""
    return f"session:{session_id}"


def provider_subject(account_id: str, transaction_id: str) -> str:
    """The name of a provider's transaction that is none of our payments."""
    return f"provider:{account_id}:{transaction_id}"


def settlement_subject(row_id: str) -> str:
    """The name of an acquirer's row that is none of our payments."""
    return f"settlement:{row_id}"


def discrepancy_key(subject: str, finding: Finding) -> str:
    """What makes it one and the same."""
    return f"{subject}|{finding.side}|{finding.kind}|{finding.part}"


async def keep(connection: AsyncConnection, subjects: Mapping[str, Subject], now: datetime) -> int:
    """Write what was found of ``subjects``, and close what is not found any more; return how many are new."""
    before = await _known(connection, subjects)
    new: list[dict[str, Any]] = []
    for name, subject in subjects.items():
        found = {discrepancy_key(name, finding): finding for finding in subject.findings}
        for key, finding in found.items():
            row = before.get(key)
            if row is None:
                new.append(_row(key, name, subject, finding, now))
            else:
                await _found_again(connection, row, subject, finding, now)
        for key, row in before.items():
            if row.subject == name and key not in found and row.state in _UNDECIDED:
                note = "resolved by itself: the sides agree now"
                await _write(connection, row.discrepancy_id, State.CLOSED, BY_ITSELF, note, now)
    if new:
        await connection.execute(t.discrepancies.insert(), new)
        first = {"number": 1, "at": now, "state": State.OPEN.value, "by": BY_ITSELF}
        events = [first | {"discrepancy_id": row["discrepancy_id"], "note": row["detail"] or "found"} for row in new]
        await connection.execute(t.discrepancy_events.insert(), events)
    return len(new)


async def resolve(connection: AsyncConnection, subjects: Iterable[str], note: str, now: datetime) -> None:
    """Close what is open of subjects that turned out to be something else."""
    for row in (await _known(connection, subjects)).values():
        if row.state in _UNDECIDED:
            await _write(connection, row.discrepancy_id, State.CLOSED, BY_ITSELF, f"resolved by itself: {note}", now)


async def move(
    connection: AsyncConnection, discrepancy_id: str, state: State, *, by: str, note: str, now: datetime
) -> None:
    """A person's decision. Raises `MoveRefusedError`; ``LookupError`` where there is no such discrepancy."""
    d = t.discrepancies.c
    query = select(d.state).where(d.discrepancy_id == discrepancy_id).with_for_update()
    before = (await connection.execute(query)).scalar()
    if before is None:
        raise LookupError(discrepancy_id)
    if state not in MOVES[State(before)]:
        possible = ", ".join(sorted(MOVES[State(before)]))
        raise MoveRefusedError(f"It is {before}: from there it can become {possible}, not {state}.")
    await _write(connection, discrepancy_id, state, by, note, now)


def finding_of(row: Any) -> Finding:
    """What a row of `discrepancies` says."""
    return Finding(
        side=Side(row.side),
        kind=Kind(row.kind),
        part=Part(row.part),
        expected_minor=row.expected_minor,
        actual_minor=row.actual_minor,
        currency=row.currency,
        actual_currency=row.actual_currency,
        detail=row.detail,
    )


async def _known(connection: AsyncConnection, subjects: Iterable[str]) -> dict[str, Any]:
    names = sorted(subjects)
    d = t.discrepancies.c
    known: dict[str, Any] = {}
    for at in range(0, len(names), AT_ONCE):
        query = select(t.discrepancies).where(d.subject.in_(names[at : at + AT_ONCE]))
        known |= {row.discrepancy_key: row for row in await connection.execute(query)}
    return known


def _row(key: str, name: str, subject: Subject, finding: Finding, now: datetime) -> dict[str, Any]:
    return {
        "discrepancy_id": f"dis_{hashlib.sha256(key.encode()).hexdigest()[:16]}",
        "discrepancy_key": key,
        "subject": name,
        "state": State.OPEN.value,
        "account_id": subject.account_id,
        "owner_id": subject.owner_id,
        "session_id": subject.session_id,
        "found_at": now,
        "changed_at": now,
        **_evidence(finding),
    }


def _evidence(finding: Finding) -> dict[str, Any]:
    return {
        "side": finding.side.value,
        "kind": finding.kind.value,
        "part": finding.part.value,
        "expected_minor": finding.expected_minor,
        "actual_minor": finding.actual_minor,
        "currency": finding.currency,
        "actual_currency": finding.actual_currency,
        "detail": finding.detail[:300],
    }


async def _found_again(
    connection: AsyncConnection, row: Any, subject: Subject, finding: Finding, now: datetime
) -> None:
    said = ("expected_minor", "actual_minor", "actual_currency")
    differs = any(getattr(row, name) != getattr(finding, name) for name in said)
    if differs or row.owner_id != subject.owner_id:
        mine = t.discrepancies.c.discrepancy_id == row.discrepancy_id
        owner = {"owner_id": subject.owner_id, "account_id": subject.account_id}
        await connection.execute(update(t.discrepancies).where(mine).values(_evidence(finding) | owner))
    if row.state == State.OPEN:
        return
    if differs:
        await _write(connection, row.discrepancy_id, State.OPEN, BY_ITSELF, "it differs anew: look again", now)
    elif row.state == State.CLOSED and await _closed_by(connection, row.discrepancy_id) == BY_ITSELF:
        await _write(connection, row.discrepancy_id, State.OPEN, BY_ITSELF, "it is back", now)


async def _closed_by(connection: AsyncConnection, discrepancy_id: str) -> str:
    e = t.discrepancy_events.c
    query = select(e.by).where(e.discrepancy_id == discrepancy_id).order_by(e.number.desc()).limit(1)
    return str((await connection.execute(query)).scalar_one())


async def _write(
    connection: AsyncConnection, discrepancy_id: str, state: State, by: str, note: str, now: datetime
) -> None:
    mine = t.discrepancies.c.discrepancy_id == discrepancy_id
    await connection.execute(update(t.discrepancies).where(mine).values(state=state.value, changed_at=now))
    e = t.discrepancy_events.c
    last = (await connection.execute(select(func.max(e.number)).where(e.discrepancy_id == discrepancy_id))).scalar()
    event = {"discrepancy_id": discrepancy_id, "number": (last or 0) + 1, "at": now, "state": state.value}
    await connection.execute(t.discrepancy_events.insert().values(event | {"by": by, "note": note[:500]}))
