"""OCPP 1.6 Core profile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from csms.ocpp.dialect import (
    Payload,
    StationContext,
    Unusable,
    content_key,
    decimal,
    moment,
    objects,
    record,
    stamp,
    stamped,
    text,
    whole,
)
from csms.ocpp.limit import schedule, tx_profile
from csms.ocpp.message import Asked, Messages
from csms.ocpp.v16 import configuration_keys
from csms.ocpp.v16.smart_charging import started_with
from csms.ocpp.vendors import status_of
from csms.stations.availability import AvailabilityChanged
from csms.stations.device_model import Attribute, VariablesTold
from csms.stations.security_profile import SecurityProfileAsked
from sessions import facts
from sessions.commands import StartCharging
from sessions.facts import ChargingState, EvseStatus, Fact, Sample, TokenStatus
from sessions.tokens import UNKNOWN, TokenRecord

messages = Messages("Core")

_OCCUPIED = EvseStatus.OCCUPIED
_TAKEN = ("Accepted", "RebootRequired")  # a key was changed
#: 1.6 ChargePointStatus → (2.0.1 connector status, what it says of the charge).
STATUSES: dict[str, tuple[EvseStatus, ChargingState | None]] = {
    "Available": (EvseStatus.AVAILABLE, None),
    "Preparing": (_OCCUPIED, ChargingState.EV_CONNECTED),
    "Charging": (_OCCUPIED, ChargingState.CHARGING),
    "SuspendedEV": (_OCCUPIED, ChargingState.SUSPENDED_EV),
    "SuspendedEVSE": (_OCCUPIED, ChargingState.SUSPENDED_EVSE),
    "Finishing": (_OCCUPIED, ChargingState.EV_CONNECTED),
    "Reserved": (EvseStatus.RESERVED, None),
    "Unavailable": (EvseStatus.UNAVAILABLE, None),
    "Faulted": (EvseStatus.FAULTED, None),
}

_REASONS = {"HardReset": "Reboot", "SoftReset": "Reboot", "UnlockCommand": "Local", "": "Local"}


def id_tag_info(status: TokenStatus, record: TokenRecord = UNKNOWN) -> Payload:
    """1.6 idTagInfo: it has no word for an unknown token but Invalid."""
    info: Payload = {"status": TokenStatus.INVALID.value if status is TokenStatus.UNKNOWN else status.value}
    if record.group_id:
        info["parentIdTag"] = record.group_id[:20]
    if record.expires_at is not None:
        info["expiryDate"] = stamp(record.expires_at)
    return info


# --- the station to us ------------------------------------------------------------------------------------------------


@messages.answer("BootNotification", tolerant=True)
async def boot_notification(ctx: StationContext, payload: Payload) -> Payload:
    """§4.2. A held station is told Pending, and to ask again."""
    status = "Pending" if ctx.held else "Accepted"
    await ctx.submit(
        facts.StationBooted(
            key=ctx.unique_key("boot"),
            at=ctx.now(),
            station_id=ctx.station_id,
            status=status,
            vendor=text(payload, "chargePointVendor", 60),
            model=text(payload, "chargePointModel", 60),
            serial_number=text(payload, "chargePointSerialNumber", 60) or text(payload, "chargeBoxSerialNumber", 60),
            firmware_version=text(payload, "firmwareVersion", 60),
        )
    )
    interval = ctx.held_retry_s if ctx.held else ctx.heartbeat_interval_s
    return {"status": status, "currentTime": stamp(ctx.now()), "interval": interval}


@messages.answer("Heartbeat", tolerant=True)
async def heartbeat(ctx: StationContext, _: Payload) -> Payload:
    """§4.6."""
    return {"currentTime": stamp(ctx.now())}


@messages.answer("Authorize", tolerant=True)
async def authorize(ctx: StationContext, payload: Payload) -> Payload:
    """§4.1. With AuthorizeRemoteTxRequests the one-time tag of a card session is asked for as well."""
    id_tag = text(payload, "idTag")
    if not id_tag:
        raise Unusable("idTag is missing")
    record = await ctx.directory.token(id_tag)
    return {"idTagInfo": id_tag_info(record.standing(ctx.now()), record)}


@messages.answer("StatusNotification", tolerant=True)
async def status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """§4.9."""
    connector_id, raw = whole(payload, "connectorId"), text(payload, "status", 20)
    if connector_id is None or connector_id < 0 or raw not in STATUSES:
        raise Unusable("connectorId or status is missing or unknown")
    status, charging_state = STATUSES[raw]
    await ctx.submit(
        facts.EvseStatusReported(
            key=ctx.unique_key("status"),
            at=ctx.now(),
            station_id=ctx.station_id,
            evse_id=connector_id,
            connector_id=1 if connector_id else 0,
            status=status,
            station_time=moment(payload.get("timestamp")),
            charging_state=charging_state,
            error_code=text(payload, "errorCode", 60),
            raw_status=raw,
        )
    )
    return {}


@messages.answer("StartTransaction", tolerant=True)
async def start_transaction(ctx: StationContext, payload: Payload) -> Payload:
    """§4.8. A resent one has the same content, and gets the same transaction id, whatever its message id."""
    connector_id, id_tag = whole(payload, "connectorId"), text(payload, "idTag")
    if connector_id is None or connector_id < 1 or not id_tag:
        raise Unusable("connectorId or idTag is missing")
    at = await stamped(ctx, payload, "StartTransaction")
    content = [connector_id, id_tag.upper(), payload.get("timestamp"), payload.get("meterStart")]
    outcome = await ctx.submit(
        facts.TransactionStarted(
            key=content_key("start", ctx.station_id, content),
            at=ctx.now(),
            station_id=ctx.station_id,
            transaction_id=None,
            evse_id=connector_id,
            connector_id=1,
            id_token=id_tag,
            station_time=at,
            charging_state=None,
            register_wh=decimal(payload.get("meterStart")),
            raw=payload,
        )
    )
    transaction_id = int(outcome.transaction_id) if outcome.transaction_id else 0
    status = outcome.token_status or TokenStatus.ACCEPTED
    return {"transactionId": transaction_id, "idTagInfo": id_tag_info(status, await ctx.directory.token(id_tag))}


@messages.answer("StopTransaction", tolerant=True)
async def stop_transaction(ctx: StationContext, payload: Payload) -> Payload:
    """§4.10. Answered as valid whatever its id: -1, 0 and unknown ones are matched by content."""
    transaction_id = whole(payload, "transactionId")
    at = await stamped(ctx, payload, "StopTransaction")
    id_tag = text(payload, "idTag")
    content = [payload.get("transactionId"), payload.get("timestamp"), payload.get("meterStop"), id_tag]
    reason = text(payload, "reason", 20)
    outcome = await ctx.submit(
        facts.TransactionEnded(
            key=content_key("stop", ctx.station_id, content),
            at=ctx.now(),
            station_id=ctx.station_id,
            transaction_id=str(transaction_id) if transaction_id is not None else None,
            id_token=id_tag or None,
            station_time=at,
            samples=samples(objects(payload, "transactionData"), at),
            register_wh=decimal(payload.get("meterStop")),
            reason=_REASONS.get(reason, reason),
            raw=payload,
        )
    )
    if not id_tag:
        return {}
    # The tag that stopped it: a one-time token is spent by now, and was good.
    record = await ctx.directory.token(id_tag)
    own = id_tag.upper() == outcome.id_token or outcome.session_id is None
    status = record.standing(ctx.now())
    return {"idTagInfo": id_tag_info(TokenStatus.ACCEPTED if own and status is TokenStatus.UNKNOWN else status, record)}


@messages.answer("MeterValues", tolerant=True)
async def meter_values(ctx: StationContext, payload: Payload) -> Payload:
    """§4.7. Also without a transaction id: the router matches by connector and time. The newest register is shown."""
    transaction_id = whole(payload, "transactionId")
    taken = samples(objects(payload, "meterValue"), ctx.now())
    await ctx.submit(
        facts.EnergyMetered(
            key=content_key("meter", ctx.station_id, payload),
            at=ctx.now(),
            station_id=ctx.station_id,
            samples=taken,
            evse_id=whole(payload, "connectorId"),
            transaction_id=str(transaction_id) if transaction_id is not None else None,
        )
    )
    return {}


@messages.answer("DataTransfer")
async def data_transfer(ctx: StationContext, payload: Payload) -> Payload:
    """§4.3. Keeps a vendor's own message, and says which of vendor and message is not known here."""
    await record(ctx, "DataTransfer", payload)
    return {"status": status_of(text(payload, "vendorId"), text(payload, "messageId"))}


def samples(meter_value: list[Payload], otherwise: datetime) -> tuple[Sample, ...]:
    """1.6 MeterValue[] → samples of the energy register and of power; a signed record is kept verbatim."""
    taken = []
    for entry in meter_value:
        at = moment(entry.get("timestamp")) or otherwise
        for sampled in objects(entry, "sampledValue"):
            measurand = text(sampled, "measurand", 40) or facts.Sample.__dataclass_fields__["measurand"].default
            signed = sampled.get("value") if sampled.get("format") == "SignedData" else None
            if measurand != "Energy.Active.Import.Register" and signed is None:
                continue
            value = None if signed is not None else decimal(sampled.get("value"))
            if value is None and signed is None:
                continue
            taken.append(
                Sample(
                    station_time=at,
                    value=value,
                    measurand=str(measurand),
                    unit=text(sampled, "unit", 20) or None,
                    phase=text(sampled, "phase", 10) or None,
                    location=text(sampled, "location", 20) or None,
                    context=text(sampled, "context", 30) or "Sample.Periodic",
                    signed=signed if isinstance(signed, str) else json.dumps(signed) if signed is not None else None,
                )
            )
    return tuple(taken)


# --- ours to the station ----------------------------------------------------------------------------------------------


@messages.ask("ChangeAvailability")
def change_availability(asked: Asked) -> Iterator[Fact]:
    """§5.2. Takes a connector, or the whole station (0), into or out of service; it outlives a restart."""
    if text(asked.response, "status") in {"Accepted", "Scheduled"}:
        yield AvailabilityChanged(
            key=asked.key("availability"),
            at=asked.now,
            station_id=asked.station_id,
            evse_id=asked.request["connectorId"],
            connector_id=0,
            operative=asked.request["type"] == "Operative",
            scheduled=text(asked.response, "status") == "Scheduled",
            requested_by=asked.requested_by,
        )


@messages.ask("ChangeConfiguration")
def change_configuration(asked: Asked) -> Iterator[Fact]:
    """§5.3. Sets one configuration key.

    A station that accepts a higher `SecurityProfile` is held to it once it came with it (whitepaper §5.3).
    """
    key, profile = text(asked.request, "key", 50), whole(asked.request, "value")
    if text(asked.response, "status") == "Accepted":
        told = Attribute(id=configuration_keys.variable_of(key), value=text(asked.request, "value", 2500))
        yield VariablesTold(key=asked.key("variables"), at=asked.now, station_id=asked.station_id, attributes=(told,))
    if key.casefold() == "securityprofile" and profile is not None and text(asked.response, "status") in _TAKEN:
        yield SecurityProfileAsked(
            key=asked.key("security-profile"), at=asked.now, station_id=asked.station_id, security_profile=profile
        )


@messages.ask("RemoteStartTransaction")
def remote_start_transaction(asked: Asked) -> Iterator[Fact]:
    """§5.11. Asks the station to start a transaction, with a TxProfile that is kept if there is one."""
    yield from started_with(asked)


messages.plain("ClearCache", "§5.4. Empties the station's authorization cache.")
messages.plain("DataTransfer", "§5.6. Sends a vendor's own message.")
messages.plain("RemoteStopTransaction", "§5.12. Asks the station to stop a transaction.")
messages.plain("Reset", "§5.14. Restarts the station.")
messages.plain("UnlockConnector", "§5.18. Unlocks a connector; a running transaction ends first.")


def remote_start(command: StartCharging, now: datetime) -> Payload:
    """§5.11. Always with the connector. The profile is TxProfile without a transaction id, bounded by the hold."""
    payload: Payload = {"idTag": command.id_token, "connectorId": command.evse_id}
    profile = tx_profile(command, now)
    if profile is not None:
        own = {"chargingProfileId": command.remote_start_id, "chargingSchedule": schedule(command)}
        payload["chargingProfile"] = profile | own
    return payload


def status_wanted(connector_id: int) -> Payload:
    """§5.17. Asks for the connector's status."""
    return {"requestedMessage": "StatusNotification", "connectorId": connector_id}


@messages.ask("GetConfiguration")
def get_configuration(asked: Asked) -> Iterator[Fact]:
    """§5.8. Reads configuration keys; they are kept as variables."""
    told = configuration_keys.read(asked.response)
    if told:
        yield VariablesTold(
            key=asked.key("variables"), at=asked.now, station_id=asked.station_id, attributes=tuple(told)
        )
