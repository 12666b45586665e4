"""The secret address of an owner's calendar."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field
from sqlalchemy import delete, select

from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Reply, Resource, Shown
from csms.web.api.problem import Problem
from csms.web.uploads import new_link_token
from sessions.rows import upsert
from storage import care_schema as t
from storage import owner_schema
from storage.engine import reading, writing

resource = Resource("calendar")


class FeedShown(Shown):
    """That there is a feed; its address is told once."""

    owner_id: str
    created_by: str
    created_at: datetime


class FeedMade(FeedShown):
    """A feed and its address."""

    url: str = Field(description="For calendar programs. Whoever knows it can read the calendar; told this once.")


@resource.operation(
    "POST",
    "/owners/{owner_id}/calendar-feed",
    role=Role.OPERATOR,
    answers={201: FeedMade},
    owners=True,
)
async def make_calendar_feed(call: ApiCall) -> Reply:
    """Make the secret address of the owner's calendar, or a new one: the old one ends at once."""
    owner_id = call.path["owner_id"]
    token, hashed = new_link_token()
    row = {"owner_id": owner_id, "token_hash": hashed, "created_by": call.caller.actor, "created_at": call.now}
    async with writing(call.api.engine) as connection:
        o = owner_schema.owners.c
        if (await connection.execute(select(o.owner_id).where(o.owner_id == owner_id))).first() is None:
            raise Problem(404, "There is no owner of this id.")
        await upsert(connection, t.calendar_feeds, ["owner_id"], [row])
    url = f"{call.api.public_url.rstrip('/')}/calendar/{token}.ics"
    made = FeedMade(owner_id=owner_id, created_by=call.caller.actor, created_at=call.now, url=url)
    return Reply(made, 201, {"Cache-Control": "no-store"})


@resource.get("/owners/{owner_id}/calendar-feed", FeedShown, owners=True)
async def get_calendar_feed(call: ApiCall) -> FeedShown:
    """Show who made the address of the owner's calendar, and when."""
    f = t.calendar_feeds.c
    query = select(f.owner_id, f.created_by, f.created_at).where(f.owner_id == call.path["owner_id"])
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no calendar feed of this owner; make one by POST.")
    return FeedShown(**row._mapping)


@resource.operation("DELETE", "/owners/{owner_id}/calendar-feed", role=Role.OPERATOR, answers={204: None}, owners=True)
async def revoke_calendar_feed(call: ApiCall) -> Reply:
    """End the address of the owner's calendar at once."""
    async with writing(call.api.engine) as connection:
        mine = t.calendar_feeds.c.owner_id == call.path["owner_id"]
        await connection.execute(delete(t.calendar_feeds).where(mine))
    return Reply(None, 204)
