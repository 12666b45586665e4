"""Reading a batch's working set and writing it back: a handful of statements, whatever the batch's size."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.tariff import Tariff
from billing.tariff_json import tariff_from_json
from billing.way import Way
from sessions import facts
from sessions.codec import decode, decode_session, encode, kind_of
from sessions.commands import Command
from sessions.directory import Admission, ArmState
from sessions.facts import ChargingState, EvseStatus, TokenStatus, TransactionStarted
from sessions.families import family_of
from sessions.session import Session
from sessions.settlement import SettlementNotified
from sessions.tokens import TokenRecord
from sessions.working_set import ArmRow, EvseRow, ReservedRow, StationRow, TerminalRow, WorkingSet
from storage import schema as t
from storage.reservation_schema import reservations

LIVE = "live"  # the one inventory state in which a terminal takes cards
TRANSACTION_COUNTER = "transaction"
NEWEST = 10  # charges of a station, looked at for an end that names none
LOOK_AHEAD = 500  # numbers of transactions asked about at once


def insert_for(connection: AsyncConnection) -> Any:
    """The dialect's INSERT, which knows ON CONFLICT."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


async def load(
    connection: AsyncConnection,
    batch: Sequence[facts.Fact],
    issuer_id: str,
    duplicates: Iterable[str],
    now: datetime,
) -> WorkingSet:
    """Read what ``batch`` may touch. On PostgreSQL the rows stay locked until the commit (one order: no deadlocks)."""
    ws = WorkingSet(issuer_id=issuer_id)
    stations, serials, session_ids, arm_ids = set[str](), set[str](), set(duplicates), set[str]()
    tokens, transactions, payments = set[str](), set[tuple[str, str]](), set[str]()
    for fact in batch:
        if isinstance(fact, facts.StationFact):
            stations.add(fact.station_id)
        if isinstance(fact, facts.TerminalFact):
            serials.add(fact.serial)
        if isinstance(fact, facts.SessionFact | facts.EvseChosen):
            session_ids.add(fact.session_id)
        if isinstance(fact, facts.CardPresented | facts.ArmClosed):
            arm_ids.add(fact.arm_id)
        if isinstance(fact, facts.TransactionFact | facts.OperatorStarted) and fact.id_token:
            tokens.add(fact.id_token.upper()[:64])
        if isinstance(fact, SettlementNotified):
            tokens.add(fact.psp_ref.upper()[:64])
        if isinstance(fact, facts.TransactionFact) and fact.id_token and fact.id_token_type == facts.DIRECT_PAYMENT:
            payments.add(fact.id_token[:64])
        told = facts.TransactionFact | facts.EnergyMetered | facts.TransactionStatusTold | SettlementNotified
        if isinstance(fact, told) and fact.transaction_id:
            transactions.add((fact.station_id, fact.transaction_id))
    taps = {f.serial for f in batch if isinstance(f, facts.CardPresented | facts.EvseChosen)}
    if taps:
        await _load_terminals(connection, ws, taps, now)
        stations |= {station_id for terminal in ws.terminals.values() for station_id, _ in terminal.evses}
    if stations:
        await _load_stations(connection, ws, stations)
    if arm_ids:
        await _load_arms(connection, ws, arm_ids)
    await _load_sessions(connection, ws, session_ids, stations, serials & taps, tokens, transactions, payments)
    named = {f.transaction_id for f in batch if isinstance(f, facts.StartAccepted) and f.transaction_id}
    if named:
        at = {session.place.station_id for session in ws.sessions.values() if session.place is not None}
        await _load_sessions(connection, ws, set(), set(), set(), set(), set(itertools.product(at, named)), set())
    ends = [f for f in batch if isinstance(f, facts.TransactionEnded)]
    here = {(s.place.station_id, s.transaction_id) for s in ws.sessions.values() if s.place is not None}
    nameless = {f.station_id for f in ends if (f.station_id, f.transaction_id) not in here}
    if nameless:
        await _load_newest(connection, ws, nameless)
    if tokens:
        await _load_tokens(connection, ws, tokens)
    if taps or any(isinstance(f, facts.OperatorStarted) for f in batch):
        await _load_reserved(connection, ws, stations, now)
    opens = any(isinstance(f, facts.CardPresented | facts.TransactionFact | facts.OperatorStarted) for f in batch)
    if opens:
        ws.tariffs = await load_tariffs(connection)
    to_number = [f.station_id for f in batch if isinstance(f, facts.TransactionStarted) and f.transaction_id is None]
    if to_number:
        ws.next_transaction = await counter(connection, TRANSACTION_COUNTER)
        ws.taken_transactions = await _taken(connection, to_number, ws.next_transaction)
    return ws


async def _taken(connection: AsyncConnection, stations: list[str], after: int) -> set[str]:
    """Numbers that these stations chose themselves: with 2.0.1, or in an end whose start we never heard of.

    Looks as far ahead as it takes to leave a free number for each of ``stations``, which may name one repeatedly.
    """
    s, taken, free = t.sessions.c, set[str](), 0
    while free < len(stations):
        ahead = [str(number) for number in range(after + 1, after + 1 + LOOK_AHEAD)]
        query = select(s.transaction_id).where(s.station_id.in_(set(stations)), s.transaction_id.in_(ahead))
        found = set((await connection.execute(query)).scalars())
        taken |= found
        free += LOOK_AHEAD - len(found)
        after += LOOK_AHEAD
    return taken


async def _load_terminals(connection: AsyncConnection, ws: WorkingSet, serials: set[str], now: datetime) -> None:
    served: dict[str, list[tuple[str, int]]] = {}
    by_place = (
        select(t.terminal_evses).where(t.terminal_evses.c.serial.in_(serials)).order_by(t.terminal_evses.c.position)
    )
    for row in await connection.execute(by_place):
        served.setdefault(row.serial, []).append((row.station_id, row.evse_id))
    for row in await connection.execute(select(t.terminals).where(t.terminals.c.serial.in_(serials))):
        ws.terminals[row.serial] = TerminalRow(
            serial=row.serial,
            currency=row.currency,
            language=row.language,
            touch_screen=family_of(row.family).screens,
            out_of_service=out_of_service(row, now),
            evses=tuple(served.get(row.serial, ())),
        )


async def _load_stations(connection: AsyncConnection, ws: WorkingSet, station_ids: set[str]) -> None:
    query = select(t.stations).where(t.stations.c.station_id.in_(station_ids)).order_by(t.stations.c.station_id)
    for row in await connection.execute(query.with_for_update()):
        ws.stations[row.station_id] = StationRow(
            station_id=row.station_id,
            admission=Admission(row.admission),
            connected=row.connected,
            epoch=row.epoch,
            node=row.node,
            version=row.version,
            vendor=row.vendor,
            model=row.model,
            serial_number=row.serial_number,
            firmware_version=row.firmware_version,
            boot_status=row.boot_status,
            booted_at=row.booted_at,
            seen_at=row.seen_at,
            owner_id=row.owner_id,
        )
    for row in await connection.execute(select(t.evses).where(t.evses.c.station_id.in_(station_ids))):
        ws.evses[row.station_id, row.evse_id] = EvseRow(
            station_id=row.station_id,
            evse_id=row.evse_id,
            label=row.label,
            tariff_id=row.tariff_id,
            max_power_w=row.max_power_w,
            status=EvseStatus(row.status),
            charging_state=ChargingState(row.charging_state) if row.charging_state else None,
            raw_status=row.raw_status,
            error_code=row.error_code,
            status_at=row.status_at,
            plugged_at=row.plugged_at,
            waiting=decode(TransactionStarted, row.waiting) if row.waiting else None,
        )


async def _load_arms(connection: AsyncConnection, ws: WorkingSet, arm_ids: set[str]) -> None:
    query = select(t.arms).where(t.arms.c.arm_id.in_(arm_ids)).order_by(t.arms.c.arm_id).with_for_update()
    for row in await connection.execute(query):
        ws.arms[row.arm_id] = ArmRow(
            arm_id=row.arm_id,
            serial=row.serial,
            state=ArmState(row.state),
            hold_minor=row.hold_minor,
            currency=row.currency,
            opened_at=row.opened_at,
            account_id=row.account_id,
        )


async def _load_sessions(
    connection: AsyncConnection,
    ws: WorkingSet,
    session_ids: set[str],
    stations: set[str],
    serials: set[str],
    tokens: set[str],
    transactions: set[tuple[str, str]],
    payments: set[str],
) -> None:
    s = t.sessions.c
    wanted: list[ColumnElement[bool]] = []
    if session_ids:
        wanted.append(s.session_id.in_(session_ids))
    if stations:
        wanted.append(and_(s.open, s.station_id.in_(stations)))
    if serials:
        wanted.append(and_(s.open, s.terminal_serial.in_(serials)))
    if tokens and stations:
        wanted.append(and_(s.station_id.in_(stations), s.id_token.in_(tokens)))
        wanted.append(and_(s.open, s.id_token.in_(tokens)))  # a token may be charging elsewhere
    if payments:
        wanted.append(s.payment_ref.in_(payments))
    if transactions:
        wanted.append(tuple_(s.station_id, s.transaction_id).in_(transactions))
    if not wanted:
        return
    query: Select[Any] = select(s.session_id, s.state).where(or_(*wanted)).order_by(s.session_id).with_for_update()
    for row in await connection.execute(query):
        ws.sessions[row.session_id] = decode_session(row.state)
        ws.stored.add(row.session_id)


async def _load_newest(connection: AsyncConnection, ws: WorkingSet, stations: set[str]) -> None:
    """The charges that ended last: an end whose transaction nobody knows may be one of theirs, told again."""
    s = t.sessions.c
    for station_id in sorted(stations):
        newest = select(s.session_id).where(s.station_id == station_id).order_by(s.opened_at.desc()).limit(NEWEST)
        missing = set((await connection.execute(newest)).scalars()) - ws.sessions.keys()
        if missing:
            await _load_sessions(connection, ws, missing, set(), set(), set(), set(), set())


async def _load_tokens(connection: AsyncConnection, ws: WorkingSet, tokens: set[str]) -> None:
    for row in await connection.execute(select(t.id_tokens).where(t.id_tokens.c.id_token.in_(tokens))):
        ws.tokens[row.id_token] = token_record(row)


async def _load_reserved(connection: AsyncConnection, ws: WorkingSet, stations: set[str], now: datetime) -> None:
    r = reservations.c
    holds = (r.station_id.in_(stations), r.state == "active", r.expires_at > now)
    query = select(r.station_id, r.evse_id, r.id_token, r.group_id).where(*holds)
    ws.reserved = [ReservedRow(**row._mapping) for row in await connection.execute(query)]


def out_of_service(row: Any, now: datetime) -> str:
    """Why the terminal of a row of `terminals` takes no new card: "state", "licence", or "" when it does."""
    if row.inventory_state != LIVE:
        return "state"
    licensed = row.activated_at is not None and row.licensed_until is not None and row.licensed_until > now
    return "" if row.licence_exempt or licensed else "licence"


def token_record(row: Any) -> TokenRecord:
    """A row of `id_tokens`."""
    return TokenRecord(
        status=TokenStatus(row.status),
        expires_at=row.expires_at,
        group_id=row.group_id,
        master_pass=row.master_pass,
        concurrent=row.concurrent,
        way=Way(row.way),
    )


async def load_tariffs(connection: AsyncConnection) -> dict[str, Tariff]:
    """All tariffs, by id."""
    rows = await connection.execute(select(t.tariffs))
    return {row.tariff_id: tariff_from_json(orjson.loads(row.body)) for row in rows}


async def counter(connection: AsyncConnection, name: str) -> int:
    """The counter's last number given out, locked until the commit; 0 for a new one."""
    query = select(t.counters.c.value).where(t.counters.c.name == name).with_for_update()
    value = (await connection.execute(query)).scalar()
    if value is None:  # there must be a row to lock, or two nodes would both begin at 1
        begin = insert_for(connection)(t.counters).values(name=name, value=0)
        await connection.execute(begin.on_conflict_do_nothing(index_elements=["name"]))
        value = (await connection.execute(query)).scalar_one()
    return int(value)


async def set_counter(connection: AsyncConnection, name: str, value: int) -> None:
    """Keep the counter's last number given out."""
    insert = insert_for(connection)(t.counters).values(name=name, value=value)
    await connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


async def next_number(connection: AsyncConnection, name: str) -> int:
    """The counter's next number: given out by the caller's commit, or not at all, so a series has no gaps."""
    number = await counter(connection, name) + 1
    await set_counter(connection, name, number)
    return number


async def enqueue(connection: AsyncConnection, commands: Iterable[Command], now: datetime) -> None:
    """Put commands into the outbox beside the loop, in the caller's transaction; a known key changes nothing.

    They are nobody's yet: call `sessions.service.Service.wake` after the commit, or polling finds them.
    """
    found = {
        command.key: {
            "command_key": command.key,
            "kind": kind_of(command),
            "session_id": command.session_id,
            "command": encode(command),
            "due_at": command.due_at or now,
        }
        for command in commands
    }
    if found:
        insert = insert_for(connection)(t.outbox).values(list(found.values()))
        await connection.execute(insert.on_conflict_do_nothing(index_elements=["command_key"]))


def session_row(session: Session) -> dict[str, Any]:
    """A session as the table keeps it."""
    place = session.place
    return {
        "session_id": session.session_id,
        "origin": session.origin.value,
        "station_id": place.station_id if place else None,
        "evse_id": place.evse_id if place else None,
        "id_token": session.id_token.upper()[:64] or None,
        "remote_start_id": session.remote_start_id,
        "transaction_id": session.transaction_id,
        "terminal_serial": session.terminal_serial,
        "card_ref": session.card.card_ref if session.card else None,
        "arm_id": session.arm_id,
        "payment_ref": session.authorisation.payment_ref[:64] or None,
        "charging": session.charging.value,
        "payment": session.payment.value,
        "owner_id": session.owner_id,
        "account_id": session.account_id,
        "way": session.way.value,
        "open": session.open,
        "needs_review": bool(session.flags),
        "claim": session.claim,
        "receipt_token": session.receipt_token,
        "opened_at": session.opened_at,
        "closed_at": session.closed_at,
        "state": encode(session),
    }


async def write_sessions(connection: AsyncConnection, ws: WorkingSet) -> None:
    """Write the changed sessions: one insert, one update."""
    changed = [ws.sessions[session_id] for session_id in ws.changed_sessions]
    new = [session_row(s) for s in changed if s.session_id not in ws.stored]
    known = [session_row(s) for s in changed if s.session_id in ws.stored]
    # Updates first: a claim must be given up before another session can take it.
    if known:
        columns = [name for name in known[0] if name != "session_id"]
        statement = update(t.sessions).where(t.sessions.c.session_id == _bind("session_id"))
        await connection.execute(
            statement.values({name: _bind(name) for name in columns}),
            [{f"b_{k}": v for k, v in row.items()} for row in known],
        )
    if new:
        await connection.execute(t.sessions.insert(), new)


def _bind(name: str) -> Any:
    column = t.sessions.c[name]
    return bindparam(f"b_{name}", type_=column.type)


async def write_world(connection: AsyncConnection, ws: WorkingSet, now: datetime) -> None:
    """Write the changed stations, EVSEs and arms. What is configured about them is not ours to write back."""
    if ws.changed_stations:
        rows = [
            {**asdict(ws.stations[i]), "admission": ws.stations[i].admission.value} for i in sorted(ws.changed_stations)
        ]
        await upsert(connection, t.stations, ["station_id"], rows, keep=("owner_id",))
    if ws.changed_evses:
        evses = []
        for key in sorted(ws.changed_evses):
            row = ws.evses[key]
            values = {name: getattr(row, name) for name in EvseRow.__dataclass_fields__}
            values |= {
                "status": row.status.value,
                "charging_state": row.charging_state.value if row.charging_state else None,
                "waiting": encode(row.waiting) if row.waiting else None,
            }
            evses.append(values)
        await upsert(connection, t.evses, ["station_id", "evse_id"], evses, keep=("label", "tariff_id", "max_power_w"))
    if ws.changed_arms:
        arms = [{**asdict(ws.arms[i]), "state": ws.arms[i].state.value} for i in sorted(ws.changed_arms)]
        await upsert(connection, t.arms, ["arm_id"], arms)


async def upsert(
    connection: AsyncConnection, table: Any, key: list[str], rows: list[dict[str, Any]], *, keep: Iterable[str] = ()
) -> None:
    """Insert ``rows``, or overwrite the ones whose ``key`` is there, but for the columns ``keep``. One statement."""
    await connection.execute(_overwriting(insert_for(connection)(table).values(rows), key, rows, keep))


async def upsert_many(connection: AsyncConnection, table: Any, key: list[str], rows: list[dict[str, Any]]) -> None:
    """As `upsert`, for thousands of rows: one prepared statement, row by row."""
    if rows:
        await connection.execute(_overwriting(insert_for(connection)(table), key, rows), rows)


def _overwriting(insert: Any, key: list[str], rows: list[dict[str, Any]], keep: Iterable[str] = ()) -> Any:
    kept = {*key, *keep}
    changes = {name: insert.excluded[name] for name in rows[0] if name not in kept}
    if changes:
        return insert.on_conflict_do_update(index_elements=key, set_=changes)
    return insert.on_conflict_do_nothing(index_elements=key)
