"""Sites: where owners' stations stand."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field
from sqlalchemy import select

from csms.terminals import sites
from csms.terminals.owners import OwnerRefusedError
from csms.terminals.sites import Site
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Body, Reply, Resource, Shown, etag, owned_by
from csms.web.api.owners import ADDRESS, Line, refusal
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import owner_schema as t
from storage.engine import reading, writing

resource = Resource(
    "sites",
    parameters={
        "site_id": {
            "type": "string",
            "pattern": r"^site_[0-9a-f]{12}$",
            "description": "The site, as it is listed.",
            "example": "site_0123456789ab",
        }
    },
    owned={"site_id": owned_by(t.sites.c.owner_id, t.sites.c.site_id)},
)


class SiteWanted(Body):
    """A site to enter."""

    owner_id: str = Field(max_length=32, description="Whose it is; it stays theirs.")
    name: Line = Field(description="As its owner calls it.")
    address: list[Line] = Field(default_factory=list, max_length=6, description=ADDRESS)
    country: str = Field(pattern="^[A-Z]{2}$", description="ISO 3166-1 code.")
    time_zone: str = Field("Europe/Oslo", max_length=40, description="IANA zone.")


class SiteEdit(Body):
    """What is to change; what is left out stays."""

    name: Line | None = Field(None, description="As its owner calls it.")
    address: list[Line] | None = Field(None, max_length=6, description=ADDRESS)
    country: str | None = Field(None, pattern="^[A-Z]{2}$", description="ISO 3166-1 code.")
    time_zone: str | None = Field(None, max_length=40, description="IANA zone.")


class SiteShown(Shown):
    """A site."""

    site_id: str
    owner_id: str
    name: str
    address: list[str]
    country: str
    time_zone: str
    revision: int
    created_at: datetime


class SiteDetails(SiteShown):
    """A site, and the stations that stand there."""

    stations: list[str]


class SiteFilter(PageQuery):
    """Which sites."""

    owner_id: str | None = Field(None, max_length=32, description="Only this owner's.")


@resource.get("/sites", Page[SiteShown], query=SiteFilter, owners=True)
async def list_sites(call: ApiCall) -> Page[SiteShown]:
    """List sites."""
    c = t.sites.c
    query = call.mine(select(t.sites), c.owner_id)
    if call.query.owner_id is not None:
        query = query.where(c.owner_id == call.query.owner_id)
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection,
            query,
            [c.site_id],
            call.query,
            lambda row: SiteShown.model_validate(sites.site_of(row), from_attributes=True),
        )


@resource.get("/sites/{site_id}", SiteDetails, owners=True)
async def get_site(call: ApiCall) -> Reply:
    """Show a site, with the stations that stand there."""
    return await _reply(call, call.path["site_id"], 200)


@resource.operation("POST", "/sites", role=Role.OPERATOR, body=SiteWanted, answers={201: SiteDetails}, errors=(409,))
async def enter_site(call: ApiCall) -> Reply:
    """Enter a site. Stations come to stand there with PATCH /stations/{station_id}."""
    said: SiteWanted = call.body
    values = said.model_dump() | {"address": tuple(said.address)}
    site = Site(site_id=sites.new_site_id(), created_at=call.now, **values)
    try:
        async with writing(call.api.engine) as connection:
            await sites.enter(connection, site)
    except OwnerRefusedError as refused:
        raise refusal(refused) from None
    return await _reply(call, site.site_id, 201)


@resource.operation(
    "PATCH", "/sites/{site_id}", role=Role.OPERATOR, body=SiteEdit, answers={200: SiteDetails}, edits=True
)
async def edit_site(call: ApiCall) -> Reply:
    """Change a site."""
    said: SiteEdit = call.body
    changes = {name: getattr(said, name) for name in said.model_fields_set}
    if None in changes.values():
        raise Problem(422, "Nothing of a site can be null: leave out what is to stay.")
    if "address" in changes:
        changes["address"] = tuple(changes["address"])
    try:
        async with writing(call.api.engine) as connection:
            site = await sites.find(connection, call.path["site_id"], lock=True)
            if site is None:
                raise _no_site()
            call.require_revision(site.revision)
            await sites.change(connection, site, changes)
    except OwnerRefusedError as refused:
        raise refusal(refused) from None
    return await _reply(call, site.site_id, 200)


def _no_site() -> Problem:
    return Problem(404, "There is no site of this id; GET /sites lists them.")


async def _reply(call: ApiCall, site_id: str, status: int) -> Reply:
    async with reading(call.api.engine) as connection:
        site = await sites.find(connection, site_id)
        if site is None:
            raise _no_site()
        shown = SiteShown.model_validate(site, from_attributes=True).model_dump()
        content = SiteDetails(**shown, stations=await sites.stations_at(connection, site_id))
    headers = {"ETag": etag(site.revision)}
    if status == 201:
        headers["Location"] = f"{PREFIX}/sites/{site_id}"
    return Reply(content, status, headers)
