"""Terminals in the inventory of each side, their licences and their onboarding, in tests of isolation."""

from __future__ import annotations

from typing import Any

from tests.api.sides import Side, send
from tests.conformance.bench import Bench

_NUMBER = {"NORTH": 1, "SOUTH": 2, "PLATFORM": 3}


def serial_of(side: Side, n: int) -> str:
    """A serial number for an Apollo of this side's."""
    return f"APO2024{_NUMBER.get(side.name, 4):04}{n:03}"


def sim_of(side: Side) -> str:
    """A SIM card's number, with its check digit (ITU-T E.118)."""
    body = f"8947000000000000{_NUMBER.get(side.name, 4):02}"
    doubled = [int(digit) * (2 - n % 2) for n, digit in enumerate(reversed(body))]
    return body + str(-sum(sum(divmod(value, 10)) for value in doubled) % 10)


def boxed(side: Side, n: int) -> dict[str, Any]:
    """A terminal to register, bought on its own."""
    return {
        "origin": "own",
        "serial": serial_of(side, n),
        "family": "Apollo",
        "currency": "NOK",
        "station_serial": f"{side.name}-SN",
        "distributor": f"{side.name} distributor",
        "purchase_reference": f"{side.name}-PO",
    }


async def _boxed(bench: Bench, side: Side) -> None:
    wanted = boxed(side, 1) | {
        "owner_id": side.ids["owner_id"],
        "site_id": side.ids["site_id"],
        "place": f"{side.name} shelf",
        "sim_serial": sim_of(side),
    }
    await bench.api("POST", "/terminals", wanted, status=201)
    side.mark("boxed", serial_of(side, 1))
    side.mark("sim", sim_of(side))
    side.marks |= {f"{side.name}-SN", f"{side.name} distributor", f"{side.name}-PO", f"{side.name} shelf"}
    person = {"personnel": [{"name": f"{side.name} Per", "phone": "+47 22 00 00 00"}]}
    await bench.api("PATCH", f"/terminals/{side.ids['boxed']}", person, headers={"If-Match": '"1"'})
    side.marks.add(f"{side.name} Per")


async def _listed(bench: Bench, side: Side) -> None:
    """A terminal that came in a station, on a list that the owner's user sent."""
    serial = serial_of(side, 2)
    columns = "serial;family;station_serial;owner_id;currency;supplier_order"
    row = f"{serial};Apollo;{side.name}-SN;{side.ids['owner_id']};NOK;{side.name}-SO"
    made = await send(bench, "/terminal-import-lists", f"{columns}\n{row}\n".encode(), token=side.token)
    assert made["entered"] == 1, made
    side.mark("list_id", made["list_id"])
    side.mark("listed", serial)
    side.marks.add(f"{side.name}-SO")


async def _licences(bench: Bench, side: Side) -> None:
    """One that is assigned, and one to be assigned."""
    if side.name == "NORTH":
        sold = {"kind": "plan", "name": "Plan", "price_minor": 1000, "currency": "NOK", "vat_percent": "25"}
        await bench.api("POST", "/licence-skus", sold | {"sku": "PLAN", "includes": []}, status=201)
    if side.name == "PLATFORM":  # it sells itself none
        return
    wanted = {"owner_id": side.ids["owner_id"], "lines": [{"sku": "PLAN", "quantity": 2}]}
    wanted["reference"] = f"{side.name} order"
    order = await bench.api("POST", "/licence-orders", wanted, status=201)
    side.mark("order_id", order["order_id"])
    side.marks.add(f"{side.name} order")
    confirmed = await bench.api("POST", f"/licence-orders/{order['order_id']}/confirmation")
    spare, used = confirmed["licence_ids"]
    await bench.api("POST", f"/licences/{used}/assignment", {"serial": side.ids["boxed"]})
    side.mark("licence_id", spare)
    side.marks.add(used)


async def _onboarding(bench: Bench, side: Side) -> None:
    """A case with an attachment, started by a file."""
    file = f"terminal serial,origin,comment\n{side.ids['listed']},integrated,{side.name} remark\n"
    path = f"/onboarding-imports?name={side.name}-cases.csv"
    made = await send(bench, path, file.encode(), token=side.token, status=200)
    assert made["started"] == 1, made
    side.mark("import_id", made["import_id"])
    side.marks |= {f"{side.name} remark", f"{side.name}-cases.csv"}
    case_id = side.ids["case_id"] = made["rows"][0]["case_id"]  # a small number: no mark
    said = f"{side.name} note".encode()
    attached = await send(bench, f"/onboarding-cases/{case_id}/attachments?name={side.name}-note.txt", said)
    side.mark("attachment_id", attached["attachment_id"])
    side.marks |= {f"{side.name} note", f"{side.name}-note.txt"}
    side.ids["step"] = "housing"


async def _stock_count(bench: Bench, side: Side) -> None:
    wanted = {"owner_id": side.ids["owner_id"], "site_id": side.ids["site_id"], "counted_by": f"{side.name} Pål"}
    count = await bench.api("POST", "/stock-counts", wanted, status=201)
    side.mark("count_id", count["count_id"])
    side.marks.add(f"{side.name} Pål")
    found = {"found": [{"serial": side.ids["boxed"], "place": f"{side.name} box"}]}
    await bench.api("POST", f"/stock-counts/{count['count_id']}/finds", found)


MAKERS = (_boxed, _listed, _licences, _onboarding, _stock_count)
