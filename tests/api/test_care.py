"""The care for terminals as people do it: over the API, as an owner's user, the platform's, and another owner's."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import icalendar
from PIL import Image
from sqlalchemy import select

from csms.web.api.access import Role, create_token
from storage import fleet_schema, owner_schema
from storage import schema as s
from storage.engine import reading, writing
from tests.conformance.bench import Bench
from tests.store.care_house import OWNER, add_owner, add_terminal

OTHER = "own_00000000000b"
GOOD = {
    "inspected_by": "Kari Nordmann",
    "damage": False,
    "foreign_stickers": False,
    "unusual_cables": False,
    "logo_at_power_on": True,
}
NOTICE = {
    "description": "The sticker of another provider was over the reader on Monday morning.",
    "actions_taken": "Covered and switched off.",
    "actions_planned": "Return it this week.",
    "information_secured": "Camera recordings kept.",
    "terminals_secured": "The other one was inspected.",
}


async def owner_token(bench: Bench, owner_id: str = OWNER, role: Role = Role.OPERATOR) -> str:
    _, token = await create_token(bench.app.engine, owner_id, role, datetime.now(UTC), owner_id=owner_id)
    return token


async def furnish(bench: Bench) -> tuple[str, str, str]:
    """Two owners with terminals; tokens of the platform, the owner, the other owner."""
    engine = bench.app.engine
    await add_owner(engine)
    await add_owner(engine, OTHER)
    for serial in ("L1", "L2"):
        await add_terminal(engine, serial)
    await add_terminal(engine, "A1", family="Apollo", state="stored")
    await add_terminal(engine, "N1", state="stored")
    await add_terminal(engine, "X1", owner_id=OTHER)
    return bench.token, await owner_token(bench), await owner_token(bench, OTHER)


async def state_of(bench: Bench, serial: str) -> str:
    async with reading(bench.app.engine) as connection:
        query = select(s.terminals.c.inventory_state).where(s.terminals.c.serial == serial)
        return str((await connection.execute(query)).scalar())


async def test_in_doubt_is_one_button_and_the_notice_is_refused_until_it_is_complete(bench: Bench) -> None:
    platform, bench.token, other = await furnish(bench)
    # Nothing at all is sent.
    made = await bench.api("POST", "/terminals/L1/in-doubt", status=201)
    assert await state_of(bench, "L1") == "suspended"
    assert (made["kind"], made["state"], made["number"]) == ("doubt", "open", 1)
    due = datetime.fromisoformat(made["notice_due_at"]) - datetime.fromisoformat(made["reported_at"])
    assert due == timedelta(hours=24)
    again = await bench.api("POST", "/terminals/L1/in-doubt", {"text": "a sticker"})
    assert (again["incident_id"], again["description"]) == (made["incident_id"], "a sticker")
    path = f"/incidents/{made['incident_id']}"
    refused = await bench.api("POST", f"{path}/notice", {"given_by": "Kari"}, status=422)
    assert {one["field"] for one in refused["errors"]} == {*NOTICE, "contacts"} - {"description"}
    known = await bench.api("POST", "/terminals/L1/incidents", {"kind": "tampering"})
    assert (known["incident_id"], known["kind"]) == (made["incident_id"], "tampering")
    await bench.api("PATCH", path, NOTICE, status=412, headers={"If-Match": '"1"'})
    await bench.api("PATCH", path, NOTICE, headers={"If-Match": f'"{await revision(bench, path)}"'})
    contacts = {"contacts": [{"name": "Kari", "phone": " ", "email": ""}]}
    await bench.api("PATCH", path, contacts, headers={"If-Match": f'"{await revision(bench, path)}"'})
    refused = await bench.api("POST", f"{path}/notice", {"given_by": "Kari"}, status=422)
    assert [one["field"] for one in refused["errors"]] == ["contacts"]
    contacts = {"contacts": [{"name": "Kari", "phone": "+47 1", "email": ""}]}
    await bench.api("PATCH", path, contacts, headers={"If-Match": f'"{await revision(bench, path)}"'})
    closing = {"outcome": "repaired", "closed_by": "Ola", "put_back": True}
    await bench.api("POST", f"{path}/closing", closing, status=403)
    bench.token = platform
    early = await bench.api("POST", f"{path}/closing", closing, status=409)
    assert "notice" in early["detail"]
    given = await bench.api("POST", f"{path}/notice", {"given_by": "Kari"})
    assert (given["state"], given["missing"], given["notified_by"]) == ("notified", {}, "Kari")
    await bench.api("POST", f"{path}/closing", {"closed_by": "Ola"}, status=422)
    await bench.api("POST", f"{path}/closing", {"outcome": "repaired"}, status=422)
    closed = await bench.api("POST", f"{path}/closing", closing)
    assert (closed["state"], closed["outcome"], closed["closed_by"]) == ("closed", "repaired", "Ola")
    assert await state_of(bench, "L1") == "live"
    assert len(closed["history"]) >= 8
    bench.token = other
    for method, where in (("GET", path), ("POST", f"{path}/notice"), ("POST", "/terminals/L1/in-doubt")):
        await bench.api(method, where, {"given_by": "Me"} if "notice" in where else None, status=404)
    assert (await bench.api("GET", "/incidents"))["items"] == []
    assert (await bench.api("GET", "/reminders"))["items"] == []


async def revision(bench: Bench, path: str) -> int:
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1{path}"
    async with bench.http.get(url, headers={"Authorization": f"Bearer {bench.token}"}) as answer:
        return int(answer.headers["ETag"].strip('"'))


async def test_a_loss_and_a_theft_end_where_the_inventory_says(bench: Bench) -> None:
    _, bench.token, _ = await furnish(bench)
    await bench.api("POST", "/terminals/L1/incidents", {"kind": "loss", "description": "gone"}, status=201)
    await bench.api("POST", "/terminals/L2/incidents", {"kind": "theft", "description": "gone"}, status=201)
    assert (await state_of(bench, "L1"), await state_of(bench, "L2")) == ("lost", "stolen")
    told = [one["subject"] for one in (await bench.api("GET", "/reminders?kind=incident"))["items"]]
    assert len(told) == 2
    assert all("is due by" in one for one in told)


async def test_a_failed_inspection_suspends_at_once_and_its_photos_are_kept(bench: Bench) -> None:
    _, bench.token, other = await furnish(bench)
    await bench.api("POST", "/terminals/L1/inspections", GOOD | {"inspected_by": " "}, status=422)
    await bench.api("POST", "/terminals/L1/inspections", {**GOOD, "damage": None}, status=422)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await bench.api("POST", "/terminals/L1/inspections", GOOD | {"made_at": later}, status=422)
    good = await bench.api("POST", "/terminals/L1/inspections", GOOD, status=201)
    assert (good["passed"], good["incident_id"]) == (True, None)
    bad = await bench.api("POST", "/terminals/L1/inspections", GOOD | {"unusual_cables": True}, status=201)
    assert bad["passed"] is False
    assert await state_of(bench, "L1") == "suspended"
    incident = await bench.api("GET", f"/incidents/{bad['incident_id']}")
    assert (incident["kind"], incident["inspection_id"]) == ("tampering", bad["inspection_id"])
    exif = Image.Exif()
    exif[0x010F] = "Somebody's phone"
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (10, 200, 30)).save(file, "JPEG", exif=exif)
    path = f"/inspections/{bad['inspection_id']}/photos"
    photo = await upload(bench, path, file.getvalue(), 201)
    await upload(bench, path, b"<svg/>", 415)
    await upload(bench, path, b"\xff\xd8\xff" + bytes(9_000_000), 413)
    shown = (await bench.api("GET", path))["items"]
    assert [one["photo_id"] for one in shown] == [photo["photo_id"]]
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1/photos/{photo['photo_id']}"
    async with bench.http.get(url, headers={"Authorization": f"Bearer {bench.token}"}) as answer:
        kept = await answer.read()
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"phone" not in kept
    assert Image.open(io.BytesIO(kept)).size == (64, 48)
    bench.token = other
    await bench.api("GET", f"/photos/{photo['photo_id']}", status=404)
    await upload(bench, path, file.getvalue(), 404)
    await bench.api("POST", "/terminals/L1/inspections", GOOD, status=404)
    assert (await bench.api("GET", "/inspections"))["items"] == []


async def upload(bench: Bench, path: str, content: bytes, status: int) -> Any:
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1{path}"
    headers = {"Authorization": f"Bearer {bench.token}", "Content-Type": "application/octet-stream"}
    async with bench.http.post(url, data=io.BytesIO(content), headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


async def test_a_battery_in_storage_is_charged_by_somebody(bench: Bench) -> None:
    _, bench.token, _ = await furnish(bench)
    refused = await bench.api("POST", "/terminals/L1/battery-charges", {"charged_by": "Kari"}, status=409)
    assert "no battery" in refused["detail"]
    await bench.api("POST", "/terminals/A1/battery-charges", {"charged_by": "Kari"}, status=201)
    tomorrow = (date.today() + timedelta(days=2)).isoformat()  # noqa: DTZ011
    future = {"charged_by": "Kari", "charged_on": tomorrow}
    await bench.api("POST", "/terminals/A1/battery-charges", future, status=422)
    (battery,) = (await bench.api("GET", "/batteries"))["items"]
    assert (battery["serial"], battery["state"]) == ("A1", "charged")
    (charge,) = (await bench.api("GET", "/terminals/A1/battery-charges"))["items"]
    assert (charge["charged_by"], charge["charged_on"]) == ("Kari", battery["since"])


async def test_a_replacement_without_the_platforms_verification_is_refused(bench: Bench) -> None:
    platform, owner, other = await furnish(bench)
    bench.token = owner
    async with writing(bench.app.engine) as connection:
        await connection.execute(s.terminal_evses.insert().values(serial="L1", station_id="CS1", evse_id=1, position=0))
    now = datetime.now(UTC)
    visit = {
        "serials": ["L1"],
        "visitor": "Per Hansen",
        "company": "Service AS",
        "document_ending": "12AB",
        "purpose": "The reader is broken.",
        "starts_at": now.isoformat(),
        "ends_at": (now + timedelta(hours=2)).isoformat(),
    }
    await bench.api("POST", "/visits", visit | {"serials": ["X1"]}, status=404)
    await bench.api("POST", "/visits", visit | {"serials": ["L1", "X1"]}, status=404)
    await bench.api("POST", "/visits", visit | {"document_ending": "12345"}, status=422)
    path = f"/visits/{(await bench.api('POST', '/visits', visit, status=201))['visit_id']}"
    swap = {"old_serial": "L1", "new_serial": "N1", "reason": "broken reader"}
    refused = await bench.api("POST", f"{path}/replacements", swap, status=409)
    assert "verified" in refused["detail"]
    await bench.api("POST", f"{path}/code-check", {"door_code": "AAAA"}, status=409)
    await bench.api("POST", f"{path}/verification", status=403)
    bench.token = platform
    code = (await bench.api("POST", f"{path}/verification"))["code"]
    bench.token = owner
    await bench.api("POST", f"{path}/replacements", swap, status=409)  # verified, and not let in
    wrong = await bench.api("POST", f"{path}/code-check", {"door_code": "AAAA-AAAA"})
    assert (wrong["right"], wrong["visit"]["wrong_codes"]) == (False, 1)
    right = await bench.api("POST", f"{path}/code-check", {"door_code": f"{code[:4].lower()} {code[4:]}"})
    assert right["right"] is True
    for strange in ({"old_serial": "L2"}, {"new_serial": "L2"}):
        await bench.api("POST", f"{path}/replacements", swap | strange, status=409)
    for strange in ({"new_serial": "X1"}, {"new_serial": "nowhere"}):
        await bench.api("POST", f"{path}/replacements", swap | strange, status=404)
    for _ in range(2):
        done = await bench.api("POST", f"{path}/replacements", swap, status=201)
    assert [one["new_serial"] for one in done["replacements"]] == ["N1"]
    assert (await state_of(bench, "L1"), await state_of(bench, "N1")) == ("in repair", "onboarding")
    async with reading(bench.app.engine) as connection:
        assert list((await connection.execute(select(s.terminal_evses.c.serial))).scalars()) == ["N1"]
        trail = list((await connection.execute(select(fleet_schema.audit.c.request))).scalars())
    assert not any(code[4:] in (text or "") for text in trail)
    bench.token = other
    await bench.api("GET", path, status=404)


async def test_five_wrong_codes_end_a_visit(bench: Bench) -> None:
    platform, owner, _ = await furnish(bench)
    now = datetime.now(UTC)
    visit = {"serials": ["L1"], "visitor": "Per", "company": "Service", "purpose": "Look at it"}
    visit |= {"starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=2)).isoformat()}
    path = f"/visits/{(await bench.api('POST', '/visits', visit, status=201))['visit_id']}"
    code = (await bench.api("POST", f"{path}/verification"))["code"]
    bench.token = owner
    for _ in range(5):
        answer = await bench.api("POST", f"{path}/code-check", {"door_code": "WRONG"})
        assert answer["right"] is False
    assert answer["visit"]["state"] == "refused"
    await bench.api("POST", f"{path}/code-check", {"door_code": code}, status=409)
    bench.token = platform
    await bench.api("POST", f"{path}/verification", status=409)


async def test_the_calendar_is_read_by_whoever_has_its_address(bench: Bench, caplog: Any) -> None:
    _, bench.token, _ = await furnish(bench)
    ends = datetime.now(UTC) + timedelta(days=60)
    await licensed(bench, ends)
    made = await bench.api("POST", f"/owners/{OWNER}/calendar-feed", status=201)
    feed = made["url"].replace("http://127.0.0.1:1/", f"http://127.0.0.1:{bench.app.http_port}/")
    first = await calendar(bench, feed)
    assert any(uid.startswith("inspection-weekly:L1:") for uid in first)
    assert not any("X1" in uid for uid in first)
    incident = await bench.api("POST", "/terminals/L1/incidents", {"kind": "damage"}, status=201)
    second = await calendar(bench, feed)
    clock = second[f"notice-{incident['incident_id']}"]
    start = clock["dtstart"].dt
    assert start == datetime.fromisoformat(incident["notice_due_at"]).replace(microsecond=0)
    assert clock["dtstart"].params["TZID"] == "Europe/Oslo"
    assert clock["sequence"] == 0
    await bench.api("POST", "/terminals/L1/incidents", {"kind": "theft"}, status=201)
    assert len([uid for uid in await calendar(bench, feed) if uid.startswith("notice-")]) == 2
    await licensed(bench, ends + timedelta(days=365))
    again = (await calendar(bench, feed)).get("licence-L2")
    assert again is None  # more than 400 days ahead
    await licensed(bench, ends + timedelta(days=30))
    again = (await calendar(bench, feed))["licence-L2"]
    assert (second["licence-L2"]["sequence"], again["sequence"]) == (0, 1)
    assert again["dtstart"].dt - second["licence-L2"]["dtstart"].dt == timedelta(days=30)
    await bench.api("GET", f"/owners/{OTHER}/calendar-feed", status=404)
    await bench.api("POST", f"/owners/{OTHER}/calendar-feed", status=404)
    renewed = await bench.api("POST", f"/owners/{OWNER}/calendar-feed", status=201)
    assert renewed["url"] != made["url"]
    assert await status(bench, feed) == 404
    feed = renewed["url"].replace("http://127.0.0.1:1/", f"http://127.0.0.1:{bench.app.http_port}/")
    assert await status(bench, feed) == 200
    await bench.api("DELETE", f"/owners/{OWNER}/calendar-feed", status=204)
    assert await status(bench, feed) == 404
    secret = renewed["url"].rsplit("/", 1)[1].removesuffix(".ics")
    assert len(secret) == 43
    assert secret not in caplog.text
    assert "GET /calendar/{name}" in caplog.text or not caplog.records


async def test_the_calendar_speaks_the_owners_language(bench: Bench) -> None:
    _, bench.token, _ = await furnish(bench)
    now = datetime.now(UTC)
    await licensed(bench, now + timedelta(days=60))
    visit = {"serials": ["L1"], "visitor": "Per", "company": "Service AS", "purpose": "Bytte av leser"}
    visit |= {"starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=2)).isoformat()}
    await bench.api("POST", "/visits", visit, status=201)
    await bench.api("POST", "/terminals/A1/battery-charges", {"charged_by": "Kari"}, status=201)
    await bench.api("POST", "/terminals/L1/incidents", {"kind": "theft"}, status=201)
    made = await bench.api("POST", f"/owners/{OWNER}/calendar-feed", status=201)
    feed = made["url"].replace("http://127.0.0.1:1/", f"http://127.0.0.1:{bench.app.http_port}/")
    english = await calendar(bench, feed)
    async with writing(bench.app.engine) as connection:
        mine = owner_schema.owners.c.owner_id == OWNER
        await connection.execute(owner_schema.owners.update().where(mine).values(language="nb"))
    norwegian = await calendar(bench, feed)
    assert {str(one["summary"]) for one in english.values()} == {
        "Terminal L2: inspection (weekly), last day",
        "Terminal A1: charge its battery",
        "Terminal L2: its licence ends",
        "Incident 1 (theft, L1): notice to the platform is due",
        "Visit by Service AS (announced)",
        "Statement due",
    }
    assert {str(one["summary"]) for one in norwegian.values()} == {
        "Terminal L2: kontroll (ukentlig), siste dag",
        "Terminal A1: lad batteriet",
        "Terminal L2: lisensen går ut",
        "Hendelse 1 (tyveri, L1): frist for varselet til plattformen",
        "Besøk fra Service AS (meldt)",
        "Avregning",
    }
    assert norwegian["licence-L2"]["description"] == "Fra da av tar den ikke kort. Forny lisensen før det."
    assert {one["sequence"] for one in norwegian.values()} == {1}
    async with bench.http.get(feed) as answer:
        assert "X-WR-CALNAME:Terminalene til Owner AS" in await answer.text()


async def licensed(bench: Bench, until: datetime) -> None:
    async with writing(bench.app.engine) as connection:
        licence = {"licence_exempt": False, "licensed_until": until}
        await connection.execute(s.terminals.update().where(s.terminals.c.serial == "L2").values(licence))


async def calendar(bench: Bench, url: str) -> dict[str, Any]:
    """The events by their uid, without the domain."""
    async with bench.http.get(url) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/calendar"
        tag, text = answer.headers["ETag"], await answer.read()
    async with bench.http.get(url, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    parsed = icalendar.Calendar.from_ical(text)
    events = {str(one["uid"]).rpartition("@")[0]: one for one in parsed.walk("VEVENT")}
    assert len(events) == len(parsed.walk("VEVENT"))
    assert len(text.splitlines()) == text.count(b"\r\n")
    assert max(len(line) for line in text.split(b"\r\n")) <= 75
    return events


async def status(bench: Bench, url: str) -> int:
    async with bench.http.get(url) as answer:
        return answer.status
