"""Bodies and files that name what is somebody else's, by operation, for tests of isolation.

Each is valid but for that: whoever sends it is refused as if what it names were not there, and nothing of the other's
has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api.sides import Side
from tests.api.terminals_of_sides import boxed

#: (whose things are named, who names them) → bodies: JSON, or bytes for a file.
Naming = Callable[[Side, Side], list[Any]]


def account(side: Side) -> dict[str, Any]:
    """A processor account to enter for this owner."""
    return {
        "owner_id": side.ids["owner_id"],
        "name": f"{side.name} contract",
        "base_url": "https://cps.mypayter.com/",
        "domain": f"{side.name} domain",
        "merchant_id": f"{side.name} merchant",
        "acquirer": f"{side.name} bank",
    }


def _terminals(theirs: Side, mine: Side) -> list[Any]:
    new = boxed(mine, 90)
    return [
        new | {"owner_id": theirs.ids["owner_id"]},
        new | {"site_id": theirs.ids["site_id"]},
        new | {"evses": [f"{theirs.ids['station_id']}/1"]},
    ]


def _list(theirs: Side, mine: Side) -> list[Any]:
    serial = boxed(mine, 91)["serial"]
    columns = "serial,family,station_serial,owner_id,currency,supplier_order"
    return [f"{columns}\n{serial},Apollo,SN-1,{theirs.ids['owner_id']},NOK,SO-1\n".encode()]


def _onboarding(theirs: Side, mine: Side) -> list[Any]:
    rows = [f"{theirs.ids['boxed']},own,platform,,", f"{theirs.ids['listed']},integrated,,{theirs.ids['station_id']},"]
    rows.append(f"{mine.ids['listed']},integrated,,{theirs.ids['station_id']},")
    return ["\n".join(["terminal serial,origin,processor,station,comment", *rows]).encode()]


def _visits(theirs: Side, mine: Side) -> list[Any]:
    soon = datetime.now(UTC) + timedelta(hours=1)
    visit = {
        "visitor": "Ola Montør",
        "company": "Montør AS",
        "purpose": "Look at it.",
        "starts_at": soon.isoformat(),
        "ends_at": (soon + timedelta(hours=1)).isoformat(),
    }
    return [
        visit | {"serials": [theirs.ids["serial"]]},
        visit | {"serials": [mine.ids["serial"], theirs.ids["serial"]]},
    ]


def _replacements(theirs: Side, mine: Side) -> list[Any]:
    return [
        {"old_serial": mine.ids["serial"], "new_serial": theirs.ids["boxed"], "reason": "It is broken."},
        {"old_serial": theirs.ids["serial"], "new_serial": mine.ids["boxed"], "reason": "It is broken."},
    ]


def _settlements(theirs: Side, _: Side) -> list[Any]:
    columns, day = "reference;amount;currency;date;merchant_id", datetime.now(UTC).date().isoformat()
    payment, row = f"PAY-{theirs.ids['session_id']}", f"50,00;NOK;{day}"
    return [
        f"{columns}\n{payment};{row};\n{theirs.name}-HOST;{row};\n".encode(),
        f"{columns}\n{theirs.name}-HOST;{row};{theirs.name} merchant\n".encode(),
    ]


NAMING: dict[str, Naming] = {
    "enter_processor": lambda theirs, _: [account(theirs)],
    "confirm_terminal_routing": lambda theirs, _: [{"account_id": theirs.ids["account_id"], "reference": "a letter"}],
    "enter_domain_transfer": lambda theirs, _: [{"account_id": theirs.ids["account_id"], "tt_number": "TT-1"}],
    "order_licences": lambda theirs, _: [
        {"owner_id": theirs.ids["owner_id"], "lines": [{"sku": "PLAN", "quantity": 1}]}
    ],
    "assign_licence": lambda theirs, _: [{"serial": theirs.ids["boxed"]}],
    "register_terminal": _terminals,
    "change_served_evses": lambda theirs, mine: [
        {"evses": [f"{theirs.ids['station_id']}/1"]},
        {"evses": [f"{mine.ids['station_id']}/1", f"{theirs.ids['station_id']}/1"]},
    ],
    "move_terminal": lambda theirs, _: [{"site_id": theirs.ids["site_id"], "reason": "It fits there."}],
    "import_terminals": _list,
    "start_onboarding": lambda theirs, _: [{"serial": theirs.ids["boxed"], "origin": "own"}],
    "import_onboarding": _onboarding,
    "start_stock_count": lambda theirs, _: [
        {"owner_id": theirs.ids["owner_id"], "counted_by": "Kari"},
        {"site_id": theirs.ids["site_id"], "counted_by": "Kari"},
    ],
    "write_provider_notice": lambda theirs, mine: [
        {"discrepancy_ids": [theirs.ids["discrepancy_id"]]},
        {"discrepancy_ids": [mine.ids["discrepancy_id"], theirs.ids["discrepancy_id"]]},
    ],
    "upload_settlement": _settlements,
    "announce_visit": _visits,
    "record_replacement": _replacements,
}

#: Numbers that exist once: whoever enters another's is told that it is taken, and nothing else.
TAKEN: dict[str, Naming] = {
    "register_terminal": lambda theirs, mine: [
        boxed(mine, 92) | {"serial": theirs.ids["boxed"]},
        boxed(mine, 92) | {"sim_serial": theirs.ids["sim"]},
    ],
    "edit_terminal": lambda theirs, _: [{"sim_serial": theirs.ids["sim"]}],
}

#: What is written down as it is said, whatever it names, and judged when the count is finished.
FINDS: dict[str, Naming] = {
    "tell_stock_finds": lambda theirs, _: [
        {"found": [{"serial": theirs.ids["boxed"], "site_id": theirs.ids["site_id"]}]}
    ],
    "import_stock_finds": lambda theirs, _: [
        f"serial,site_id\n{theirs.ids['serial']},{theirs.ids['site_id']}\n".encode()
    ],
}

#: Operations whose file is kept as it is: nobody looks in it for names.
KEPT_AS_IT_IS = frozenset({"attach_to_onboarding", "add_inspection_photo", "add_incident_photo"})
