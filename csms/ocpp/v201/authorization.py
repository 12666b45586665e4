"""OCPP 2.0.1 C. Authorization."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, Unusable, obj, text
from csms.ocpp.message import Messages
from sessions.facts import TokenStatus

messages = Messages("C. Authorization")


@messages.answer("Authorize", tolerant=True)
async def authorize(ctx: StationContext, payload: Payload) -> Payload:
    """C01. NoAuthorization needs none; Central tokens are ours and one-time."""
    token = obj(payload, "idToken")
    if token.get("type") == "NoAuthorization":
        return {"idTokenInfo": {"status": TokenStatus.ACCEPTED.value}}
    id_token = text(token, "idToken")
    if not id_token:
        raise Unusable("idToken is missing")
    return {"idTokenInfo": {"status": (await ctx.directory.token_status(id_token, ctx.now())).value}}


messages.plain("ClearCache", "C11. Empties the station's authorization cache.")
