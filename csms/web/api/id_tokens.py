"""Id tokens: the RFID cards and other tokens that may charge, their groups, and what they may not."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError

from billing.way import Way
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Moment, Reply, Resource, Shown, etag
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from sessions.facts import TokenStatus
from storage import schema as t
from storage.engine import reading, writing

resource = Resource("id tokens")

#: An id token, or a group's.
ID_PATTERN = r"^[A-Za-z0-9*_=:+|@.-]{1,36}$"
#: So many tokens go into one list: it is one commit, and charges wait for none that takes longer.
_LISTED_AT_ONCE = 1000
_MEANWHILE = "This was changed meanwhile: read it again, and send its new ETag in If-Match."


class Contract(StrEnum):
    """The ways of `billing.way.Way` that an id token can stand for: all but a card at a terminal."""

    RFID = Way.RFID.value
    APP = Way.APP.value
    ROAMING = Way.ROAMING.value


class TokenRights(Body):
    """What a token may do."""

    status: TokenStatus = Field(TokenStatus.ACCEPTED, description="Accepted, Blocked, Expired or Invalid.")
    expires_at: Moment | None = Field(None, description="When it expires by itself.")
    token_type: str | None = Field(None, max_length=20, description="OCPP 2.0.1 type, such as ISO14443.")
    group_id: str | None = Field(
        None, pattern=ID_PATTERN, description="Its group (1.6: parent): who is in the same one may stop its charges."
    )
    master_pass: bool = Field(False, description="It may stop any charge, and start none.")
    concurrent: bool = Field(True, description="It may charge at several EVSEs at once.")
    label: str | None = Field(None, max_length=80, description="Whose it is.")
    way: Contract = Field(Contract.RFID, description="Who pays for its charges: rfid, app or roaming.")


class TokenEntry(TokenRights):
    """A token to enter."""

    id_token: str = Field(pattern=ID_PATTERN, description="The token, as stations read it; case does not matter.")


class TokenList(Body):
    """Tokens to enter, or to say anew."""

    tokens: list[TokenEntry] = Field(min_length=1, max_length=_LISTED_AT_ONCE)


class TokensTaken(Shown):
    """What a list changed."""

    entered: int = Field(description="Not known before.")
    changed: int = Field(description="Known, and said anew.")
    unchanged: int = Field(description="Known exactly so.")


class IdTokenShown(Shown):
    """A token."""

    id_token: str
    status: TokenStatus
    expires_at: datetime | None
    token_type: str | None
    group_id: str | None
    master_pass: bool
    concurrent: bool
    label: str | None
    way: Contract
    revision: int


class IdTokenFilter(PageQuery):
    """Which tokens."""

    status: TokenStatus | None = Field(None, description="Only these.")
    group_id: str | None = Field(None, max_length=36, description="Only of this group.")
    label: str | None = Field(None, max_length=80, description="Only with this label.")
    way: Contract | None = Field(None, description="Only those paid for this way.")


@resource.get("/id-tokens", Page[IdTokenShown], query=IdTokenFilter)
async def list_id_tokens(call: ApiCall) -> Page[IdTokenShown]:
    """List tokens."""
    asked: IdTokenFilter = call.query
    k = t.id_tokens.c
    query = select(t.id_tokens)
    if asked.status is not None:
        query = query.where(k.status == asked.status.value)
    if asked.group_id is not None:
        query = query.where(k.group_id == asked.group_id.upper())
    if asked.label is not None:
        query = query.where(k.label == asked.label)
    if asked.way is not None:
        query = query.where(k.way == asked.way.value)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [k.id_token], asked, _shown)


@resource.operation(
    "POST", "/id-tokens", role=Role.OPERATOR, body=TokenEntry, answers={201: IdTokenShown}, errors=(409,)
)
async def enter_id_token(call: ApiCall) -> Reply:
    """Enter a token. It holds from the next message on; stations may have another answer in their cache."""
    row = _row(call.body) | {"id_token": call.body.id_token.upper(), "revision": 1}
    try:
        async with writing(call.api.engine) as connection:
            await connection.execute(t.id_tokens.insert().values(row))
    except IntegrityError:
        raise Problem(409, "This token is known already: change it with PUT.") from None
    return _reply(await _token(call, row["id_token"]), 201)


@resource.operation(
    "POST", "/id-tokens/import", role=Role.OPERATOR, body=TokenList, answers={200: TokensTaken}, errors=(409,)
)
async def import_id_tokens(call: ApiCall) -> TokensTaken:
    """Enter a list of tokens, all or none. Those that are known are said anew, whoever changed them last.

    Sending the same list again changes nothing. Tokens that are not on it stay as they are.
    """
    listed = {entry.id_token.upper(): _row(entry) for entry in call.body.tokens}
    if len(listed) < len(call.body.tokens):
        raise Problem(422, "A token stands on the list twice; case does not matter. Nothing was entered.")
    k = t.id_tokens.c
    try:
        async with writing(call.api.engine) as connection:
            query = select(t.id_tokens).where(k.id_token.in_(listed)).order_by(k.id_token).with_for_update()
            known = {row.id_token: row for row in await connection.execute(query)}
            new = [{"id_token": name, "revision": 1} | row for name, row in listed.items() if name not in known]
            other = [
                {"known": name, "next": known[name].revision + 1} | row
                for name, row in listed.items()
                if name in known and any(getattr(known[name], column) != value for column, value in row.items())
            ]
            if new:
                await connection.execute(t.id_tokens.insert(), new)
            if other:
                again = update(t.id_tokens).where(k.id_token == bindparam("known")).values(revision=bindparam("next"))
                await connection.execute(again, other)
    except IntegrityError:
        raise Problem(
            409, "Somebody entered one of these tokens meanwhile. Nothing was entered: send it again."
        ) from None
    return TokensTaken(entered=len(new), changed=len(other), unchanged=len(listed) - len(new) - len(other))


@resource.get("/id-tokens/{id_token}", IdTokenShown)
async def get_id_token(call: ApiCall) -> Reply:
    """Show a token."""
    return _reply(await _token(call, call.path["id_token"].upper()), 200)


@resource.operation(
    "PUT", "/id-tokens/{id_token}", role=Role.OPERATOR, body=TokenRights, answers={200: IdTokenShown}, edits=True
)
async def change_id_token(call: ApiCall) -> Reply:
    """Say anew what a token may do."""
    shown = await _token(call, call.path["id_token"].upper())
    call.require_revision(shown.revision)
    k = t.id_tokens.c
    async with writing(call.api.engine) as connection:
        same = (k.id_token == shown.id_token, k.revision == shown.revision)
        changed = await connection.execute(
            update(t.id_tokens).where(*same).values(_row(call.body) | {"revision": shown.revision + 1})
        )
    if not changed.rowcount:
        raise Problem(412, _MEANWHILE)
    return _reply(await _token(call, shown.id_token), 200)


@resource.operation("DELETE", "/id-tokens/{id_token}", role=Role.OPERATOR, answers={204: None}, edits=True)
async def delete_id_token(call: ApiCall) -> Reply:
    """Forget a token; it is unknown from then on. To keep it from charging, block it instead."""
    shown = await _token(call, call.path["id_token"].upper())
    call.require_revision(shown.revision)
    k = t.id_tokens.c
    async with writing(call.api.engine) as connection:
        same = (k.id_token == shown.id_token, k.revision == shown.revision)
        deleted = await connection.execute(delete(t.id_tokens).where(*same))
    if not deleted.rowcount:
        raise Problem(412, _MEANWHILE)
    return Reply(None, 204)


async def _token(call: ApiCall, folded: str) -> IdTokenShown:
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(t.id_tokens).where(t.id_tokens.c.id_token == folded))).first()
    if row is None:
        raise Problem(404, "No such token is known: enter it with POST /id-tokens.")
    return _shown(row)


def _row(rights: TokenRights) -> dict[str, Any]:
    values = rights.model_dump(exclude={"id_token"}) | {
        "status": rights.status.value,
        "way": rights.way.value,
    }
    values["group_id"] = rights.group_id.upper() if rights.group_id else None
    return values


def _shown(row: Any) -> IdTokenShown:
    return IdTokenShown(**{name: getattr(row, name) for name in IdTokenShown.model_fields})


def _reply(shown: IdTokenShown, status: int) -> Reply:
    return Reply(shown, status, {"ETag": etag(shown.revision)})
