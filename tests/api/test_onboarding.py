"""Onboarding over the API: attachments, comments, waivers, imports, and that an owner's is that owner's alone."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openpyxl import Workbook, load_workbook
from sqlalchemy import delete, select

from csms.web.api.api import operations
from storage import onboarding_schema as o
from storage import schema as t
from storage.engine import reading, writing
from tests.conformance.bench import Bench
from tests.databases import Databases
from tests.journeys.onboarding_stage import OTHER, OWNER, SERIAL, Rig, onboarding
from tests.unit.bridge.test_payter_objects import luhn_valid

PNG = b"\x89PNG\r\n\x1a\n" + zlib.compress(b"picture" * 100)
CARD = luhn_valid("4")
HEADER = b"terminal serial,origin,processor,station,comment\n"


@pytest_asyncio.fixture
async def rig(database_url: str, tmp_path: Path) -> AsyncIterator[Rig]:
    files = {"folder": tmp_path / "files"}
    limits = {"max_attachment_bytes": 4096, "max_import_rows": 20}
    async with onboarding(database_url, connect=False, files=files, onboarding=limits) as made:
        yield made


async def terminals(rig: Rig, *serials: str, **values: Any) -> None:
    """More stored terminals of the owner."""
    row = {
        "family": "P66",
        "currency": "NOK",
        "language": "nb",
        "owner_id": OWNER,
        "inventory_state": "stored",
    } | values
    for serial in serials:
        await rig.write(t.terminals.insert().values(serial=serial, licence_exempt=False, **row))


async def attach(rig: Rig, content: bytes, name: str = "photo.png", *, status: int = 201, token: str = "") -> Any:
    path = f"/onboarding-cases/1/attachments?name={name}"
    return await rig.api("POST", path, raw=content, status=status, token=token)


# --- attachments and comments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "kept", "media_type"),
    [
        (PNG, "photo.png", "photo.png", "image/png"),
        (b"\xff\xd8\xff\xe0 picture", "photo.JPEG", "photo.JPEG", "image/jpeg"),
        (b"RIFF0000WEBPVP8 \xff", "a.webp", "a.webp", "image/webp"),
        (b"%PDF-1.7 \xff\xff", "..%2F..%2Fetc%2Fpasswd", "passwd.pdf", "application/pdf"),
        ("Alt i orden – kjøl".encode(), "note.html", "note.html.txt", "text/plain"),
        (PNG, "%22%0d%0aSet-Cookie:%20a.svg", "Set-Cookie_a.svg.png", "image/png"),
    ],
    ids=range(6),
)
async def test_an_attachment_comes_back_as_it_was(
    rig: Rig, content: bytes, name: str, kept: str, media_type: str
) -> None:
    await rig.start()
    made = await attach(rig, content, name)
    assert (made["name"], made["media_type"], made["size"]) == (kept, media_type, len(content))
    assert made["sha256"] == hashlib.sha256(content).hexdigest()
    url = f"http://127.0.0.1:{rig.on.app.http_port}/api/v1/onboarding-cases/1/attachments/{made['attachment_id']}"
    async with rig.http.get(url, headers={"Authorization": f"Bearer {rig.owner}"}) as answer:
        assert await answer.read() == content
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{kept}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert [a["name"] for a in (await rig.case(1))["attachments"]] == [kept]
    history = (await rig.api("GET", "/onboarding-cases/1/history"))["items"]
    assert history[-1]["kind"] == "attachment"


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 415, "Attach a JPEG"),
        (b"MZ\x90\x00\xff", 415, "Attach a JPEG"),
        (b"<html>\xe6</html>", 415, "Attach a JPEG"),
        (b"text with \x00", 415, "Attach a JPEG"),
        (f"the card was {CARD[:4]} {CARD[4:8]} {CARD[8:12]} {CARD[12:]}, it worked".encode(), 415, "card number"),
        (PNG + b"x" * 4096, 413, "4096 bytes"),
    ],
    ids=range(6),
)
async def test_what_is_not_taken_is_not_kept(rig: Rig, content: bytes, status: int, says: str) -> None:
    await rig.start()
    assert says in (await attach(rig, content, status=status))["detail"]
    assert (await rig.case(1))["attachments"] == []
    folder: Path = rig.on.app.settings.files.folder
    assert [path for path in folder.rglob("*") if path.is_file()] == []


async def test_comments_stay_and_hold_no_card_numbers(rig: Rig) -> None:
    await rig.start()
    await rig.api("POST", "/onboarding-cases/1/comments", {"text": "The door was locked."}, status=204)
    refused = await rig.api("POST", "/onboarding-cases/1/comments", {"text": CARD}, status=409)
    assert "card number" in refused["detail"]
    await rig.api("POST", "/onboarding-cases/1/cancel", {"reason": "moved"})
    await rig.api("POST", "/onboarding-cases/1/comments", {"text": "It came back."}, status=204)
    page = await rig.api("GET", "/onboarding-cases/1/history?limit=2")
    assert page["items"][0]["kind"] == "started"
    rest = await rig.api("GET", f"/onboarding-cases/1/history?limit=50&after={page['next']}")
    said = [e["text"] for e in page["items"] + rest["items"] if e["kind"] == "comment"]
    assert said == ["The door was locked.", "It came back."]


async def test_a_named_person_confirms_and_says_what_is_asked_for(rig: Rig) -> None:
    await rig.start()
    step = "/onboarding-cases/1/steps/inventory/confirmation"
    await rig.api("POST", step, {"person": "K", "passed": True}, status=422)
    refused = await rig.api("POST", step, {"person": "Kari Nordmann", "passed": True}, status=409)
    assert "location, authorised personnel" in refused["detail"]
    refused = await rig.confirm(1, "logo", status=409)
    assert "connected must have passed first" in refused["detail"]
    refused = await rig.confirm(1, "housing", passed=False, status=409)
    assert "what is wrong" in refused["detail"]
    refused = await rig.confirm(1, "nothing", status=409)
    assert "has no step 'nothing'" in refused["detail"]
    case = await rig.confirm(1, "inventory")
    assert case["place"] == "By the entrance"
    done = next(s for s in case["steps"] if s["code"] == "inventory")
    assert done["checked_by"].startswith("Kari Nordmann (Eier (")


async def test_only_the_platforms_admin_waives_and_only_what_may_be(rig: Rig) -> None:
    await rig.start()
    path, why = "/onboarding-cases/1/steps/{}/waiver", {"reason": "New from the factory."}
    await rig.api("POST", path.format("storage_test"), why, status=403)
    case = await rig.api("POST", path.format("storage_test"), why, token=rig.admin)
    waived = next(s for s in case["steps"] if s["code"] == "storage_test")
    assert (waived["state"], waived["result"]) == ("waived", "New from the factory.")
    refused = await rig.api("POST", path.format("housing"), why, status=409, token=rig.admin)
    assert "guards the drivers' cards" in refused["detail"]


async def test_cases_are_filtered(rig: Rig) -> None:
    await terminals(rig, "N2")
    await rig.start()
    await rig.start(serial="N2")
    await rig.confirm(2, "housing", passed=False, note="broken")
    for query, found in (("", [2, 1]), ("?state=open", [1]), ("?waiting_for=owner", [2]), ("?serial=N1", [1])):
        listed = await rig.api("GET", f"/onboarding-cases{query}")
        assert [case["case_id"] for case in listed["items"]] == found
    assert (await rig.api("GET", f"/onboarding-cases?owner_id={OTHER}", token=rig.admin))["items"] == []


# --- isolation --------------------------------------------------------------------------------------------------------


async def test_another_owners_user_finds_nothing(rig: Rig) -> None:
    await rig.start()
    attachment = await attach(rig, PNG)
    report = await rig.api("POST", "/onboarding-imports", raw=HEADER + b"N1,integrated,,,\n")
    values = {
        "case_id": 1,
        "step": "housing",
        "attachment_id": attachment["attachment_id"],
        "import_id": report["import_id"],
    }
    bodies: dict[str, Any] = {
        "confirm_onboarding_step": {"person": "Nabo Nabosen", "passed": True},
        "cancel_onboarding": {"reason": "mine now"},
        "comment_onboarding": {"text": "hello"},
    }
    before = await rig.case(1)
    mine = [o for o in operations() if o.tag == "onboarding" and o.owners and o.parameters]
    assert len(mine) > 8
    for operation in mine:
        path = operation.path.format(**values)
        body = bodies.get(operation.operation_id)
        raw = PNG if operation.takes_file else None
        answer = await rig.api(operation.method, path, body, status=404, token=rig.stranger, raw=raw)
        assert answer["detail"] == "There is none of yours with this name.", operation.operation_id
    assert await rig.case(1) == before
    for path in ("/onboarding-cases", "/onboarding-imports"):
        assert (await rig.api("GET", path, token=rig.stranger))["items"] == []
        assert len((await rig.api("GET", path))["items"]) == 1
    body = {"serial": SERIAL, "origin": "own"}
    refused = await rig.api("POST", "/onboarding-cases", body, status=404, token=rig.stranger)
    unknown = await rig.api("POST", "/onboarding-cases", body | {"serial": "NX"}, status=404, token=rig.stranger)
    assert refused["detail"].replace(SERIAL, "NX") == unknown["detail"]
    stolen = await rig.api("POST", "/onboarding-imports", raw=HEADER + b"N1,integrated,,,\n", token=rig.stranger)
    [row] = stolen["rows"]
    assert (row["outcome"], row["case_id"]) == ("refused", None)


# --- import -----------------------------------------------------------------------------------------------------------


def as_xlsx(raw: bytes) -> bytes:
    book, made = Workbook(), io.BytesIO()
    assert book.active is not None
    for line in raw.decode().splitlines():
        book.active.append(line.split(","))
    book.save(made)
    return made.getvalue()


@pytest.mark.parametrize("convert", [bytes, as_xlsx], ids=["csv", "xlsx"])
async def test_an_import_row_by_row(rig: Rig, convert: Any) -> None:
    await terminals(rig, "N2", "N3", "N4", "N6", "N8")
    await terminals(rig, "N5", owner_id=OTHER)
    await terminals(rig, "N7", inventory_state="stolen")
    rows = (
        b"N1,integrated,platform,CP,by the door\n"
        b"N2,OWN,,,\n"
        b"N2,own,,,\n"
        b",own,,,\n"
        b"N3,borrowed,theirs,,\n"
        b"N4,own,own,,\n"
        b"N5,own,,,\n"
        b"N6,own,,CP,\n"
        b"N7,own,,,\n"
        b"N<8>,own,,,\n"
    )
    rows += f"N8,own,,,{CARD}\n".encode()
    content = convert(HEADER + rows)
    report = await rig.api("POST", "/onboarding-imports?name=list.csv", raw=content)
    assert (report["started"], report["already"], report["refused"]) == (2, 0, 9)
    seen = {row["row"]: row for row in report["rows"]}
    assert [seen[n]["outcome"] for n in (2, 3)] == ["started", "started"]
    reasons = {n: [(p["column"], p["reason"]) for p in row["problems"]] for n, row in seen.items()}
    assert [column for column, _ in reasons[6]] == ["origin", "processor"]
    for n, column, says in (
        (4, "terminal serial", "row 3 already"),
        (5, "terminal serial", "missing"),
        (6, "origin", "integrated, own"),
        (7, "processor", "write platform"),
        (8, "terminal serial", "no terminal 'N5'"),
        (9, "station", "no station yet"),
        (10, "terminal serial", "is stolen"),
        (11, "terminal serial", "looks like that"),
        (12, "comment", "card number"),
    ):
        assert reasons[n][0][0] == column
        assert says in reasons[n][0][1], (n, reasons[n])
    history = (await rig.api("GET", f"/onboarding-cases/{seen[2]['case_id']}/history"))["items"]
    assert [e["text"] for e in history if e["kind"] == "comment"] == ["by the door"]
    # The same file again starts nothing twice; neither does a corrected one for what is there.
    again = await rig.api("POST", "/onboarding-imports", raw=content)
    assert (again["started"], again["already"], again["refused"]) == (0, 2, 9)
    assert [row["case_id"] for row in again["rows"]][:2] == [seen[2]["case_id"], seen[3]["case_id"]]
    corrected = await rig.api("POST", "/onboarding-imports", raw=HEADER + b"N1,integrated,,,\nN3,own,,,\n")
    assert (corrected["started"], corrected["already"]) == (1, 1)
    assert await rig.api("GET", f"/onboarding-imports/{report['import_id']}") == report
    assert len((await rig.api("GET", "/onboarding-cases"))["items"]) == 3


async def test_a_file_whose_case_has_ended_is_not_begun_again(rig: Rig) -> None:
    content = HEADER + b"N1,integrated,,,\n"
    await rig.api("POST", "/onboarding-imports", raw=content)
    await rig.api("POST", "/onboarding-cases/1/cancel", {"reason": "wrong one"})
    again = await rig.api("POST", "/onboarding-imports", raw=content)
    assert [(r["outcome"], r["case_id"]) for r in again["rows"]] == [("already", 1)]


async def test_the_same_file_many_times_at_once(rig: Rig) -> None:
    await terminals(rig, *(f"M{n}" for n in range(8)))
    content = HEADER + b"".join(b"M%d,own,,,\n" % n for n in range(8))
    reports = await asyncio.gather(*(rig.api("POST", "/onboarding-imports", raw=content) for _ in range(4)))
    assert sum(report["started"] for report in reports) == 8
    assert sum(report["refused"] for report in reports) == 0
    assert len((await rig.api("GET", "/onboarding-cases"))["items"]) == 8
    async with reading(rig.on.app.engine) as connection:
        numbers = (await connection.execute(select(o.onboarding_cases.c.case_id))).scalars()
        assert sorted(numbers) == list(range(1, 9))  # running numbers, without gaps


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"x" * 4_194_305, 413, "4 MB"),
        (b"serial,origin\n", 422, "terminal serial"),
        (HEADER + b"N1,own,,,\n" * 21, 422, "more than 20 rows"),
        (b"PK\x03\x04junk", 422, "workbook cannot be read"),
    ],
    ids=range(4),
)
async def test_a_file_that_cannot_be_read_starts_nothing(rig: Rig, content: bytes, status: int, says: str) -> None:
    assert says in (await rig.api("POST", "/onboarding-imports", raw=content, status=status))["detail"]
    assert (await rig.api("GET", "/onboarding-cases"))["items"] == []


async def test_the_templates(rig: Rig) -> None:
    """They are of one's own terminals, and can be sent back as they are but for what is missing."""
    made = (await rig.api("GET", "/onboarding-import-template")).decode("utf-8-sig").splitlines()
    assert made == ["terminal serial,origin,processor,station,comment", "N1,,platform,CP,"]
    others = await rig.api("GET", "/onboarding-import-template", token=rig.stranger)
    assert b"N1" not in others
    book = load_workbook(io.BytesIO(await rig.api("GET", "/onboarding-import-template?format=xlsx")))
    assert book.active is not None
    assert book.active["A1"].value == "terminal serial"


async def test_a_terminal_without_a_place(databases: Databases) -> None:
    async with onboarding(databases.fresh("sqlite"), connect=False) as rig:
        await rig.start()
        await rig.write(delete(t.terminal_evses).where(t.terminal_evses.c.serial == SERIAL))
        case = await rig.check(1)
        steps = {s["code"]: s for s in case["steps"]}
        assert "serves no EVSE" in steps["station"]["result"]
        assert "serves no EVSE" in steps["prices"]["result"]


async def test_without_a_terminals_cloud_the_checks_say_so(bench: Bench) -> None:
    """And a test transaction cannot begin."""
    now = datetime.now(UTC)
    row = {"serial": "N9", "family": "P66", "currency": "NOK", "language": "en", "inventory_state": "stored"}
    async with writing(bench.app.engine) as connection:
        await connection.execute(t.terminals.insert().values(**row, activated_at=now))
    made = await bench.api("POST", "/onboarding-cases", {"serial": "N9", "origin": "integrated"}, status=201)
    assert "charged" not in {step["code"] for step in made["steps"]}  # a P66 has no battery
    case = await bench.api("POST", f"/onboarding-cases/{made['case_id']}/checks?wait=30")
    for step in case["steps"]:
        if step["code"] in ("answers", "callback"):
            assert step["state"] == "failed"
            assert "no terminals' cloud is configured" in step["result"]
    path = f"/onboarding-cases/{made['case_id']}/test-transactions"
    assert "answers must have passed" in (await bench.api("POST", path, status=409))["detail"]
