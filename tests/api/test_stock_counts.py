"""Stock-taking over the API: what is missing, what is strange, and nothing that changes by itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update

from storage import schema as s
from storage import terminal_schema as t
from storage.engine import reading, writing
from tests.api.owners_calls import Estate
from tests.estate import ANNE, BERIT, enter

HERE, MISSING, STOLEN, ELSEWHERE, BERITS = (f"APO2024000000{n}" for n in range(1, 6))


async def stocked(estate: Estate) -> None:
    for serial in (HERE, MISSING, STOLEN):
        await enter(estate.engine, serial, site_id="anne-site")
    await enter(estate.engine, ELSEWHERE)
    await enter(estate.engine, BERITS, owner_id=BERIT, currency="SEK", site_id="berit-site")
    async with writing(estate.engine) as connection:
        stolen = s.terminals.c.serial == STOLEN
        await connection.execute(update(s.terminals).where(stolen).values(inventory_state="stolen"))


def told(report: Any) -> dict[str, tuple[str, str, str | None]]:
    return {one["serial"]: (one["verdict"], one["kind"], one["proposal"]) for one in report["findings"]}


async def test_a_count_of_a_site(estate: Estate) -> None:
    await stocked(estate)
    async with reading(estate.engine) as connection:
        moves = (await connection.execute(select(func.count()).select_from(t.terminal_moves))).scalar()
    new = {"site_id": "anne-site", "counted_by": "Kari"}
    count = await estate.call("anne", "POST", "/stock-counts", new, status=201)
    path = f"/stock-counts/{count['count_id']}"
    assert (count["owner_id"], count["counted_by"]) == (ANNE, "Kari")
    await estate.call("anne", "POST", f"{path}/finds", {"found": [{"serial": HERE.lower()}, {"serial": STOLEN}]})
    listed = f"Serial;place\n{HERE};safe\n{ELSEWHERE};\n{BERITS};\nNEVER-SEEN;\n".encode()
    shown = await estate.send("anne", f"{path}/finds-list", listed, status=200)
    assert shown["found"] == 5
    assert (await estate.call("anne", "GET", path))["findings"] == []
    report = await estate.call("anne", "POST", f"{path}/end")
    assert told(report) == {
        HERE: ("found", "", None),
        MISSING: ("missing", "not found", "lost"),
        STOLEN: ("strange", "unexpected state", "suspended"),
        ELSEWHERE: ("strange", "other place", None),
        BERITS: ("strange", "not yours", None),
        "NEVER-SEEN": ("strange", "unknown", None),
    }
    assert (report["missing"], report["strange"]) == (1, 4)
    assert BERIT not in str(report)
    assert "berit" not in str(report)
    assert await estate.call("anne", "POST", f"{path}/end") == report
    refused = await estate.call("anne", "POST", f"{path}/finds", {"found": [{"serial": "X"}]}, status=409)
    assert "finished" in refused["detail"]
    async with reading(estate.engine) as connection:  # it proposes, and somebody decides
        assert (await connection.execute(select(func.count()).select_from(t.terminal_moves))).scalar() == moves
    assert (await estate.call("anne", "GET", f"/terminals/{STOLEN}"))["state"] == "stolen"


async def test_the_platform_counts_all(estate: Estate) -> None:
    await stocked(estate)
    count = await estate.call("platform", "POST", "/stock-counts", {"counted_by": "Ola"}, status=201)
    path = f"/stock-counts/{count['count_id']}"
    found = {"found": [{"serial": HERE}, {"serial": BERITS, "site_id": "anne-site"}]}
    await estate.call("platform", "POST", f"{path}/finds", found)
    report = told(await estate.call("platform", "POST", f"{path}/end"))
    assert report[BERITS] == ("strange", "other place", None)
    assert {serial for serial, one in report.items() if one[0] == "missing"} == {MISSING, ELSEWHERE}
    await estate.call("anne", "GET", path, status=404)
    assert (await estate.call("anne", "GET", "/stock-counts"))["items"] == []


async def test_what_is_not_counted(estate: Estate) -> None:
    await stocked(estate)
    for who, new, status in (
        ("anne", {"owner_id": BERIT, "counted_by": "Kari"}, 404),
        ("anne", {"site_id": "berit-site", "counted_by": "Kari"}, 409),
        ("platform", {"site_id": "berit-site", "counted_by": "Ola"}, 409),
        ("platform", {"owner_id": "own_000000000000", "counted_by": "Ola"}, 409),
        ("platform", {"owner_id": ANNE, "counted_by": ""}, 422),
        ("reader", {"counted_by": "Kari"}, 403),
    ):
        await estate.call(who, "POST", "/stock-counts", new, status=status)
    count = await estate.call("anne", "POST", "/stock-counts", {"counted_by": "Kari"}, status=201)
    path = f"/stock-counts/{count['count_id']}"
    await estate.call("berit", "POST", f"{path}/finds", {"found": [{"serial": HERE}]}, status=404)
    await estate.call("berit", "POST", f"{path}/end", status=404)
    pan = "4111" + "1" * 12
    await estate.call("anne", "POST", f"{path}/finds", {"found": [{"serial": pan}]}, status=422)
    refused = await estate.send("anne", f"{path}/finds-list", f"serial\nA1\n{pan}\n".encode(), status=422)
    assert "Line 3" in refused["detail"]
    assert (await estate.call("anne", "GET", path))["found"] == 0
