"""Stations: what is known of each, whether it may connect, and which way."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import select, update

from csms.stations import calls
from csms.terminals.placement import PlacementRefusedError, place, price_evse
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from sessions.directory import Admission
from storage import schema as t
from storage.engine import reading, writing

resource = Resource("stations", owned={"station_id": owned_by(t.stations.c.owner_id, t.stations.c.station_id)})


class EvseShown(Shown):
    """An EVSE as last reported."""

    evse_id: int
    label: str | None
    status: str
    charging_state: str | None
    error_code: str | None
    status_at: datetime | None
    tariff_id: str | None
    max_power_w: int | None


class StationShown(Shown):
    """A station."""

    station_id: str
    admission: Admission
    connected: bool
    version: str | None
    vendor: str | None
    model: str | None
    serial_number: str | None
    firmware_version: str | None
    owner_id: str
    site: str | None = Field(description="Where it stands: a site's id; of the platform's own also a free name.")
    security_profile: int
    boot_status: str | None
    booted_at: datetime | None
    seen_at: datetime | None


class StationWithEvses(StationShown):
    """A station and its EVSEs."""

    evses: list[EvseShown]


class StationFilter(PageQuery):
    """Which stations."""

    admission: Admission | None = Field(None, description="Only these.")
    connected: bool | None = Field(None, description="Only those that are, or are not, connected.")
    vendor: str | None = Field(None, max_length=60, description="Only this vendor's.")
    model: str | None = Field(None, max_length=60, description="Only this model.")
    site: str | None = Field(None, max_length=60, description="Only at this site.")
    owner_id: str | None = Field(None, max_length=32, description="Only this owner's.")


class StationEdit(Body):
    """What an operator decides about a station; what is left out stays."""

    admission: Literal["accepted", "held", "refused"] | None = Field(None, description="Whether it may charge.")
    owner_id: str | None = Field(None, max_length=32, description="Whose it is; `platform`: the operator's own.")
    site: str | None = Field(None, max_length=60, description="Where it stands: a site's id; null: nowhere yet.")
    security_profile: int | None = Field(None, ge=0, le=3, description="The least security profile it may use.")
    log_frames: bool | None = Field(None, description="Whether its frames are logged.")


def _shown(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in StationShown.model_fields}


class EvseEdit(Body):
    """What an operator decides about an EVSE; what is left out stays."""

    tariff_id: str | None = Field(None, max_length=64, description="Its price, a tariff of its owner's; null: none.")
    label: str | None = Field(None, max_length=60, description="What drivers read; null: none.")
    max_power_w: int | None = Field(None, gt=0, lt=2**31, description="Its maximum power, W; null: not known.")


@resource.get("/stations", Page[StationShown], query=StationFilter, owners=True)
async def list_stations(call: ApiCall) -> Page[StationShown]:
    """List stations."""
    asked: StationFilter = call.query
    s = t.stations.c
    query = call.mine(select(t.stations), s.owner_id)
    for name in ("admission", "connected", "vendor", "model", "site", "owner_id"):
        wanted = getattr(asked, name)
        if wanted is not None:
            query = query.where(s[name] == wanted)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [s.station_id], asked, lambda row: StationShown(**_shown(row)))


@resource.get("/stations/{station_id}", StationWithEvses, owners=True)
async def get_station(call: ApiCall) -> StationWithEvses:
    """Show a station and its EVSEs."""
    station_id = call.path["station_id"]
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(t.stations).where(t.stations.c.station_id == station_id))).first()
        if row is None:
            raise no_station()
        evses = await connection.execute(
            select(t.evses).where(t.evses.c.station_id == station_id).order_by(t.evses.c.evse_id)
        )
        return StationWithEvses(
            **_shown(row),
            evses=[EvseShown(**{name: getattr(evse, name) for name in EvseShown.model_fields}) for evse in evses],
        )


@resource.operation(
    "PATCH",
    "/stations/{station_id}",
    role=Role.OPERATOR,
    body=StationEdit,
    answers={200: StationWithEvses},
    errors=(409,),
)
async def edit_station(call: ApiCall) -> StationWithEvses:
    """Decide about a station: owner, site, admission, security profile, logging.

    A station that changes its owner leaves the old one's site, and its EVSEs the old one's tariffs: give it new ones.
    It cannot while a charge is open or a terminal of somebody else's serves it.

    A station that waits is asked to boot again when it is accepted; one that is refused is hung up on; one that is held
    waits from its next connection. A security profile takes effect with its next connection.
    """
    before = await require_station(call)
    changes = call.body.model_dump(exclude_unset=True)
    for name in ("admission", "security_profile", "owner_id"):
        if name in changes and changes[name] is None:
            raise Problem(422, f"{name} cannot be null.")
    if changes.get("security_profile", 0) > max(call.api.ocpp.ports, default=0):
        raise Problem(409, "No port is open for this security profile: set ocpp.tls or ocpp.mutual_tls first.")
    if changes:
        mine = t.stations.c.station_id == call.path["station_id"]
        try:
            async with writing(call.api.engine) as connection:
                belonging = {name: changes[name] for name in ("owner_id", "site") if name in changes}
                await place(connection, before.station_id, belonging)
                await connection.execute(update(t.stations).where(mine).values(changes))
        except PlacementRefusedError as refused:
            raise Problem(409, str(refused)) from None
    if "log_frames" in changes:
        call.api.frame_log.set_for(call.path["station_id"], changes["log_frames"])
    await _admitted(call, before, changes.get("admission"))
    return await get_station(call)


@resource.operation(
    "PATCH",
    "/stations/{station_id}/evses/{evse_id}",
    role=Role.OPERATOR,
    body=EvseEdit,
    answers={200: StationWithEvses},
    errors=(409,),
)
async def edit_evse(call: ApiCall) -> StationWithEvses:
    """Decide about an EVSE: tariff, label, maximum power. One that the station has not reported yet is entered.

    Charges that run keep the tariff they began with; a terminal shows the new one when it is armed next.
    """
    await require_station(call)
    if call.path["evse_id"] == 0:
        raise Problem(409, "0 is the station itself: its EVSEs are numbered from 1.")
    changes = call.body.model_dump(exclude_unset=True)
    try:
        async with writing(call.api.engine) as connection:
            await price_evse(connection, call.path["station_id"], call.path["evse_id"], changes)
    except PlacementRefusedError as refused:
        raise Problem(409, str(refused)) from None
    return await get_station(call)


async def _admitted(call: ApiCall, before: Any, admission: str | None) -> None:
    """Let a connected station know at once."""
    if admission == Admission.REFUSED:
        call.api.ocpp.dismiss(before.station_id)
    if admission == Admission.ACCEPTED and before.admission == Admission.HELD and before.connected:
        boot = {"requestedMessage": "BootNotification"}
        asked = calls.request(before.station_id, "TriggerMessage", boot, by=call.caller.actor, now=call.now)
        await call.api.service.submit(asked)


def no_station() -> Problem:
    """404."""
    return Problem(404, "No station of this identity is known: it has never connected and is not in the settings.")


async def require_station(call: ApiCall) -> Any:
    """The station's row. Raises `Problem` 404."""
    async with reading(call.api.engine) as connection:
        query = select(t.stations).where(t.stations.c.station_id == call.path["station_id"])
        row = (await connection.execute(query)).first()
    if row is None:
        raise no_station()
    return row
