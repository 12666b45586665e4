"""A year of inspections, batteries and incidents by a clock moved by hand, with the process there and with it away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.terminals import incidents
from csms.terminals.batteries import record_charge
from csms.terminals.incidents import Kind, Outcome
from csms.terminals.inspections import Findings, Occasion, inspection_due, record_inspection
from csms.terminals.inventory import MoveRefusedError, State, move
from storage import care_schema as t
from storage import schema as s
from storage.engine import reading, writing
from tests.scale import LONG_ON
from tests.store.care_house import OWNER, CareHouse, add_owner, add_terminal, care_house, oslo

BEGIN = oslo(2026, 9, 1, 12)
END = oslo(2027, 9, 1, 12)
GOOD = Findings(damage=False, foreign_stickers=False, unusual_cables=False, logo_at_power_on=True)
BAD = Findings(damage=False, foreign_stickers=True, unusual_cables=False, logo_at_power_on=True)
#: Weeks in which nobody looks: an ordinary one, and the two in which the clock is changed.
FORGOTTEN = {date(2026, 10, 19), date(2027, 1, 11), date(2027, 3, 22)}

Event = tuple[datetime, Callable[[CareHouse], Awaitable[Any]]]


async def inspect(
    house: CareHouse, serial: str = "L1", findings: Findings = GOOD, occasion: Occasion = Occasion.WEEKLY
) -> Any:
    now = house.clock.now()
    async with writing(house.engine) as connection:
        return await record_inspection(
            connection,
            serial,
            occasion,
            findings,
            made_at=now,
            inspected_by="Kari",
            remarks="",
            recorded_by="test",
            now=now,
        )


async def place(house: CareHouse, serial: str, to: State) -> None:
    async with writing(house.engine) as connection:
        await move(connection, serial, to, by="test", reason="test", now=house.clock.now())
    house.service.wake(house.clock.now())


async def charge(house: CareHouse, charged_on: date) -> None:
    async with writing(house.engine) as connection:
        await record_charge(
            connection, "A1", charged_on=charged_on, charged_by="Kari", recorded_by="test", now=house.clock.now()
        )


async def report(house: CareHouse, serial: str, kind: Kind) -> None:
    async with writing(house.engine) as connection:
        await incidents.report(connection, serial, kind, description="seen", by="Kari", now=house.clock.now())
    house.service.wake(house.clock.now())


def weekly(begin: datetime, end: datetime) -> list[Event]:
    """Somebody looks at L1 each Wednesday, but in three weeks."""
    events: list[Event] = []
    day = date(2026, 9, 2)
    while (at := oslo(day.year, day.month, day.day, 10)) < end:
        if at > begin and day - timedelta(days=2) not in FORGOTTEN:
            events.append((at, inspect))
        day += timedelta(days=7)
    return events


async def live_through(house: CareHouse, events: list[Event], away: tuple[tuple[datetime, datetime], ...]) -> None:
    """Play the year's events in order. ``away``: when the process is not there; people find it back up."""
    for at, act in sorted(events, key=lambda event: event[0]):
        for begin, end in away:
            if house.clock.now() < begin <= at:
                await house.until(begin)
                await house.down_until(end)
        await house.until(max(at, house.clock.now()))
        await act(house)
        await house.settle()
    await house.until(END)


EVENTS: list[Event] = [
    *weekly(BEGIN, END),
    (oslo(2026, 11, 30, 9), lambda house: place(house, "A1", State.STORED)),
    (oslo(2026, 11, 30, 10), lambda house: inspect(house, "A1", GOOD, Occasion.BEFORE_STORAGE)),
    (oslo(2027, 3, 3, 9), lambda house: charge(house, date(2027, 2, 28))),
    # Twenty hours before the clock is put forward, and another before it is put back.
    (oslo(2027, 3, 27, 6), lambda house: report(house, "D1", Kind.DAMAGE)),
    (oslo(2026, 10, 24, 20), lambda house: report(house, "D2", Kind.THEFT)),
]

AWAY = (
    (oslo(2026, 10, 25, 1), oslo(2026, 10, 27, 9)),  # over two reminders of a notice, and a day of 25 hours
    (oslo(2026, 12, 20, 12), oslo(2026, 12, 23, 9)),
    (oslo(2027, 2, 12, 12), oslo(2027, 2, 16, 12)),  # over the reminder a fortnight before
    (oslo(2027, 2, 27, 12), oslo(2027, 3, 2, 12)),  # over the day on which the battery is due
    (oslo(2027, 3, 27, 12), oslo(2027, 3, 30, 3)),  # over the whole clock of a notice, and a day of 23 hours
)


async def year(engine: AsyncEngine, away: tuple[tuple[datetime, datetime], ...]) -> dict[str, Any]:
    await add_owner(engine)
    await add_terminal(engine, "L1")
    await add_terminal(engine, "A1", family="Apollo Max")
    for serial in ("D1", "D2"):  # suspended when an incident is reported about them
        await add_terminal(engine, serial, state="onboarding")
    async with care_house(engine, BEGIN) as house:
        await live_through(house, EVENTS, away)
        found = await house.reminders()
    d = t.inspection_duties.c
    async with reading(engine) as connection:
        duties = (await connection.execute(select(t.inspection_duties).where(d.serial == "L1"))).all()
        states = {
            row.serial: row.inventory_state
            for row in await connection.execute(select(s.terminals.c.serial, s.terminals.c.inventory_state))
        }
    mondays = [date(2026, 8, 31) + timedelta(days=7 * n) for n in range(53)]
    assert sorted(row.duty_key for row in duties) == [f"weekly:L1:{monday}" for monday in mondays]
    assert all(row.done_at is not None for row in duties)
    assert {row.duty_key[-10:] for row in duties if row.done_at > row.due_at} == {str(day) for day in FORGOTTEN}
    assert states == {"L1": "live", "A1": "stored", "D1": "suspended", "D2": "stolen"}
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("database_url", LONG_ON, indirect=True)
@pytest.mark.parametrize("away", [(), AWAY], ids=["there", "away"])
async def test_a_year_does_nothing_twice_and_skips_nothing(
    engine: AsyncEngine, away: tuple[tuple[datetime, datetime], ...]
) -> None:
    found = await year(engine, away)
    inc = {row.incident_id: row for row in await _incidents(engine)}
    theft, damage = (next(one for one in inc.values() if one.serial == serial) for serial in ("D2", "D1"))
    expected = {f"inspection:weekly:L1:{monday}:overdue" for monday in FORGOTTEN}
    # Weeks of A1, live from September to November, in which nobody looked at it.
    first = date(2026, 8, 31)
    weeks = [first + timedelta(days=7 * n) for n in range(13)]
    expected |= {f"inspection:weekly:A1:{monday}:overdue" for monday in weeks}
    (stored,) = {key for key in found if key.startswith("inspection:before storage:A1:")}
    assert stored.endswith(":due")
    expected.add(stored)
    expected |= {"battery:A1:2027-02-28:soon", "battery:A1:2027-02-28:due", "battery:A1:2027-02-28:missed"}
    expected |= {"battery:A1:2027-05-28:soon", "battery:A1:2027-05-28:due", "battery:A1:2027-05-28:missed"}
    for row in (theft, damage):
        expected |= {f"notice:{row.incident_id}:{hours}:{OWNER}" for hours in (0, 12, 20, 24)}
        expected |= {f"notice:{row.incident_id}:{hours}:platform" for hours in (0, 24)}
    assert set(found) == expected
    for row in (theft, damage):
        assert row.notice_due_at - row.reported_at == timedelta(hours=24)
        for hours in (12, 20, 24):
            late = found[f"notice:{row.incident_id}:{hours}:{OWNER}"].created_at - row.reported_at
            assert late == timedelta(hours=hours) if not away else late >= timedelta(hours=hours)
    assert "tamper mode" in found["battery:A1:2027-05-28:missed"].body
    if not away:
        made = {key: found[f"battery:A1:2027-02-28:{key}"].created_at for key in ("soon", "due", "missed")}
        assert made == {
            "soon": oslo(2027, 2, 14, 4),
            "due": oslo(2027, 2, 28, 4),
            "missed": oslo(2027, 3, 1, 4),
        }


async def _incidents(engine: AsyncEngine) -> list[Any]:
    async with reading(engine) as connection:
        return list(await connection.execute(select(t.incidents)))


async def test_a_failed_inspection_takes_the_terminal_out_of_use_until_one_passes(engine: AsyncEngine) -> None:
    await add_owner(engine)
    await add_terminal(engine, "L1")
    async with care_house(engine, BEGIN) as house:
        inspected = await inspect(house, "L1", BAD)
        assert (inspected.passed, inspected.incident_number) == (False, 1)
        with pytest.raises(MoveRefusedError, match="open incident, number 1 \\(tampering\\)"):
            await place(house, "L1", State.LIVE)
        async with writing(engine) as connection:
            row = await incidents.locked(connection, inspected.incident_id)
            assert (row.was_state, row.inspection_id) == ("live", inspected.inspection_id)
            alarm = Outcome.FALSE_ALARM
            await incidents.close(connection, row, alarm, by="Ola", remarks="", put_back=False, now=house.clock.now())
        with pytest.raises(MoveRefusedError, match="last inspection of terminal L1 failed"):
            await place(house, "L1", State.LIVE)
        await house.clock.advance(60)
        assert (await inspect(house)).passed
        await place(house, "L1", State.LIVE)


async def test_a_terminal_goes_live_out_of_storage_only_past_an_inspection(engine: AsyncEngine) -> None:
    await add_owner(engine)
    await add_terminal(engine, "L1")
    await add_terminal(engine, "NEW", state="stored")
    async with care_house(engine, BEGIN) as house:
        await place(house, "L1", State.STORED)
        await house.clock.advance(86_400)
        for serial in ("L1", "NEW"):
            await place(house, serial, State.ONBOARDING)
        await place(house, "NEW", State.LIVE)  # it has never been live: its onboarding looks at it
        with pytest.raises(MoveRefusedError, match="comes out of storage"):
            await place(house, "L1", State.LIVE)
        found = await house.reminders()
        assert {key.split(":")[1] for key in found} == {"before storage", "after storage"}
        await inspect(house)  # a weekly one is not what is owed
        async with reading(engine) as connection:
            assert "after storage" in await inspection_due(connection, "L1")
        await inspect(house, "L1", GOOD, Occasion.AFTER_STORAGE)
        await place(house, "L1", State.LIVE)
        async with reading(engine) as connection:
            duties = {row.occasion: row for row in await connection.execute(select(t.inspection_duties))}
        assert duties["before storage"].lapsed_at is not None  # nobody made it while it was there
        assert duties["after storage"].done_at is not None


async def test_a_terminal_that_is_not_live_at_the_end_of_the_week_owes_nothing(engine: AsyncEngine) -> None:
    await add_owner(engine)
    await add_terminal(engine, "L1")
    async with care_house(engine, oslo(2026, 9, 7, 3)) as house:
        await house.until(oslo(2026, 9, 10, 12))
        await place(house, "L1", State.SUSPENDED)
        await house.until(oslo(2026, 9, 30))
        assert await house.reminders() == {}
        async with reading(engine) as connection:
            (duty,) = (await connection.execute(select(t.inspection_duties))).all()
        assert (duty.done_at, duty.lapsed_at) == (None, oslo(2026, 9, 14, 4))


async def test_the_notice_ends_the_reminders(engine: AsyncEngine) -> None:
    await add_owner(engine)
    await add_terminal(engine, "L1")
    async with care_house(engine, datetime(2026, 9, 1, tzinfo=UTC)) as house:
        await report(house, "L1", Kind.LOSS)
        await house.clock.advance(13 * 3600)
        await house.settle()
        async with writing(engine) as connection:
            (row,) = (await connection.execute(select(t.incidents))).all()
            notice = dict.fromkeys(incidents.NOTICE, "written") | {"contacts": [{"name": "Kari", "phone": "1"}]}
            await incidents.amend(connection, row, notice, by="Kari", now=house.clock.now())
            row = await incidents.locked(connection, row.incident_id)
            await incidents.give_notice(connection, row, by="Kari", now=house.clock.now())
        await house.until(house.clock.now() + timedelta(days=3))
        hours = sorted(int(key.split(":")[2]) for key in await house.reminders() if key.endswith(OWNER))
        assert hours == [0, 12]
