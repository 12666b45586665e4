"""Licences over the API: from the SKU to the terminal, by whom, and what others never see."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from storage import schema as s
from storage.engine import reading
from tests.api.owners_calls import Estate
from tests.estate import ANNE, BERIT, enter, sell

SERIAL = "APO20240000001"
SKU: dict[str, Any] = {
    "sku": "PLAN-NOK",
    "kind": "plan",
    "name": "Terminal cloud plan",
    "price_minor": 120_000,
    "currency": "NOK",
    "vat_percent": "25",
    "includes": ["terminal management", "session reporting", "integration with the provider"],
}


async def test_a_price_is_data_and_an_order_keeps_it(estate: Estate) -> None:
    made = await estate.call("platform", "POST", "/licence-skus", SKU, status=201)
    assert (made["revision"], made["on_sale"], made["vat_percent"]) == (1, True, "25")
    await estate.call("platform", "POST", "/licence-skus", SKU, status=409)
    await estate.call("anne", "POST", "/licence-skus", SKU | {"sku": "X"}, status=403)
    lines = {"lines": [{"sku": "PLAN-NOK", "quantity": 2}], "reference": "our 12"}
    order = await estate.call("anne", "POST", "/licence-orders", lines, status=201)
    terms = {name: value for name, value in SKU.items() if name not in {"sku", "kind"}}
    dearer = terms | {"price_minor": 999_999, "on_sale": False}
    await estate.call("platform", "PUT", "/licence-skus/PLAN-NOK", dearer, status=428)
    await estate.call("platform", "PUT", "/licence-skus/PLAN-NOK", dearer, tag='"1"')
    await estate.call("platform", "PUT", "/licence-skus/PLAN-NOK", dearer, tag='"1"', status=412)
    assert (await estate.call("anne", "GET", "/licence-skus"))["items"] == []
    assert len((await estate.call("platform", "GET", "/licence-skus"))["items"]) == 1
    await estate.call("anne", "POST", "/licence-orders", lines, status=409)
    (line,) = (await estate.call("anne", "GET", f"/licence-orders/{order['order_id']}"))["lines"]
    assert (line["net_minor"], line["vat_minor"], line["gross_minor"]) == (240_000, 60_000, 300_000)


async def test_from_the_order_to_the_terminal(estate: Estate) -> None:
    await sell(estate.engine)
    await enter(estate.engine, SERIAL)
    wanted = {"lines": [{"sku": "ACT", "quantity": 1}, {"sku": "PLAN", "quantity": 1}]}
    order = await estate.call("anne", "POST", "/licence-orders", wanted, status=201)
    activation, plan = order["licence_ids"]
    assert (order["owner_id"], order["state"]) == (ANNE, "new")
    await estate.call("anne", "POST", f"/licences/{plan}/assignment", {"serial": SERIAL}, status=409)
    await estate.call("anne", "POST", f"/licence-orders/{order['order_id']}/confirmation", status=403)
    for _ in range(2):
        confirmed = await estate.call("platform", "POST", f"/licence-orders/{order['order_id']}/confirmation")
        assert (confirmed["state"], confirmed["licence_ids"]) == ("confirmed", [activation, plan])
    async with reading(estate.engine) as connection:
        owed = select(s.ledger.c.amount_minor).where(s.ledger.c.owner_id == ANNE, s.ledger.c.account == "owner_payable")
        assert sorted((await connection.execute(owed)).scalars()) == [62_499, 150_000]
    await estate.call("anne", "POST", f"/licence-orders/{order['order_id']}/cancellation", status=409)
    available = await estate.call("anne", "GET", "/licences?state=available")
    assert {one["licence_id"] for one in available["items"]} == {activation, plan}
    for licence_id in (activation, plan):
        shown = await estate.call("anne", "POST", f"/licences/{licence_id}/assignment", {"serial": SERIAL})
        assert (shown["state"], shown["serial"]) == ("active", SERIAL)
    terminal = await estate.call("anne", "GET", f"/terminals/{SERIAL}")
    assert terminal["licence"] == "active"
    assert terminal["plan_ends_at"] == shown["ends_at"] < terminal["licensed_until"]
    assert (await estate.call("anne", "GET", "/licences?state=available"))["items"] == []
    await estate.call("reader", "POST", f"/licences/{plan}/assignment", {"serial": SERIAL}, status=403)


async def test_nobody_sees_or_touches_anothers(estate: Estate) -> None:
    await sell(estate.engine)
    await enter(estate.engine, SERIAL)
    await enter(estate.engine, "APO20240000002", owner_id=BERIT, currency="SEK")
    wanted: dict[str, Any] = {"owner_id": ANNE, "lines": [{"sku": "PLAN", "quantity": 1}]}
    order = await estate.call("platform", "POST", "/licence-orders", wanted, status=201)
    path, (licence_id,) = f"/licence-orders/{order['order_id']}", order["licence_ids"]
    await estate.call("platform", "POST", f"{path}/confirmation")
    await estate.call("berit", "POST", "/licence-orders", wanted, status=404)
    for listed in ("/licence-orders", "/licences", f"/licences?owner_id={ANNE}"):
        assert (await estate.call("berit", "GET", listed))["items"] == []
    await estate.call("berit", "GET", path, status=404)
    await estate.call("berit", "POST", f"{path}/cancellation", status=404)
    await estate.call("berit", "GET", f"/licences/{licence_id}", status=404)
    theirs = {"serial": "APO20240000002"}
    await estate.call("berit", "POST", f"/licences/{licence_id}/assignment", theirs, status=404)
    refused = await estate.call("anne", "POST", f"/licences/{licence_id}/assignment", theirs, status=409)
    assert "There is no terminal" in refused["detail"]
    await estate.call("platform", "POST", "/licence-orders", {"lines": wanted["lines"]}, status=409)
