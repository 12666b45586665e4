"""The check for card numbers: it finds one wherever it is, tells where, and never what."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from csms.cli import main
from csms.pan_check import reflected, scan_database, scan_log
from storage import fleet_schema, schema
from storage.engine import create_engine, reading, writing
from storage.upgrade import upgrade
from tests.databases import Databases
from tests.scale import KINDS

PAN = "4" + "1" * 15
EVENT = {"station_id": "CS1", "action": "DataTransfer", "recorded_at": datetime(2026, 3, 1, tzinfo=UTC)}


async def hits(engine: AsyncEngine) -> list[str]:
    return [str(hit) async for hit in scan_database(engine, await reflected(engine))]


async def test_a_card_number_is_found_in_any_text_of_any_table(engine: AsyncEngine) -> None:
    assert await hits(engine) == []
    async with writing(engine) as connection:
        await connection.execute(text("CREATE TABLE somebodys (note VARCHAR(80))"))
        await connection.execute(
            text(f"INSERT INTO somebodys VALUES ('card {PAN[:4]} {PAN[4:8]} {PAN[8:12]} {PAN[12:]}')")
        )
        rows = [EVENT | {"payload": f'{{"n": {n}}}'} for n in range(1_200)]
        rows[1_100]["payload"] = f'{{"track": "{PAN}=2812"}}'
        await connection.execute(schema.station_events.insert(), rows)
    try:
        found = await hits(engine)
        assert sorted(found) == ["somebodys.note: (no key)", "station_events.payload: 1101"]
        assert not any(PAN in hit for hit in found)
    finally:  # the check that runs over every test's database would find them too
        async with writing(engine) as connection:
            await connection.execute(text("DROP TABLE somebodys"))
            await connection.execute(delete(schema.station_events))


@pytest.mark.parametrize(
    "harmless",
    [
        "************1111",
        "512345******1234",
        "2026-03-01T12:00:00.123456Z 1767225600000",
        "89470000000000000010",  # a SIM card's serial number
        "NO9386011117947",
        "41111111-1111-4111-8111-111111111111",
        "5e41111111111111111b",
        "4111111111111112",  # the check digit is another
        "energy 4111111111111.11 Wh",
    ],
)
async def test_what_only_looks_like_one_raises_no_alarm(harmless: str, engine: AsyncEngine) -> None:
    async with writing(engine) as connection:
        await connection.execute(schema.station_events.insert().values(EVENT | {"payload": harmless}))
        values: dict[str, Any] = {"token_id": "t", "name": harmless, "role": "admin", "token_hash": "0" * 64}
        await connection.execute(fleet_schema.api_tokens.insert().values(values | {"created_at": EVENT["recorded_at"]}))
    assert await hits(engine) == []


def test_logs_are_read_line_by_line_and_across_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("csms.pan_check.PIECE", 100)
    log = tmp_path / "tapvolt.log"
    log.write_text(f"all is well\n{'x' * 190} {PAN} here\nfine\n", encoding="utf-8")
    packed = tmp_path / "old.log.gz"
    packed.write_bytes(gzip.compress(b"\xff\xfe nonsense\n" + PAN.encode() + b"\n"))
    assert {hit.key for hit in scan_log(log)} == {"line 2"}
    assert {hit.key for hit in scan_log(packed)} == {"line 2"}


async def test_the_command_tells_places_and_exits_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    url = f"sqlite:///{tmp_path / 'own.sqlite3'}"
    monkeypatch.setenv("TAPVOLT_DATABASE_URL", url)
    monkeypatch.chdir(tmp_path)
    engine = create_engine(url)
    await upgrade(engine)
    assert await asyncio.to_thread(main, ["pan-check"]) == 0
    assert "no card number found" in capsys.readouterr().out
    async with writing(engine) as connection:
        await connection.execute(schema.station_events.insert().values(EVENT | {"payload": PAN}))
    await engine.dispose()
    log = tmp_path / "a.log"
    log.write_text(f"{PAN}\n")
    assert await asyncio.to_thread(main, ["pan-check", str(log)]) == 1
    told = capsys.readouterr()
    assert "station_events.payload: 1" in told.err
    assert "a.log: line 1" in told.err
    assert PAN not in told.err + told.out
    assert await asyncio.to_thread(main, ["pan-check", str(tmp_path / "none.log")]) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_test_that_leaves_one_fails_and_its_database_goes(kind: str, databases: Databases) -> None:
    within = databases.until_done()
    within.__enter__()
    url = databases.fresh(kind)
    engine = create_engine(url)
    async with writing(engine) as connection:
        await connection.execute(schema.station_events.insert(), [EVENT | {"payload": PAN}])
    await engine.dispose()
    with pytest.raises(AssertionError, match=f"^a card number stands in: {kind}: station_events.payload: 1$"):
        within.__exit__(None, None, None)
    gone = create_engine(url)
    with pytest.raises(DBAPIError):
        async with reading(gone) as connection:
            await connection.execute(select(schema.station_events))
    await gone.dispose()
