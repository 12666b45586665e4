"""Tariffs at stations, the costs that stations compute, and payments at their own terminals (OCPP 2.1)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from pydantic import Field
from sqlalchemy import select

from billing.tariff_json import tariff_from_json
from csms.ocpp.v21.tariff_type import tariff_type
from csms.stations.station_tariffs import remember_content
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.station_commands import CommandShown, Wait, carry_out
from csms.web.api.stations import require_station
from storage import payment_schema as t
from storage import schema
from storage.engine import reading, writing

resource = Resource("station tariffs and payments")


class StationTariff(Shown):
    """A tariff that a station uses."""

    evse_id: int = Field(description="0: every EVSE.")
    ocpp_tariff_id: str = Field(description="OCPP's tariffId; no other content ever gets it.")
    kind: str = Field(description="DefaultTariff or DriverTariff.")
    tariff_id: str | None = Field(description="Ours, of which it was made; null if it was made elsewhere.")
    valid_from: datetime | None
    told_at: datetime
    content: dict[str, Any] | None = Field(description="OCPP's TariffType; null if it was not set from here.")


class DefaultTariff(Body):
    """Which tariff, and where."""

    tariff_id: str = Field(min_length=1, max_length=64, description="One of ours (settings).")
    evse_id: int = Field(0, ge=0, le=2**31 - 1, description="Which EVSE; 0: every one.")


class TariffsToClear(Body):
    """Which tariffs; none named: all."""

    ocpp_tariff_ids: list[str] = Field(default_factory=list, max_length=100, description="OCPP's tariffIds.")
    evse_id: int | None = Field(None, ge=0, le=2**31 - 1, description="Only of this EVSE.")


class EvseAsked(Body):
    """Which EVSE."""

    evse_id: int = Field(0, ge=0, le=2**31 - 1, description="Which EVSE; 0: every one.")


@resource.get("/stations/{station_id}/tariffs", Page[StationTariff], query=PageQuery)
async def list_station_tariffs(call: ApiCall) -> Page[StationTariff]:
    """List the tariffs that a station uses, as last set or reported."""
    await require_station(call)
    s, k = t.station_tariffs.c, t.tariff_contents.c
    query = select(t.station_tariffs, k.tariff_id, k.content).join_from(
        t.station_tariffs, t.tariff_contents, s.ocpp_tariff_id == k.ocpp_tariff_id, isouter=True
    )
    query = query.where(s.station_id == call.path["station_id"])

    def shown(row: Any) -> StationTariff:
        values = {name: getattr(row, name) for name in StationTariff.model_fields}
        return StationTariff(**values | {"content": orjson.loads(row.content) if row.content else None})

    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [s.evse_id, s.ocpp_tariff_id], call.query, shown)


@resource.operation(
    "POST",
    "/stations/{station_id}/tariffs/default",
    role=Role.OPERATOR,
    query=Wait,
    body=DefaultTariff,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def set_default_tariff(call: ApiCall) -> Reply:
    """Give a station one of our tariffs as its default: it shows it, and may compute the cost itself.

    What we charge follows our own computation all the same; where the station's differs, a finding says so.
    """
    await _require_21(call)
    async with reading(call.api.engine) as connection:
        mine = schema.tariffs.c.tariff_id == call.body.tariff_id
        body = (await connection.execute(select(schema.tariffs.c.body).where(mine))).scalar()
    if body is None:
        raise Problem(409, "There is no tariff of this id in the settings.")
    try:
        told = tariff_type(tariff_from_json(orjson.loads(body)))
    except ValueError as unsayable:
        raise Problem(409, f"OCPP 2.1 cannot say this tariff: {unsayable}") from None
    content = orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()
    async with writing(call.api.engine) as connection:
        await remember_content(connection, told["tariffId"], call.body.tariff_id, content, call.now)
    payload = {"evseId": call.body.evse_id, "tariff": told}
    return await carry_out(call, call.path["station_id"], "SetDefaultTariff", payload, wait_s=call.query.wait)


@resource.operation(
    "POST",
    "/stations/{station_id}/tariffs/clear",
    role=Role.OPERATOR,
    query=Wait,
    body=TariffsToClear,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def clear_tariffs(call: ApiCall) -> Reply:
    """Let a station forget tariffs."""
    await _require_21(call)
    if any(not 0 < len(name) <= 60 for name in call.body.ocpp_tariff_ids):
        raise Problem(422, "A tariffId has 1 to 60 characters.")
    payload: dict[str, Any] = {"tariffIds": call.body.ocpp_tariff_ids} if call.body.ocpp_tariff_ids else {}
    if call.body.evse_id is not None:
        payload["evseId"] = call.body.evse_id
    return await carry_out(call, call.path["station_id"], "ClearTariffs", payload, wait_s=call.query.wait)


@resource.operation(
    "POST",
    "/stations/{station_id}/tariffs/read",
    role=Role.OPERATOR,
    query=Wait,
    body=EvseAsked,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def read_tariffs(call: ApiCall) -> Reply:
    """Ask a station which tariffs it uses; the list of its tariffs follows the answer."""
    await _require_21(call)
    payload = {"evseId": call.body.evse_id}
    return await carry_out(call, call.path["station_id"], "GetTariffs", payload, wait_s=call.query.wait)


async def _require_21(call: ApiCall) -> None:
    station = await require_station(call)
    if station.version != "ocpp2.1":
        raise Problem(409, "Tariffs are a matter of OCPP 2.1, which this station does not speak.")


class CostDetailsShown(Shown):
    """The cost of a transaction as its station computed it, beside ours at the same event."""

    transaction_id: str
    currency: str | None
    total: Decimal | None = Field(description="Major units incl. tax, as the station said it.")
    ours_minor: int | None
    failed: bool = Field(description="The station could not compute it.")
    failure: str | None
    told_at: datetime
    details: dict[str, Any]


@resource.get("/stations/{station_id}/cost-details", Page[CostDetailsShown], query=PageQuery)
async def list_cost_details(call: ApiCall) -> Page[CostDetailsShown]:
    """List the costs that a station computed, the newest word on each transaction."""
    await require_station(call)
    c = t.cost_details.c
    query = select(t.cost_details).where(c.station_id == call.path["station_id"])

    def shown(row: Any) -> CostDetailsShown:
        values = {name: getattr(row, name) for name in CostDetailsShown.model_fields}
        return CostDetailsShown(**values | {"details": orjson.loads(row.details)})

    async with reading(call.api.engine) as connection:
        keys = [c.told_at, c.transaction_id]
        return await fetch_page(connection, query, keys, call.query, shown, newest_first=True)


class SettlementShown(Shown):
    """What a station said of a payment at its own terminal."""

    settlement_id: int
    psp_ref: str
    transaction_id: str | None
    session_id: str | None = Field(description="Null: no session of ours has this transaction or payment.")
    status: str = Field(description="Settled, Canceled, Rejected or Failed.")
    status_info: str | None
    amount: Decimal = Field(description="Major units incl. tax, as the station said it.")
    settled_at: datetime | None
    told_at: datetime
    receipt_id: str | None = Field(description="Of a receipt that the station or its terminal made.")
    receipt_url: str | None
    buyer: dict[str, Any] | None = Field(description="The company a receipt is for, as it was told.")


class SettlementFilter(PageQuery):
    """Which settlements."""

    psp_ref: str | None = Field(None, max_length=255, description="Only of this payment.")
    transaction_id: str | None = Field(None, max_length=64, description="Only of this transaction.")


@resource.get("/stations/{station_id}/settlements", Page[SettlementShown], query=SettlementFilter)
async def list_settlements(call: ApiCall) -> Page[SettlementShown]:
    """List what a station said of payments at its own terminal, the newest first."""
    await require_station(call)
    c = t.settlements.c
    query = select(t.settlements).where(c.station_id == call.path["station_id"])
    for name in ("psp_ref", "transaction_id"):
        if getattr(call.query, name) is not None:
            query = query.where(c[name] == getattr(call.query, name))

    def shown(row: Any) -> SettlementShown:
        values = {name: getattr(row, name) for name in SettlementShown.model_fields}
        return SettlementShown(**values | {"buyer": orjson.loads(row.buyer) if row.buyer else None})

    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.settlement_id], call.query, shown, newest_first=True)


class VatCheckShown(Shown):
    """A VAT number that a driver gave at a station."""

    check_id: int
    evse_id: int | None
    vat_number: str
    accepted: bool = Field(description="Whether it has the form of its country's numbers; nobody was asked.")
    checked_at: datetime


@resource.get("/stations/{station_id}/vat-checks", Page[VatCheckShown], query=PageQuery)
async def list_vat_checks(call: ApiCall) -> Page[VatCheckShown]:
    """List the VAT numbers that drivers gave at a station, the newest first."""
    await require_station(call)
    c = t.vat_checks.c
    query = select(t.vat_checks).where(c.station_id == call.path["station_id"])

    def shown(row: Any) -> VatCheckShown:
        return VatCheckShown(**{name: getattr(row, name) for name in VatCheckShown.model_fields})

    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [c.check_id], call.query, shown, newest_first=True)
