"""API tokens: made, listed and revoked by administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import select

from csms.web.api.access import Role, TokenRefusedError, create_token, revoke_token
from csms.web.api.operation import ApiCall, Body, Moment, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage import fleet_schema as t
from storage.engine import reading

resource = Resource("tokens")


class TokenShown(Shown):
    """A token, without itself."""

    token_id: str
    name: str
    role: Role
    owner_id: str | None = Field(description="Whose user it is; null: the platform's own people.")
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None


class TokenMade(Shown):
    """A new token; it is shown this once."""

    token_id: str
    token: str


class TokenWanted(Body):
    """A token to make."""

    name: str = Field(min_length=1, max_length=60, description="Whose it is; the audit trail shows it.")
    role: Role = Field(description="What it may do.")
    owner_id: str | None = Field(
        None, max_length=32, description="For a site owner's user: it sees and touches that owner's alone."
    )
    expires_at: Moment | None = Field(None, description="When it ends.")


class TokenFilter(PageQuery):
    """Which tokens."""

    owner_id: str | None = Field(None, max_length=32, description="Only of this owner's users.")


@resource.get("/tokens", Page[TokenShown], role=Role.ADMIN, query=TokenFilter)
async def list_tokens(call: ApiCall) -> Page[TokenShown]:
    """List tokens."""

    def shown(row: Any) -> TokenShown:
        return TokenShown(**{name: getattr(row, name) for name in TokenShown.model_fields})

    k, query = t.api_tokens.c, select(t.api_tokens)
    if call.query.owner_id is not None:
        query = query.where(k.owner_id == call.query.owner_id)
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, [k.token_id], call.query, shown)


@resource.operation("POST", "/tokens", role=Role.ADMIN, body=TokenWanted, answers={201: TokenMade})
async def make_token(call: ApiCall) -> TokenMade:
    """Make a token. It is shown this once."""
    wanted: TokenWanted = call.body
    try:
        token_id, token = await create_token(
            call.api.engine, wanted.name, wanted.role, call.now, wanted.expires_at, owner_id=wanted.owner_id
        )
    except TokenRefusedError as refused:
        raise Problem(422, str(refused)) from None
    return TokenMade(token_id=token_id, token=token)


@resource.operation("DELETE", "/tokens/{token_id}", role=Role.ADMIN, answers={204: None})
async def end_token(call: ApiCall) -> Reply:
    """Revoke a token; it ends at once."""
    if not await revoke_token(call.api.engine, call.path["token_id"], call.now):
        raise Problem(404, "There is no token of this id.")
    return Reply(None, 204)
