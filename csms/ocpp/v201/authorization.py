"""OCPP 2.0.1 C. Authorization."""

from __future__ import annotations

from csms.ocpp.contract_calls import certificate_standing
from csms.ocpp.dialect import Payload, StationContext, Unusable, obj, stamp, text
from csms.ocpp.message import Messages
from csms.stations.contract_certificates import ACCEPTED
from sessions.facts import TokenStatus
from sessions.tokens import TokenRecord

messages = Messages("C. Authorization")


@messages.answer("Authorize", tolerant=True)
async def authorize(ctx: StationContext, payload: Payload) -> Payload:
    """C01, C07. NoAuthorization needs none; a contract certificate that does not stand authorises nothing."""
    token = obj(payload, "idToken")
    if token.get("type") == "NoAuthorization":
        return {"idTokenInfo": {"status": TokenStatus.ACCEPTED.value}}
    id_token = text(token, "idToken")
    if not id_token:
        raise Unusable("idToken is missing")
    record = await ctx.directory.token(id_token)
    status = record.standing(ctx.now())
    certificate = await certificate_standing(ctx, payload, id_token)
    if certificate is None:
        return {"idTokenInfo": id_token_info(status, record)}
    if certificate != ACCEPTED:
        status = TokenStatus.INVALID
    return {"idTokenInfo": id_token_info(status, record), "certificateStatus": certificate}


def id_token_info(status: TokenStatus, record: TokenRecord) -> Payload:
    """C09, C16: with its group, so that the station lets others of the group, or the master pass, stop the charge."""
    info: Payload = {"status": status.value}
    if record.group_id:
        info["groupIdToken"] = {"idToken": record.group_id[:36], "type": "Central"}
    if record.expires_at is not None:
        info["cacheExpiryDateTime"] = stamp(record.expires_at)
    return info


messages.plain("ClearCache", "C11. Empties the station's authorization cache.")
