"""The directories of `sessions.directory`, answered from the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.payment import Payment
from billing.price_text import describe_price
from sessions.clock import Clock
from sessions.directory import (
    Admission,
    ArmRecord,
    ArmState,
    ReceiptRecord,
    StationRecord,
    TerminalEvse,
    TerminalRecord,
)
from sessions.facts import EvseStatus, TokenStatus
from sessions.rows import insert_for, load_tariffs, out_of_service, token_record
from sessions.tables import CLAIMING, RUNNING, Charging
from sessions.tokens import ONE_TIME, UNKNOWN, TokenRecord
from storage import charging_profile_schema, device_model_schema, energy_schema, onboarding_schema
from storage import schema as t
from storage.engine import reading, writing

_T = onboarding_schema.test_transactions.c
#: Terminals whose reader a test transaction has: from when it is asked for until its hold is placed, or it has failed.
_TRIALS = select(_T.serial).where(_T.ended_at.is_(None), _T.held_at.is_(None))


class SqlDirectory:
    """Implements `StationDirectory` and `TerminalDirectory`."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def station(self, station_id: str) -> StationRecord | None:
        """The station, None if never heard of."""
        async with reading(self._engine) as connection:
            query = select(t.stations).where(t.stations.c.station_id == station_id)
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        return StationRecord(
            station_id=row.station_id,
            admission=Admission(row.admission),
            password_hash=row.password_hash,
            connected=row.connected,
            epoch=row.epoch,
            version=row.version,
            serial_number=row.serial_number,
            security_profile=row.security_profile,
            pending_hashes=tuple(map(tuple, orjson.loads(row.password_pending or "[]"))),
        )

    async def register_station(self, station_id: str, admission: Admission, password_hash: str | None) -> None:
        """See `StationDirectory.register_station`."""
        async with writing(self._engine) as connection:
            insert = insert_for(connection)(t.stations).values(
                station_id=station_id,
                admission=admission.value,
                password_hash=password_hash,
                seen_at=self._clock.now(),
            )
            await connection.execute(insert.on_conflict_do_nothing(index_elements=["station_id"]))

    async def adopt_password(self, station_id: str, password_hash: str) -> None:
        """See `StationDirectory.adopt_password`."""
        c = t.stations.c
        async with writing(self._engine) as connection:
            query = select(c.password_pending).where(c.station_id == station_id).with_for_update()
            pending = (await connection.execute(query)).scalar()
            changes: list[list[str]] = orjson.loads(pending or "[]")
            # One that was sent after it may still take effect.
            later = next((changes[n + 1 :] for n, forms in enumerate(changes) if password_hash in forms), [])
            values = {
                "password_hash": password_hash,
                "password_pending": orjson.dumps(later).decode() if later else None,
            }
            await connection.execute(update(t.stations).where(c.station_id == station_id).values(values))

    async def token(self, id_token: str) -> TokenRecord:
        """See `StationDirectory.token`."""
        folded = id_token.upper()
        async with reading(self._engine) as connection:
            row = (await connection.execute(select(t.id_tokens).where(t.id_tokens.c.id_token == folded))).first()
            if row is not None:
                return token_record(row)
            live = [state.value for state in (*CLAIMING, *RUNNING)]
            one_time = select(t.sessions.c.session_id).where(
                t.sessions.c.id_token == folded, t.sessions.c.charging.in_(live), t.sessions.c.origin != "unauthorised"
            )
            found = (await connection.execute(one_time.limit(1))).first()
        return ONE_TIME if found else UNKNOWN

    async def cost_limit_supported(self, station_id: str) -> bool | None:
        """See `StationDirectory.cost_limit_supported`."""
        v = device_model_schema.variables.c
        mine = (v.station_id == station_id, v.component == "TxCtrlr", v.variable == "SupportedLimits")
        async with reading(self._engine) as connection:
            told = (await connection.execute(select(v.value).where(*mine, v.attribute == "Actual"))).scalar()
        return None if told is None else "MaxCost" in {name.strip() for name in told.split(",")}

    async def payment_status(self, station_id: str, reference: str) -> TokenStatus:
        """See `StationDirectory.payment_status`."""
        s = t.sessions.c
        told = and_(s.station_id == station_id, s.id_token == reference.upper()[:64])
        mine = or_(s.payment_ref == reference[:64], told)
        async with reading(self._engine) as connection:
            known = [Charging(state) for state in (await connection.execute(select(s.charging).where(mine))).scalars()]
        live = any(state in CLAIMING | RUNNING for state in known)
        return TokenStatus.ACCEPTED if live or not known else TokenStatus.INVALID

    async def tx_profile(self, station_id: str, evse_id: int) -> dict[str, Any] | None:
        """See `StationDirectory.tx_profile`."""
        p = charging_profile_schema.charging_profiles.c
        mine = (p.station_id == station_id, p.evse_id == evse_id, p.purpose == "TxProfile")
        async with reading(self._engine) as connection:
            query = select(p.body).where(*mine).order_by(p.stack_level.desc()).limit(1)
            body = (await connection.execute(query)).scalar()
        return orjson.loads(body) if body is not None else None

    async def dynamic_limits(self, station_id: str, profile_id: int) -> dict[str, Any] | None:
        """See `StationDirectory.dynamic_limits`."""
        d = energy_schema.dynamic_schedules.c
        query = select(d.limits).where(d.station_id == station_id, d.profile_id == profile_id)
        async with reading(self._engine) as connection:
            limits = (await connection.execute(query)).scalar()
        return orjson.loads(limits) if limits is not None else None

    async def receipt(self, session_id: str) -> ReceiptRecord | None:
        """See `StationDirectory.receipt`."""
        async with reading(self._engine) as connection:
            sale = (t.receipts.c.session_id == session_id, t.receipts.c.kind == "sale")
            query = select(t.receipts.c.document).where(*sale)
            document = (await connection.execute(query)).scalar()
        if document is None:
            return None
        issued = orjson.loads(document)
        return ReceiptRecord(number=issued["number"], url=issued["url"])

    async def terminals(self) -> tuple[TerminalRecord, ...]:
        """All terminals."""
        return await self._terminals(None)

    async def terminal(self, serial: str) -> TerminalRecord | None:
        """One terminal."""
        found = await self._terminals(serial)
        return found[0] if found else None

    async def _terminals(self, serial: str | None) -> tuple[TerminalRecord, ...]:
        terminals = select(t.terminals).order_by(t.terminals.c.serial)
        places = (
            select(t.terminal_evses, t.evses.c.label, t.evses.c.status, t.evses.c.tariff_id, t.stations.c.connected)
            .outerjoin(
                t.evses,
                and_(
                    t.evses.c.station_id == t.terminal_evses.c.station_id,
                    t.evses.c.evse_id == t.terminal_evses.c.evse_id,
                ),
            )
            .outerjoin(t.stations, t.stations.c.station_id == t.terminal_evses.c.station_id)
            .order_by(t.terminal_evses.c.serial, t.terminal_evses.c.position)
        )
        if serial is not None:
            terminals = terminals.where(t.terminals.c.serial == serial)
            places = places.where(t.terminal_evses.c.serial == serial)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(terminals)).all()
            served = (await connection.execute(places)).all()
            on_trial = set((await connection.execute(_TRIALS)).scalars())
            tariffs = await load_tariffs(connection)
            closed = {row.serial: out_of_service(row, self._clock.now()) for row in rows}
            charging = await _charging(connection, [name for name, why in closed.items() if why == "licence"])
        records = []
        for row in rows:
            here = [place for place in served if place.serial == row.serial]
            sold = [tariffs[place.tariff_id] for place in here if place.tariff_id in tariffs]
            sold = [tariff for tariff in sold if tariff.currency == row.currency]
            records.append(
                TerminalRecord(
                    serial=row.serial,
                    family=row.family,
                    currency=row.currency,
                    language=row.language,
                    hold_minor=max((tariff.hold_minor for tariff in sold), default=0),
                    price_text=describe_price(sold[0], row.language) if sold else "",
                    account_id=row.account_id,
                    out_of_service=closed[row.serial],
                    stops_only=row.serial in charging,
                    on_trial=row.serial in on_trial,
                    evses=tuple(
                        TerminalEvse(
                            station_id=place.station_id,
                            evse_id=place.evse_id,
                            label=place.label or f"{place.station_id} {place.evse_id}",
                            status=EvseStatus(place.status) if place.status else EvseStatus.UNAVAILABLE,
                            station_connected=bool(place.connected),
                        )
                        for place in here
                    ),
                )
            )
        return tuple(records)

    async def latest_arm(self, serial: str) -> ArmRecord | None:
        """The terminal's newest interaction."""
        return await self._arm(t.arms.c.serial == serial)

    async def arm(self, arm_id: str) -> ArmRecord | None:
        """One interaction."""
        return await self._arm(t.arms.c.arm_id == arm_id)

    async def _arm(self, which: object) -> ArmRecord | None:
        query = select(t.arms).where(which).order_by(t.arms.c.opened_at.desc()).limit(1)  # type: ignore[arg-type]
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        return ArmRecord(
            arm_id=row.arm_id,
            serial=row.serial,
            state=ArmState(row.state),
            hold_minor=row.hold_minor,
            opened_at=row.opened_at,
            account_id=row.account_id,
        )

    async def interaction_pending(self, arm_id: str) -> bool:
        """See `TerminalDirectory.interaction_pending`. Commands that need the card carry the arm's id in their key."""
        o, s = t.outbox.c, t.sessions.c
        commands = select(o.command_key).where(
            o.done_at.is_(None), or_(o.command_key.contains(arm_id, autoescape=True))
        )
        choosing = select(s.session_id).where(s.arm_id == arm_id, s.charging == Charging.CHOOSING.value)
        asking = select(s.session_id).where(s.arm_id == arm_id, s.payment == Payment.AUTHORISING.value)
        async with reading(self._engine) as connection:
            for query in (commands, choosing, asking):
                if (await connection.execute(query.limit(1))).first() is not None:
                    return True
        return False


async def _charging(connection: AsyncConnection, serials: Sequence[str]) -> set[str]:
    """Of these terminals, the ones at which a charge was started that still runs, or is about to."""
    if not serials:
        return set()
    s = t.sessions.c
    live = [state.value for state in (*CLAIMING, *RUNNING)]
    query = select(s.terminal_serial).where(s.open, s.terminal_serial.in_(serials), s.charging.in_(live))
    return set((await connection.execute(query.distinct())).scalars())
