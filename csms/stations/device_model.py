"""The device model: every variable a station has told of, version-free, and reports that come in parts (2.0.1 B).

1.6's configuration keys are variables too: those that correspond under their 2.0.1 names, the others as variables of
the component `ConfigurationKey`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.stations.masking import masked, names_a_secret
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.rows import insert_for, upsert
from storage import device_model_schema as t


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableId:
    """Which variable. EVSE and connector 0: the station, the EVSE."""

    component: str
    variable: str
    component_instance: str = ""
    variable_instance: str = ""
    evse_id: int = 0
    connector_id: int = 0

    def __str__(self) -> str:
        where = f"[{self.component_instance}]" if self.component_instance else ""
        what = f"[{self.variable_instance}]" if self.variable_instance else ""
        at = f"@{self.evse_id}" + (f"/{self.connector_id}" if self.connector_id else "") if self.evse_id else ""
        return f"{self.component}{where}{at}.{self.variable}{what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute of a variable as the station told it. What a message does not say is None."""

    id: VariableId
    value: str | None
    attribute: str = "Actual"
    mutability: str | None = None
    persistent: bool | None = None
    constant: bool | None = None
    characteristics: dict[str, Any] | None = None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class VariablesTold(StationFact):
    """Values that were read, or set and accepted."""

    attributes: tuple[Attribute, ...]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportAsked(StationFact):
    """The station has agreed to report."""

    request_id: int
    kind: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPartTold(StationFact):
    """One part of a report. ``last``: no part with a higher number follows."""

    request_id: int
    seq_no: int
    last: bool
    attributes: tuple[Attribute, ...]


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkProfileSet(StationFact):
    """The station took a connection profile into a slot (B09)."""

    slot: int
    profile: dict[str, Any]


def new_request_id() -> int:
    """An id for a report; random, so that a restart begins no old one anew."""
    return secrets.randbelow(2**31 - 1) + 1


async def keep_variables(connection: AsyncConnection, found: Sequence[VariablesTold], now: datetime) -> list[Command]:
    """Write values; what only reports say stays."""
    for fact in found:
        await _write(connection, fact.station_id, fact.attributes, now)
    return []


async def keep_asked(connection: AsyncConnection, found: Sequence[ReportAsked], now: datetime) -> list[Command]:
    """Open the reports. A part may have come before the answer that announced it."""
    for fact in found:
        insert = insert_for(connection)(t.reports).values(
            station_id=fact.station_id, request_id=fact.request_id, kind=fact.kind[:30], asked_at=now, updated_at=now
        )
        again = {"kind": fact.kind[:30], "asked_at": now}
        await connection.execute(insert.on_conflict_do_update(index_elements=["station_id", "request_id"], set_=again))
    return []


async def keep_parts(connection: AsyncConnection, found: Sequence[ReportPartTold], now: datetime) -> list[Command]:
    """Write the parts and what they tell; a part that comes again changes nothing but the values' age."""
    for fact in found:
        insert = insert_for(connection)(t.reports).values(
            station_id=fact.station_id,
            request_id=fact.request_id,
            kind="unasked",
            last_seq=fact.seq_no if fact.last else None,
            updated_at=now,
        )
        again: dict[str, Any] = {"updated_at": now} | ({"last_seq": fact.seq_no} if fact.last else {})
        await connection.execute(insert.on_conflict_do_update(index_elements=["station_id", "request_id"], set_=again))
        part = {
            "station_id": fact.station_id,
            "request_id": fact.request_id,
            "seq_no": fact.seq_no,
            "variables": len(fact.attributes),
            "received_at": now,
        }
        await upsert(connection, t.report_parts, ["station_id", "request_id", "seq_no"], [part])
        await _write(connection, fact.station_id, fact.attributes, now)
    return []


async def keep_profiles(
    connection: AsyncConnection, found: Sequence[NetworkProfileSet], now: datetime
) -> list[Command]:
    """Write the newest profile of each slot, without its secrets."""
    for fact in found:
        row = {
            "station_id": fact.station_id,
            "slot": fact.slot,
            "profile": orjson.dumps(masked(fact.profile)).decode(),
            "updated_at": now,
        }
        await upsert(connection, t.network_profiles, ["station_id", "slot"], [row])
    return []


KEEPERS = {
    VariablesTold: (keep_variables,),
    ReportAsked: (keep_asked,),
    ReportPartTold: (keep_parts,),
    NetworkProfileSet: (keep_profiles,),
}

_KEY = [
    "station_id", "component", "component_instance", "evse_id", "connector_id", "variable", "variable_instance",
    "attribute",
]  # fmt: skip


async def _write(connection: AsyncConnection, station_id: str, attributes: Iterable[Attribute], now: datetime) -> None:
    plain: dict[tuple[VariableId, str], dict[str, Any]] = {}
    described: dict[tuple[VariableId, str], dict[str, Any]] = {}
    for told in attributes:
        secret = names_a_secret(told.id.variable)
        row = {"station_id": station_id} | asdict(told.id)
        row |= {"attribute": told.attribute, "value": None if secret else told.value, "updated_at": now}
        if told.mutability is None and told.characteristics is None:
            plain[told.id, told.attribute] = row
            continue
        characteristics = orjson.dumps(told.characteristics).decode() if told.characteristics is not None else None
        described[told.id, told.attribute] = row | {
            "mutability": told.mutability,
            "persistent": told.persistent,
            "constant": told.constant,
            "characteristics": characteristics,
        }
    for rows in (list(plain.values()), list(described.values())):
        for start in range(0, len(rows), 200):  # SQLite takes so many parameters in one statement
            await upsert(connection, t.variables, _KEY, rows[start : start + 200])
