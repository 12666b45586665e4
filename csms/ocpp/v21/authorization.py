"""OCPP 2.1 C. Authorization: payment references are id tokens too."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, StationContext, Unusable, obj, text
from csms.ocpp.message import Messages
from csms.ocpp.v201 import authorization
from sessions.facts import DIRECT_PAYMENT

messages = Messages("C. Authorization")


@messages.answer("Authorize", tolerant=True)
async def authorize(ctx: StationContext, payload: Payload) -> Payload:
    """C01–C25. A payment reference is good for one charge; the station's own terminal vouches for those it made."""
    token = obj(payload, "idToken")
    if token.get("type") != DIRECT_PAYMENT:
        return await authorization.authorize(ctx, payload)
    reference = text(token, "idToken")
    if not reference:
        raise Unusable("idToken is missing")
    return {"idTokenInfo": {"status": (await ctx.directory.payment_status(ctx.station_id, reference)).value}}
