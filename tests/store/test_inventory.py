"""The inventory: moves that may be, moves that may not, and what the settings file has to say about it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.provision import provision
from csms.settings import SettingsError, load_settings
from csms.terminals.inventory import MOVES, MoveRefusedError, State, Whereabouts, move
from storage import schema as s
from storage import terminal_schema as t
from storage.engine import reading, writing
from tests.estate import FOUNDED, enter, found

SERIAL = "APO20240000001"


async def to(engine: AsyncEngine, state: State, **more: Any) -> State:
    async with writing(engine) as connection:
        return await move(connection, SERIAL, state, by="Kari", reason="because", now=FOUNDED, **more)


async def history(engine: AsyncEngine, serial: str = SERIAL) -> list[tuple[str | None, str, str]]:
    m = t.terminal_moves.c
    async with reading(engine) as connection:
        rows = await connection.execute(select(t.terminal_moves).where(m.serial == serial).order_by(m.move_id))
        return [(row.from_state, row.to_state, row.place) for row in rows]


async def test_every_move_is_written_down_and_no_other_is_made(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csms.terminals.inventory.GUARDS", [])  # the table alone; guards have tests of their own
    await found(engine)
    await enter(engine, SERIAL)
    for at in State:
        for wanted in State:
            async with writing(engine) as connection:
                await connection.execute(update(s.terminals).values(inventory_state=at.value, origin="settings"))
            before = len(await history(engine))
            if wanted is at or wanted in MOVES[at]:
                assert await to(engine, wanted) is at
                moved = wanted is not at
            else:
                with pytest.raises(MoveRefusedError, match=f"is {at}; from there it can become"):
                    await to(engine, wanted)
                moved = False
            assert len(await history(engine)) == before + moved
    with pytest.raises(MoveRefusedError, match="no terminal"):
        async with writing(engine) as connection:
            await move(connection, "NONE", State.STORED, by="Kari", reason="x", now=FOUNDED)


async def test_a_suspension_is_no_way_round_onboarding(engine: AsyncEngine) -> None:
    await found(engine)
    await enter(engine, SERIAL)
    await to(engine, State.SUSPENDED)
    with pytest.raises(MoveRefusedError, match="never live"):
        await to(engine, State.LIVE)
    for state in (State.ONBOARDING, State.LIVE, State.SUSPENDED, State.LIVE):
        await to(engine, state)
    assert [now for _, now, _ in await history(engine)][-2:] == ["suspended", "live"]


async def test_a_move_keeps_or_changes_where_it_is(engine: AsyncEngine) -> None:
    await found(engine)
    await enter(engine, SERIAL, place="box 7")
    await to(engine, State.STORED, whereabouts=Whereabouts(None, "box 7"))  # there already
    await to(engine, State.STORED, whereabouts=Whereabouts("anne-site", "safe"))
    await to(engine, State.IN_REPAIR)
    assert await history(engine) == [
        (None, "stored", "box 7"),
        ("stored", "stored", "anne-site · safe"),
        ("stored", "in repair", "anne-site · safe"),
    ]


def named(database_url: str, *serials: str) -> Any:
    return load_settings(
        None,
        database_url=database_url,
        payter={
            "base_url": "http://127.0.0.1:1",
            "api_key": "k",
            "callback_secret": "s" * 40,
            "card_hash_key": "k" * 40,
        },
        tariffs=[{"tariff_id": "T", "hold": "300", "per_kwh": "10"}],
        stations=[{"station_id": "CP", "evses": [{"evse_id": 1, "tariff_id": "T"}]}],
        terminals=[{"serial": serial, "family": "Apollo", "evses": ["CP/1"]} for serial in serials],
    )


async def test_a_terminal_of_the_settings_file_is_the_operators_own(engine: AsyncEngine, database_url: str) -> None:
    for _ in range(2):
        await provision(engine, named(database_url, "SIM-P66-1"), FOUNDED)
    assert await history(engine, "SIM-P66-1") == [(None, "live", "")]
    async with reading(engine) as connection:
        (row,) = (await connection.execute(select(s.terminals))).all()
    assert (row.origin, row.owner_id, row.inventory_state, row.licence_exempt) == ("settings", "platform", "live", True)
    async with writing(engine) as connection:  # what became of it since is not undone by a start
        await move(connection, "SIM-P66-1", State.SUSPENDED, by="Kari", reason="in doubt", now=FOUNDED)
    await provision(engine, named(database_url, "SIM-P66-1"), FOUNDED)
    async with reading(engine) as connection:
        assert (await connection.execute(select(s.terminals.c.inventory_state))).scalar() == "suspended"


@pytest.mark.parametrize("written", [SERIAL, "apo 20240000001"])
async def test_a_registered_terminal_is_not_taken_over_by_a_settings_file(
    engine: AsyncEngine, database_url: str, written: str
) -> None:
    await found(engine)
    await enter(engine, SERIAL)
    with pytest.raises(SettingsError, match="in the inventory already"):
        await provision(engine, named(database_url, written), FOUNDED)
    async with reading(engine) as connection:
        assert (await connection.execute(select(s.terminals.c.origin))).scalars().all() == ["own"]
        assert (await connection.execute(select(s.tariffs).where(s.tariffs.c.tariff_id == "T"))).first() is None
