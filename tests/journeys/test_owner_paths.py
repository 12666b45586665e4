"""The four paths of a payment terminal: from an order to a live terminal, a paid session, and money at its owner's.

What the books must say is reckoned from the energy that the station's own meters delivered, the price and the terms,
by hand and to the minor unit (`tests.journeys.reckoning`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from csms.terminals.checklist import Origin, Processor
from sessions.tables import Charging
from simulators.station import Station
from simulators.terminal_cloud import DOMAIN
from tests.databases import Databases
from tests.journeys.owner_stage import (
    MAPPING,
    OWNERS_IBAN,
    PLATFORMS_IBAN,
    RESELLER,
    SIM,
    STATION,
    Story,
    Way,
    import_list,
    settlement_camt,
    settlement_csv,
    story_of,
    transfers,
)
from tests.journeys.reckoning import ACTIVATION, FACILITATION_FEE, PLAN, TERMS, Reckoned, Sale, half_up
from tests.journeys.stage import PATIENCE_S
from tests.store.bank_files import camt, entry, pain_002
from tests.two_domains import MERCHANT_ID, OWN_DOMAIN, own_processor

INTEGRATED_PLATFORM = Way(
    origin=Origin.INTEGRATED,
    processor=Processor.PLATFORM,
    family="Apollo",
    serial="APO20240000011",
    version="2.0.1",
    contract="rfid",
    contract_wh=6000,
    settles="csv",
    bank="pain.002",
)
OWN_PLATFORM = Way(
    origin=Origin.OWN,
    processor=Processor.PLATFORM,
    family="P66",
    serial="P6X20240000012",
    version="1.6",
    contract="app",
    contract_wh=6000,
    settles="camt.053",
    bank="camt.053",
)
OWN_OWN = Way(  # enough is sold by contract that the platform, too, owes the owner something
    origin=Origin.OWN,
    processor=Processor.OWN,
    family="P68",
    serial="P6X20240000013",
    version="1.6",
    contract="roaming",
    contract_wh=12_000,
    settles="csv",
    bank="camt.053",
)
INTEGRATED_OWN = Way(  # the licences cost more than was sold by contract
    origin=Origin.INTEGRATED,
    processor=Processor.OWN,
    family="Apollo Max",
    serial="APO20240000014",
    version="2.0.1",
    contract="rfid",
    contract_wh=3000,
    settles="camt.053",
    bank="",
)
RUNS = [
    (INTEGRATED_PLATFORM, "sqlite"),
    (INTEGRATED_PLATFORM, "postgresql"),
    (OWN_PLATFORM, "postgresql"),
    (OWN_OWN, "sqlite"),
    (INTEGRATED_OWN, "postgresql"),
]

TUESDAY = datetime(2026, 3, 24, 9, 0, tzinfo=UTC)
THURSDAY = datetime(2026, 3, 26, tzinfo=UTC)  # the acquirer settles
A_WEEK_LATER = datetime(2026, 3, 31, 7, 0, tzinfo=UTC)  # the clocks were changed on Sunday
TWO_WEEKS_LATER = datetime(2026, 4, 7, 7, 0, tzinfo=UTC)
ROUNDS = 7  # that are missed each time
WEEK = ("2026-03-22T23:00:00", "2026-03-29T22:00:00")  # in Oslo, told in UTC

CARD_WH = 6000


@pytest.mark.parametrize(("way", "kind"), RUNS, ids=[f"{way}-{kind}" for way, kind in RUNS])
async def test_from_order_to_money(way: Way, kind: str, databases: Databases, tmp_path: Path) -> None:
    async with story_of(way, databases.fresh(kind), tmp_path) as story:
        async with story.day(TUESDAY):
            await story.first_token()
            await the_owner_is_entered(story)
            async with story.station() as station:
                await the_station_is_admitted(story, station)
                await the_terminal_comes(story)
                await its_processor_is_chosen(story)
                await it_is_licensed(story)
                await it_is_set_live(story)
                reckoned = await two_drivers_charge(story, station)
            assert await story.books() == reckoned.books(story.book, closed=False, settled=False)
        async with story.day(A_WEEK_LATER):
            statement_id = await the_week_was_closed_once(story, reckoned)
            await the_owner_is_paid(story, reckoned, statement_id)
            assert await story.books() == reckoned.books(story.book, closed=True, settled=False)
            await all_sides_agree(story, reckoned)
            assert await story.books() == reckoned.books(story.book, closed=True, settled=True)
        async with story.day(TWO_WEEKS_LATER):
            await only_the_balance_is_left(story, reckoned)
            assert await story.books() == reckoned.books(story.book, closed=True, settled=True)


async def the_owner_is_entered(story: Story) -> None:
    """With bank account and terms; from now on a user of its own acts for it."""
    wanted = {
        "legal_name": "Kari Lading AS",
        "organisation_number": "999 888 771",
        "vat_number": "NO999888771MVA",
        "address": ["Havnegata 1", "4005 Stavanger"],
        "country": "NO",
        "currency": "NOK",
        "language": "nb",
        "iban": OWNERS_IBAN,
        "contacts": [{"name": "Kari Nordmann", "role": "general", "email": "kari@example.no"}],
        "terms": TERMS,
    }
    story.owner_id = (await story.platform("POST", "/owners", wanted, status=201))["owner_id"]
    story.rig.owner = await story.token("Kari Nordmann", "operator", owner_id=story.owner_id)
    tariff = {
        "tariff_id": "HAVNA",
        "owner_id": story.owner_id,
        "hold": "300",
        "per_kwh": "12.50",
        "vat_percent": "25",
    }
    await story.platform("POST", "/tariffs", tariff, status=201)
    entered = {"id_token": "TOKEN-0001", "way": story.way.contract}
    await story.platform("POST", "/id-tokens", entered, status=201)


async def the_station_is_admitted(story: Story, station: Station) -> None:
    """Nobody knows it when it connects for the first time: it waits until it is somebody's."""
    await story.until("/stations?admission=held", lambda seen: [s["station_id"] for s in seen["items"]] == [STATION])
    site = {"owner_id": story.owner_id, "name": "Havna", "country": "NO"}
    site_id = (await story.platform("POST", "/sites", site, status=201))["site_id"]
    path = f"/stations/{STATION}"
    await story.platform("PATCH", path, {"owner_id": story.owner_id, "site": site_id})
    for evse in (1, 2):
        await story.platform("PATCH", f"{path}/evses/{evse}", {"tariff_id": "HAVNA", "label": f"Havna {evse}"})
    await story.platform("PATCH", path, {"admission": "accepted"})
    await station.wait_for(lambda s: s.registered, timeout_s=PATIENCE_S)


async def the_terminal_comes(story: Story) -> None:
    """On the list of the stations that it is mounted in, or bought by its owner."""
    way = story.way
    if way.origin is Origin.INTEGRATED:
        content = story.file("terminals.csv", import_list(story.owner_id, way))
        taken = await story.platform("POST", "/terminal-import-lists", raw=content, status=201)
        assert [(row["serial"], row["outcome"]) for row in taken["rows"]] == [(way.serial, "entered")]
    else:
        bought = {
            "origin": "own",
            "serial": way.serial,
            "family": way.family,
            "currency": "NOK",
            "station_serial": STATION,
            "sim_serial": SIM,
            "distributor": "Kortleverandøren AS",
            "purchase_reference": "PO 7",
        }
        await story.owner("POST", "/terminals", bought, status=201)
    shown = await story.owner("GET", f"/terminals/{way.serial}")
    assert (shown["owner_id"], shown["licence"], shown["sim_serial"]) == (story.owner_id, "none", SIM)
    served = {"evses": [f"{STATION}/1"]}
    await story.owner("PUT", f"/terminals/{way.serial}/evses", served, headers={"If-Match": f'"{shown["revision"]}"'})


async def its_processor_is_chosen(story: Story) -> None:
    """The platform's, or the owner's own; a terminal in another domain is moved, by Payter's TT number."""
    way, cloud = story.way, story.cloud
    if way.own:
        wanted = {"owner_id": story.owner_id}
        story.account_id = await own_processor(story.platform, cloud, way.serial, **wanted)
    to = OWN_DOMAIN if way.own else DOMAIN
    if way.comes_in != to:
        transfer = {"account_id": story.account_id, "tt_number": "TT-4711"}
        if way.comes_in == RESELLER:
            transfer["from_domain"] = RESELLER
        path = f"/terminals/{way.serial}/domain-transfers"
        asked = await story.owner("POST", path, transfer, status=201)
        check = f"/domain-transfers/{asked['transfer_id']}/check"
        assert (await story.owner("POST", check))["state"] == "requested"  # Payter has not moved it yet
        await cloud.move_terminal(way.serial, to, "TT-4711")
        moved = await story.owner("POST", check)
        assert (moved["state"], moved["from_domain"], moved["tt_number"]) == ("moved", way.comes_in, "TT-4711")
    if way.own:
        choice = {"account_id": story.account_id, "reason": "a contract of their own"}
        await story.platform("PUT", f"/terminals/{way.serial}/processor", choice)
    shown = await story.owner("GET", f"/terminals/{way.serial}/processor")
    assert (shown["account_id"], shown["domain"], shown["obstacles"]) == (story.account_id, to, [])


async def it_is_licensed(story: Story) -> None:
    """The owner orders, the platform confirms, and the owner owes it from that moment on."""
    for sku, sort, price in (("ACT", "activation", ACTIVATION), ("PLAN", "plan", PLAN)):
        made = {"sku": sku, "kind": sort, "name": sku, "price_minor": price, "currency": "NOK", "vat_percent": 25}
        await story.platform("POST", "/licence-skus", made | {"includes": ["terminal management"]}, status=201)
    lines = [{"sku": "ACT", "quantity": 1}, {"sku": "PLAN", "quantity": 1}]
    order = await story.owner("POST", "/licence-orders", {"lines": lines, "reference": "Havna"}, status=201)
    assert (order["state"], await story.books()) == ("new", {})
    await story.owner("POST", f"/licence-orders/{order['order_id']}/confirmation", status=403)
    await story.platform("POST", f"/licence-orders/{order['order_id']}/confirmation")
    vat = half_up(Fraction(ACTIVATION, 4)) + half_up(Fraction(PLAN, 4))
    assert await story.books() == {
        ("platform", "owner_payable"): ACTIVATION + PLAN + vat,
        ("platform", "licence_revenue"): -(ACTIVATION + PLAN),
        ("platform", "vat_payable"): -vat,
    }
    for licence_id in order["licence_ids"]:
        await story.owner("POST", f"/licences/{licence_id}/assignment", {"serial": story.way.serial})
    assert (await story.owner("GET", f"/terminals/{story.way.serial}"))["licence"] == "active"


async def it_is_set_live(story: Story) -> None:
    """Its case: people confirm, the machine verifies, a card is held and released; then the reader is armed."""
    case_id = await story.rig.verified(story.way.origin, story.way.serial)
    finished = await story.owner("POST", f"/onboarding-cases/{case_id}/finish")
    assert (finished["state"], finished["processor"]) == ("completed", story.way.processor)
    assert (await story.owner("GET", f"/terminals/{story.way.serial}"))["state"] == "live"
    await story.rig.on.armed(story.way.serial)


async def two_drivers_charge(story: Story, station: Station) -> Reckoned:
    """One taps a card and gets a receipt; the other one's charge is billed to whoever is behind the token."""
    on, way = story.rig.on, story.way
    await on.tap(way.serial)
    await on.session(lambda s: s.charging in {Charging.ACCEPTED, Charging.CHARGING})
    await station.plug(1)
    assert await station.present_token(2, "TOKEN-0001") == "Accepted"
    await station.plug(2)
    for evse, wh in ((1, CARD_WH), (2, way.contract_wh)):
        await station.wait_for(lambda s, e=evse, w=wh: s.evse(e).delivered_wh >= w, timeout_s=PATIENCE_S)  # type: ignore[misc]
        await station.unplug(evse)
    card = await on.session(lambda s: s.receipt_due, 0)
    contract = await on.session(lambda s: s.cost is not None and not s.open, 1)
    reckoned = Reckoned(way.own, Sale(int(station.evse(1).delivered_wh)), Sale(int(station.evse(2).delivered_wh)))
    assert (card.meter.energy_wh, card.captured_minor) == (reckoned.card.wh, reckoned.card.gross)
    assert (contract.meter.energy_wh, contract.way, contract.flags) == (reckoned.contract.wh, way.contract, ())

    paid = story.payment()
    assert paid.history == ["authorized 30000", f"committed {reckoned.card.gross}"]
    assert paid.domain == (OWN_DOMAIN if way.own else DOMAIN)
    shown = await story.owner("GET", f"/sessions/{card.session_id}")
    document = (await story.owner("GET", f"/sessions/{card.session_id}/receipt"))["document"]
    issuer, facilitator = ("Kari Lading AS", "Plattform AS, 912345670") if way.own else ("Plattform AS", "")
    assert (document["number"], document["issuer"]["name"]) == ("1", issuer)
    assert document["facilitator"] == facilitator
    page = await story.driver_reads(shown["receipt_url"])
    assert issuer in page
    assert f"{reckoned.card.gross / 100:.2f}" in page
    assert (facilitator in page) if way.own else ("Kari Lading AS" not in page)
    return reckoned


async def the_week_was_closed_once(story: Story, reckoned: Reckoned) -> str:
    """By the round of Monday, which is made up for; the statement's number."""
    made_up = f"/statements?owner_id={story.owner_id}"
    [listed] = (await story.until(made_up, lambda seen: seen["items"]))["items"]
    statement = await story.owner("GET", f"/statements/{listed['statement_id']}")
    assert tuple(statement[edge][:19] for edge in ("period_start", "period_end")) == WEEK
    sold = [("card", reckoned.card)] if not reckoned.own else []
    sold.append((story.way.contract, reckoned.contract))
    stated = [
        (each["way"], each["sessions"], each["gross_minor"], each["refunded_minor"])
        for each in statement["ways"]
        if each["sessions"]
    ]
    assert stated == [(name, 1, sale.gross, 0) for name, sale in sold]
    vat = [each["vat"] for each in statement["ways"] if each["sessions"]]
    assert [(line["net_minor"], line["vat_minor"]) for [line] in vat] == [(sale.net, sale.vat) for _, sale in sold]
    fees = statement["fees"]
    assert (fees["sessions"], fees["facilitated_sessions"]) == (len(sold), int(reckoned.own))
    assert (fees["facilitation_minor"], fees["total_minor"]) == (FACILITATION_FEE * reckoned.own, reckoned.fees)
    assert sum(item["amount_minor"] for item in statement["items"]) == -reckoned.licences
    assert {item["kind"] for item in statement["items"]} == {"licence"}
    assert statement["facilitated_minor"] == reckoned.card.gross * reckoned.own
    assert (statement["opening_minor"], statement["balance_minor"]) == (0, reckoned.owed)
    assert (statement["payout_minor"], statement["carried_minor"]) == (reckoned.paid, reckoned.owed - reckoned.paid)
    report = f"/owners/{story.owner_id}/session-report/totals?first_day=2026-03-23&last_day=2026-03-29"
    reported = {each["way"]: each for each in (await story.owner("GET", report))["ways"]}
    for name, sale in (("card", reckoned.card), (story.way.contract, reckoned.contract)):
        told = tuple(reported[name][part] for part in ("energy_wh", "gross_minor", "net_minor", "vat_minor"))
        assert told == (sale.wh, sale.gross, sale.net, sale.vat)
    pdf = await story.owner("GET", f"/statements/{listed['statement_id']}/pdf")
    assert story.file("statement.pdf", pdf).startswith(b"%PDF-")
    return str(listed["statement_id"])


async def the_owner_is_paid(story: Story, reckoned: Reckoned, statement_id: str) -> None:
    """One person proposes, another releases, the bank carries out; what the owner owes is carried instead."""
    if not reckoned.paid:
        refused = await story.platform("POST", "/payout-batches", {"currency": "NOK"}, status=409)
        assert "No statement in NOK can be paid out" in refused["detail"]
        return
    batch = await story.platform("POST", "/payout-batches", {"currency": "NOK"}, status=201)
    path = f"/payout-batches/{batch['batch_id']}"
    refused = await story.platform("POST", f"{path}/release", status=409)
    assert "Another person" in refused["detail"]
    await story.rig.api("POST", f"{path}/release", token=story.second)
    content = story.file("payouts.xml", await story.platform("GET", f"{path}/file"))
    amount = f"{reckoned.paid // 100}.{reckoned.paid % 100:02d}"
    assert transfers(content) == [(PLATFORMS_IBAN, OWNERS_IBAN, amount, "NOK", statement_id)]
    assert (await story.books())[("platform", "payouts_in_transit")] == -reckoned.paid
    told = story.file("bank.xml", bank_says(story.way, statement_id, batch["batch_id"], Decimal(amount)))
    report = await story.platform("POST", "/return-files", raw=told)
    assert [(line["reference"], line["outcome"]) for line in report["lines"]] == [(statement_id, "executed")]
    [paid] = (await story.platform("GET", path))["payouts"]
    assert (paid["state"], paid["amount_minor"]) == ("executed", reckoned.paid)
    [listed] = (await story.owner("GET", "/statements"))["items"]
    assert listed["payout_state"] == "executed"


async def all_sides_agree(story: Story, reckoned: Reckoned) -> None:
    """Ledger, the provider's Data API, and the acquirer's file, which only the account's holder sees."""
    way, account = story.way, story.account_id or "platform"
    path = f"/reconciliation/accounts/{account}"
    reference = story.payment().to_json()["authorizationHostReference"]
    gross, fee = reckoned.card.gross, reckoned.acquirers_fee
    if way.settles == "csv":
        await story.holder("PUT", f"{path}/mapping", MAPPING)
        merchant = MERCHANT_ID if way.own else "PLATTFORM-1"
        content = story.file("settlement.csv", settlement_csv(reference, gross, fee, merchant, THURSDAY))
    else:
        content = story.file("settlement.xml", settlement_camt(reference, gross, fee, THURSDAY))
    if way.own:
        refused = await story.platform("POST", f"{path}/settlements", raw=content, status=403)
        assert "for its holder alone" in refused["detail"]
    for _ in range(2):  # sent twice, it counts once
        taken = await story.holder("POST", f"{path}/settlements?name=thursday", raw=content)
        read = (taken["state"], taken["format"], taken["rows_taken"], taken["rows_refused"])
        assert read == ("booked", way.settles, 1, 0)
        assert (taken["settled_from"], taken["settled_until"]) == ("2026-03-26", "2026-03-26")
    runs = await every_run(story, account, ROUNDS + 1)  # and the one that followed the file
    assert {run["problem"] for run in runs} == {None}
    linked = sum(run["counts"]["linked"] for run in runs)
    assert linked == 2  # the provider's row and the acquirer's
    await nothing_differs(story)


async def every_run(story: Story, account: str, count: int) -> list[Any]:
    """The runs over an account, once so many have ended; there are no more."""
    path = f"/reconciliation/runs?account={account}&limit=100"
    ended = await story.until(path, lambda seen: sum(bool(run["ended_at"]) for run in seen["items"]) >= count)
    assert len(ended["items"]) == count
    return list(ended["items"])


async def nothing_differs(story: Story) -> None:
    """Whoever looks, there is no discrepancy, and everybody was asked."""
    for seen_by in (story.platform, story.owner):
        assert (await seen_by("GET", "/reconciliation/discrepancies"))["items"] == []
    for each in (await story.platform("GET", "/reconciliation/accounts"))["items"]:
        assert (each["provider_problem"], each["open_discrepancies"]) == (None, 0), each
        assert each["provider_until"] is not None


async def only_the_balance_is_left(story: Story, reckoned: Reckoned) -> None:
    """Nothing happened in the week after: what was owed by the owner is still owed, and nothing is paid again."""
    path = f"/statements?owner_id={story.owner_id}"
    second, first = (await story.until(path, lambda seen: len(seen["items"]) == 2))["items"]
    carried = min(reckoned.owed, 0)
    assert (first["carried_minor"], second["opening_minor"], second["carried_minor"]) == (carried, carried, carried)
    assert (second["period_start"], second["payout_minor"]) == (first["period_end"], 0)
    refused = await story.platform("POST", "/payout-batches", {"currency": "NOK"}, status=409)
    assert "No statement in NOK can be paid out" in refused["detail"]
    account = story.account_id or "platform"
    await every_run(story, account, 2 * ROUNDS + 1)
    await nothing_differs(story)


def bank_says(way: Way, statement_id: str, batch_id: str, amount: Decimal) -> bytes:
    """That it has paid."""
    if way.bank == "pain.002":
        return pain_002((statement_id, "ACSC"), message_id=batch_id)
    return camt(entry("DBIT", amount, statement_id, currency="NOK"), kind="053")
