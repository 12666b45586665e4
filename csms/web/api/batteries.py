"""Batteries of terminals in storage."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import select

from csms.terminals.batteries import Charge, batteries, record_charge
from csms.terminals.due_dates import local_day
from csms.terminals.inventory import MoveRefusedError
from csms.terminals.time_zones import zone_of, zones
from csms.web.api.access import Role
from csms.web.api.care import refused, require_terminal
from csms.web.api.operation import ApiCall, Body, FreeText, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import care_schema as t
from storage.engine import reading, writing

resource = Resource("batteries")


class ChargeMade(Body):
    """That somebody charged it."""

    charged_by: FreeText = Field(min_length=2, max_length=80, pattern=r"\S", description="Name of who charged it.")
    charged_on: date | None = Field(None, description="Which day, by the owner's calendar; today if it is left out.")


class ChargeShown(Shown):
    """A battery charge."""

    charge_id: str
    serial: str
    charged_on: date
    charged_by: str
    recorded_by: str
    recorded_at: datetime


class BatteryShown(Shown):
    """The battery of a terminal in storage."""

    serial: str
    owner_id: str
    since: date = Field(description="Its last charge, or the day on which it was stored.")
    due_on: date = Field(description="By when it has to be charged again: three months of the calendar later.")
    state: Charge = Field(description="missed: tamper mode threatens, and the return for repair.")


class Batteries(Shown):
    """The batteries in storage."""

    items: list[BatteryShown]


@resource.operation(
    "POST",
    "/terminals/{serial}/battery-charges",
    role=Role.SUPPORT,
    body=ChargeMade,
    answers={201: ChargeShown},
    errors=(409,),
    owners=True,
)
async def record_a_battery_charge(call: ApiCall) -> Reply:
    """Record that somebody charged the battery of a terminal: who, and when."""
    async with writing(call.api.engine) as connection:
        terminal = await require_terminal(call, connection)
        today = local_day(call.now, await zone_of(connection, terminal.owner_id))
        charged_on = call.body.charged_on or today
        if charged_on > today:
            raise Problem(422, "charged_on is in the future: record a charge once it has been made.")
        if charged_on < today - timedelta(days=366):
            raise Problem(422, "charged_on is more than a year ago.")
        try:
            charge_id = await record_charge(
                connection,
                terminal.serial,
                charged_on=charged_on,
                charged_by=call.body.charged_by.strip(),
                recorded_by=call.caller.actor,
                now=call.now,
            )
        except MoveRefusedError as error:
            raise refused(error) from None
        b = t.battery_charges
        row = (await connection.execute(select(b).where(b.c.charge_id == charge_id))).one()
    return Reply(_shown(row), 201)


@resource.get("/terminals/{serial}/battery-charges", Page[ChargeShown], query=PageQuery, owners=True)
async def list_battery_charges(call: ApiCall) -> Page[ChargeShown]:
    """List a terminal's battery charges, the newest first."""
    b = t.battery_charges.c
    async with reading(call.api.engine) as connection:
        await require_terminal(call, connection)
        query = select(t.battery_charges).where(b.serial == call.path["serial"])
        return await fetch_page(connection, query, [b.recorded_at, b.charge_id], call.query, _shown, newest_first=True)


@resource.get("/batteries", Batteries, owners=True)
async def list_batteries(call: ApiCall) -> Batteries:
    """List the batteries of terminals in storage, and when each has to be charged; the most urgent first."""
    async with reading(call.api.engine) as connection:
        found = await batteries(connection, call.now, call.owner_id)
        zone_by_owner = await zones(connection)
    items = [
        BatteryShown(
            serial=one.serial,
            owner_id=one.owner_id,
            since=one.since,
            due_on=one.due_on,
            state=one.at(local_day(call.now, zone_by_owner[one.owner_id])),
        )
        for one in sorted(found, key=lambda one: (one.due_on, one.serial))
    ]
    return Batteries(items=items)


def _shown(row: Any) -> ChargeShown:
    return ChargeShown(**{name: getattr(row, name) for name in ChargeShown.model_fields})
