"""The care for the terminals of each side, in tests of isolation."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from PIL import Image

from csms.terminals.alarms import Thresholds, watch
from csms.terminals.inspections import owe_weekly
from csms.terminals.rounds import Round
from sessions.facts import TerminalStateReported
from storage.engine import writing
from tests.api.sides import Side, send
from tests.api.terminals_of_sides import boxed
from tests.conformance.bench import Bench

_FOUND = {"damage": False, "foreign_stickers": False, "unusual_cables": False, "logo_at_power_on": True}


def _photo(side: Side) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (len(side.name), 0, 0)).save(file, "PNG")
    return file.getvalue()


async def _inspection(bench: Bench, side: Side) -> None:
    wanted = _FOUND | {"inspected_by": f"{side.name} Inga", "remarks": f"{side.name} is clean"}
    made = await bench.api("POST", f"/terminals/{side.ids['serial']}/inspections", wanted, status=201)
    side.mark("inspection_id", made["inspection_id"])
    side.marks |= {f"{side.name} Inga", f"{side.name} is clean"}
    photo = await send(bench, f"/inspections/{made['inspection_id']}/photos", _photo(side))
    side.mark("photo_id", photo["photo_id"])


async def _duties(bench: Bench, side: Side) -> None:
    """What next week's round finds that each live terminal owes: once for all sides."""
    if side.name != "NORTH":
        return
    at = datetime.now(UTC) + timedelta(days=7)
    async with writing(bench.app.engine) as connection:
        made = Round(connection=connection, day=at.date(), due_at=at, now=at, zone=ZoneInfo("Europe/Oslo"))
        await owe_weekly(made)


async def _battery(bench: Bench, side: Side) -> None:
    charged = {"charged_by": f"{side.name} Bjørn"}
    await bench.api("POST", f"/terminals/{side.ids['boxed']}/battery-charges", charged, status=201)
    side.marks.add(f"{side.name} Bjørn")


async def _alarm(bench: Bench, side: Side) -> None:
    """The terminal has been offline for two hours, as its cloud told."""
    at = datetime.now(UTC) - timedelta(hours=2)
    fact = TerminalStateReported(
        key=f"{side.name}:offline", at=at, serial=side.ids["serial"], online=False, state="OFFLINE"
    )
    await bench.app.service.submit(fact)
    async with writing(bench.app.engine) as connection:
        await watch(connection, _thresholds(), datetime.now(UTC))
    alarms = (await bench.api("GET", f"/alarms?about={side.ids['serial']}"))["items"]
    side.mark("alarm_id", alarms[0]["alarm_id"])


def _thresholds() -> Thresholds:
    hour = timedelta(hours=1)
    values: dict[str, Any] = dict.fromkeys(Thresholds.__dataclass_fields__, hour)
    return Thresholds(**values | {"failure_percent": 50, "failure_taps": 10})


async def _incident(bench: Bench, side: Side) -> None:
    new = boxed(side, 3) | {"owner_id": side.ids["owner_id"]}
    await bench.api("POST", "/terminals", new, status=201)
    side.marks.add(new["serial"])
    wanted = {"kind": "damage", "description": f"{side.name} glass is broken", "reported_by": f"{side.name} Inga"}
    made = await bench.api("POST", f"/terminals/{new['serial']}/incidents", wanted, status=201)
    side.mark("incident_id", made["incident_id"])
    side.marks.add(f"{side.name} glass is broken")
    await send(bench, f"/incidents/{made['incident_id']}/photos", _photo(side))


async def _visit(bench: Bench, side: Side) -> None:
    """Verified by the platform, and let in: from then on replacements are recorded."""
    now = datetime.now(UTC)
    wanted = {
        "serials": [side.ids["serial"]],
        "visitor": f"{side.name} Vidar",
        "company": f"{side.name} Service AS",
        "purpose": f"{side.name} glass",
        "starts_at": now.isoformat(),
        "ends_at": (now + timedelta(hours=4)).isoformat(),
    }
    visit = await bench.api("POST", "/visits", wanted, status=201)
    path = f"/visits/{visit['visit_id']}"
    code = (await bench.api("POST", f"{path}/verification"))["code"]
    assert (await bench.api("POST", f"{path}/code-check", {"door_code": code}))["right"]
    side.mark("visit_id", visit["visit_id"])
    side.marks |= {f"{side.name} Vidar", f"{side.name} Service AS", f"{side.name} glass", code}


async def _calendar(bench: Bench, side: Side) -> None:
    made = await bench.api("POST", f"/owners/{side.ids['owner_id']}/calendar-feed", status=201)
    side.mark("calendar", made["url"].rpartition("/")[2])
    await bench.eventually(  # nothing may change by itself any more: without mail settings, each says so once
        lambda: bench.api("GET", "/reminders?limit=500"), lambda told: all(one["problem"] for one in told["items"])
    )


MAKERS = (_inspection, _duties, _battery, _alarm, _incident, _visit, _calendar)
