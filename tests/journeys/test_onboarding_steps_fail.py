"""Every step of the four checklists fails once, for a reason a person would meet, and says what to do (bar 2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import update

from csms.terminals.checklist import Origin, Processor, every_step
from storage import owner_schema
from storage import schema as t
from tests.databases import Databases
from tests.journeys.onboarding_stage import PATHS, SERIAL, Rig, onboarding


@dataclass(frozen=True)
class Failure:
    """How a step fails. ``says``: what the owner reads; ``happens``: what went wrong in the world."""

    code: str
    says: tuple[str, ...]
    happens: Callable[[Rig, int], Awaitable[None]]
    origin: Origin = Origin.INTEGRATED
    processor: Processor = Processor.PLATFORM
    connect: bool = True


def found_bad(code: str, note: str) -> Callable[[Rig, int], Awaitable[None]]:
    """A person looks, and it is not as it should be."""

    async def happens(rig: Rig, case_id: int) -> None:
        await rig.confirm(case_id, code, passed=False, note=note)

    return happens


def row_changed(**values: object) -> Callable[[Rig, int], Awaitable[None]]:
    """The terminal's row says something else."""

    async def happens(rig: Rig, case_id: int) -> None:
        await rig.set_terminal(**values)
        await rig.check(case_id)

    return happens


async def terminal_offline(rig: Rig, case_id: int) -> None:
    await rig.at.set_online(SERIAL, False)
    await rig.check(case_id)


async def wrong_key(rig: Rig, case_id: int) -> None:
    for name, domain in rig.at.domains.items():
        rig.at.domains[name] = replace(domain, api_key="another-key")
    await rig.check(case_id)


async def elsewhere(rig: Rig, case_id: int) -> None:
    del rig.at.terminals[SERIAL]
    await rig.check(case_id)


async def cloud_fails(rig: Rig, case_id: int) -> None:
    rig.at.fault("get_terminal", "error", times=20)
    await rig.check(case_id)


async def nothing_listens(rig: Rig, case_id: int) -> None:
    assert rig.on.app.bridge is not None
    rig.on.app.bridge.callback_probe._base = "http://127.0.0.1:1"
    await rig.check(case_id)


async def another_site_answers(rig: Rig, case_id: int) -> None:
    assert rig.on.app.bridge is not None
    rig.on.app.bridge.callback_probe._base = rig.at.base_url.rstrip("/")
    await rig.check(case_id)


async def callback_lost(rig: Rig, case_id: int) -> None:
    await rig.check(case_id)
    await rig.begin_test(case_id)
    rig.at.faults.order("callback", "drop", times=1)
    await rig.present()
    assert (await rig.tested(case_id))["state"] == "passed"
    await rig.until(case_id, lambda case: case["waiting_for"] == "platform")


async def just_check(rig: Rig, case_id: int) -> None:
    await rig.check(case_id)


async def station_held(rig: Rig, case_id: int) -> None:
    await rig.write(update(t.stations).where(t.stations.c.station_id == "CP").values(admission="held"))
    await rig.check(case_id)


async def no_tariff(rig: Rig, case_id: int) -> None:
    await rig.write(update(t.evses).where(t.evses.c.evse_id == 2).values(tariff_id=None))
    await rig.check(case_id)


async def euro_owner(rig: Rig, case_id: int) -> None:
    await rig.write(update(owner_schema.owners).values(currency="EUR"))
    await rig.check(case_id)


async def euro_terminal(rig: Rig, case_id: int) -> None:
    await rig.set_terminal(currency="EUR")
    await euro_owner(rig, case_id)


async def not_moved(rig: Rig, case_id: int) -> None:
    await rig.set_terminal(domain="elsewhere")
    await rig.check(case_id)


async def no_routing(rig: Rig, case_id: int) -> None:
    routing = owner_schema.processor_requirements.c.requirement == "routing"
    await rig.write(update(owner_schema.processor_requirements).where(routing).values(met=False))
    await rig.check(case_id)


async def declined(rig: Rig, case_id: int) -> None:
    await rig.check(case_id)
    rig.at.decline_next(SERIAL)
    await rig.begin_test(case_id)
    await rig.present()
    await rig.tested(case_id)


FAILURES = [
    Failure("housing", ("cracked", "report the damage as an incident"), found_bad("housing", "The glass is cracked.")),
    Failure("stickers", ("QR sticker", "do not remove anything"), found_bad("stickers", "A QR sticker nobody knows.")),
    Failure("charged", ("12 %", "Charge the battery"), found_bad("charged", "The battery is at 12 %.")),
    Failure("connected", ("no cable", "power supply"), found_bad("connected", "There is no cable in the box.")),
    Failure("logo", ("other logo", "tampered"), found_bad("logo", "Some other logo shows.")),
    Failure("internet", ("no bars", "SIM card"), found_bad("internet", "There are no bars.")),
    Failure("management", ("updating", "network must let"), found_bad("management", "It has been updating all day.")),
    Failure("inventory", ("nobody knows", "who may touch it"), found_bad("inventory", "Where, nobody knows.")),
    Failure("personnel", ("new staff", "whom to call"), found_bad("personnel", "There is new staff.")),
    Failure("storage_test", ("beeps", "return it for repair"), found_bad("storage_test", "It only beeps.")),
    Failure("station", ("not connected", "check its network"), just_check, connect=False),
    Failure("station", ("waits to be admitted", "platform accepts"), station_held),
    Failure("prices", ("CP/2 has no tariff", "Give it one"), no_tariff),
    Failure("prices", ("the owner's EUR", "configure the terminal"), euro_owner),
    Failure("prices", ("is sold in NOK", "takes EUR"), euro_terminal),
    Failure("licences", ("not been activated", "Order an activation"), row_changed(activated_at=None)),
    Failure("licences", ("no terminal cloud plan", "Order a terminal cloud plan"), row_changed(licensed_until=None)),
    Failure("transfer", ("it sits in domain elsewhere", "TT number"), not_moved, Origin.OWN),
    Failure("transfer", ("it sits in domain elsewhere", "TT number"), not_moved, Origin.INTEGRATED, Processor.OWN),
    Failure("requirements", ("Payter is not told to route", "the reference"), no_routing, Origin.OWN, Processor.OWN),
    Failure("answers", ("offline", "Switch it on"), terminal_offline),
    Failure("answers", ("credentials of the owner's", "API key"), wrong_key, Origin.OWN, Processor.OWN),
    Failure("answers", ("no terminal N1 in the domain", "TT number"), elsewhere, Origin.OWN),
    Failure("answers", ("no answer", "few minutes"), cloud_fails),
    Failure("test_transaction", ("declined", "another card"), declined),
    Failure("callback", ("nothing listens", "http.public_url"), nothing_listens),
    Failure("callback", ("HTTP 404", "callback_base"), another_site_answers),
    Failure("callback", ("never called", "firewall"), callback_lost),
]


@pytest.mark.parametrize("failure", FAILURES, ids=[f"{n}-{f.code}" for n, f in enumerate(FAILURES)])
async def test_a_step_fails_and_says_what_to_do(databases: Databases, failure: Failure) -> None:
    url = databases.fresh("sqlite" if FAILURES.index(failure) % 2 else "postgresql")
    async with onboarding(url, failure.processor, connect=failure.connect) as rig:
        case_id = await rig.start(failure.origin)
        await failure.happens(rig, case_id)
        step = await rig.step(case_id, failure.code)
        assert step["state"] == "failed", step
        for words in failure.says:
            assert words in step["result"], step["result"]
        case = await rig.case(case_id)
        assert (case["state"], case["waiting_for"] is not None) == ("waiting", True)
        refused = await rig.api("POST", f"/onboarding-cases/{case_id}/finish", status=409)
        assert any(step["title"] in error["detail"] for error in refused["errors"])
        assert await rig.terminal_is() == "onboarding"


def test_every_step_of_the_four_checklists_fails_above() -> None:
    assert len(PATHS) == 4
    assert {failure.code for failure in FAILURES} == set(every_step())
