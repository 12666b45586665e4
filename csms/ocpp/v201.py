"""OCPP 2.0.1 (edition 3): translates, nothing else."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.money import to_major
from csms.ocpp.dialect import (
    CallsStation,
    Dialect,
    Payload,
    StationContext,
    Unusable,
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
from csms.ocpp.options import OcppOptions
from csms.ocpp.v16 import content_key, heartbeat, kept
from sessions import facts
from sessions.commands import StartCharging
from sessions.directory import Outcome
from sessions.facts import ChargingState, EvseStatus, Sample, TokenStatus


def _object(payload: Payload, name: str) -> Payload:
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


# --- the station to us ------------------------------------------------------------------------------------------------


async def boot_notification(ctx: StationContext, payload: Payload) -> Payload:
    """B01–B03. A held station is told Pending, and to ask again."""
    status = "Pending" if ctx.held else "Accepted"
    station = _object(payload, "chargingStation")
    await ctx.submit(
        facts.StationBooted(
            key=ctx.unique_key("boot"),
            at=ctx.now(),
            station_id=ctx.station_id,
            status=status,
            vendor=text(station, "vendorName", 60),
            model=text(station, "model", 60),
            serial_number=text(station, "serialNumber", 60),
            firmware_version=text(station, "firmwareVersion", 60),
            reason=text(payload, "reason", 30),
        )
    )
    interval = ctx.held_retry_s if ctx.held else ctx.heartbeat_interval_s
    return {"status": status, "currentTime": stamp(ctx.now()), "interval": interval}


async def authorize(ctx: StationContext, payload: Payload) -> Payload:
    """C01. NoAuthorization needs none; Central tokens are ours and one-time."""
    token = _object(payload, "idToken")
    if token.get("type") == "NoAuthorization":
        return {"idTokenInfo": {"status": TokenStatus.ACCEPTED.value}}
    id_token = text(token, "idToken")
    if not id_token:
        raise Unusable("idToken is missing")
    return {"idTokenInfo": {"status": (await ctx.directory.token_status(id_token, ctx.now())).value}}


async def status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """G01. Some stations send EVSE 0, connector 0: the station itself."""
    evse_id, raw = whole(payload, "evseId"), text(payload, "connectorStatus", 20)
    if evse_id is None or evse_id < 0 or raw not in EvseStatus.__members__.values():
        raise Unusable("evseId or connectorStatus is missing or unknown")
    await ctx.submit(
        facts.EvseStatusReported(
            key=ctx.unique_key("status"),
            at=ctx.now(),
            station_id=ctx.station_id,
            evse_id=evse_id,
            connector_id=whole(payload, "connectorId") or 0,
            status=EvseStatus(raw),
            station_time=moment(payload.get("timestamp")),
            raw_status=raw,
        )
    )
    return {}


async def transaction_event(ctx: StationContext, payload: Payload) -> Payload:
    """E01–E15. One frame, one fact; some stations always send seqNo 0, so the time is part of its key."""
    info = _object(payload, "transactionInfo")
    transaction_id = text(info, "transactionId", 64)
    kind = text(payload, "eventType", 20)
    if not transaction_id or kind not in {"Started", "Updated", "Ended"}:
        raise Unusable("transactionInfo.transactionId or eventType is missing or unknown")
    at = await stamped(ctx, payload, "TransactionEvent")
    token, evse = _object(payload, "idToken"), _object(payload, "evse")
    seq_no, trigger = whole(payload, "seqNo"), text(payload, "triggerReason", 40)
    state = text(info, "chargingState", 20)
    key = content_key("event", ctx.station_id, [transaction_id, kind, seq_no, payload.get("timestamp"), trigger, state])
    common: dict[str, Any] = {
        "key": key,
        "at": ctx.now(),
        "station_id": ctx.station_id,
        "transaction_id": transaction_id,
        "evse_id": whole(evse, "id"),
        "connector_id": whole(evse, "connectorId"),
        "id_token": text(token, "idToken") or None,
        "id_token_type": text(token, "type", 20) or None,
        "remote_start_id": whole(info, "remoteStartId"),
        "station_time": at,
        "charging_state": ChargingState(state) if state in ChargingState.__members__.values() else None,
        "samples": samples(objects(payload, "meterValue"), at),
        "seq_no": seq_no,
        "offline": payload.get("offline") is True,
        "trigger": trigger,
        "raw": payload,
    }
    fact: facts.AnyFact
    if kind == "Started":
        fact = facts.TransactionStarted(**common)
    elif kind == "Updated":
        fact = facts.TransactionUpdated(**common)
    else:
        fact = facts.TransactionEnded(**common, reason=text(info, "stoppedReason", 30) or "Local")
    outcome = await ctx.submit(fact)
    return _event_answer(kind, token, outcome)


def _event_answer(kind: str, token: Payload, outcome: Outcome) -> Payload:
    """E01.FR.11: the token's standing if one was sent. I02, I03: the cost; 0.00 is free, omitted is not (I03.FR.03)."""
    answer: Payload = {}
    if token:
        status = outcome.token_status or TokenStatus.ACCEPTED
        answer["idTokenInfo"] = {"status": status.value}
    if kind != "Started" and outcome.total_minor is not None and outcome.currency:
        answer["totalCost"] = float(to_major(outcome.total_minor, outcome.currency))  # a JSON number; not reckoned with
    return answer


async def meter_values(ctx: StationContext, payload: Payload) -> Payload:
    """J01: values outside transactions, and from stations that send all of theirs this way."""
    await ctx.submit(
        facts.EnergyMetered(
            key=content_key("meter", ctx.station_id, payload),
            at=ctx.now(),
            station_id=ctx.station_id,
            samples=samples(objects(payload, "meterValue"), ctx.now()),
            evse_id=whole(payload, "evseId"),
        )
    )
    return {}


def _kept_with(action: str, answer: Payload) -> Any:
    """A message that is kept; ``answer`` is what this system, which offers no such service, has to say."""

    async def handler(ctx: StationContext, payload: Payload) -> Payload:
        await record(ctx, action, payload)
        return dict(answer)

    return handler


_KEPT = (
    "ClearedChargingLimit",
    "FirmwareStatusNotification",
    "LogStatusNotification",
    "NotifyChargingLimit",
    "NotifyCustomerInformation",
    "NotifyDisplayMessages",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyReport",
    "PublishFirmwareStatusNotification",
    "ReportChargingProfiles",
    "ReservationStatusUpdate",
    "SecurityEventNotification",
)

V201 = Dialect(
    version="ocpp2.0.1",
    handlers={
        "Authorize": authorize,
        "BootNotification": boot_notification,
        "DataTransfer": _kept_with("DataTransfer", {"status": "UnknownVendorId"}),
        "Get15118EVCertificate": _kept_with("Get15118EVCertificate", {"status": "Failed", "exiResponse": ""}),
        "GetCertificateStatus": _kept_with("GetCertificateStatus", {"status": "Failed"}),
        "Heartbeat": heartbeat,
        "MeterValues": meter_values,
        "NotifyEVChargingNeeds": _kept_with("NotifyEVChargingNeeds", {"status": "Rejected"}),
        "NotifyEVChargingSchedule": _kept_with("NotifyEVChargingSchedule", {"status": "Accepted"}),
        "SignCertificate": _kept_with("SignCertificate", {"status": "Rejected"}),
        "StatusNotification": status_notification,
        "TransactionEvent": transaction_event,
    }
    | {action: kept(action) for action in _KEPT},
    tolerant=frozenset(
        {
            "Authorize",
            "BootNotification",
            "Heartbeat",
            "MeterValues",
            "StatusNotification",
            "TransactionEvent",
        }
    ),
    error_codes={},
)


def samples(meter_value: list[Payload], otherwise: datetime) -> tuple[Sample, ...]:
    """2.0.1 MeterValueType[] → samples of the energy register; the unit is as said, None if it was not."""
    taken = []
    for entry in meter_value:
        at = moment(entry.get("timestamp")) or otherwise
        for sampled in objects(entry, "sampledValue"):
            measurand = text(sampled, "measurand", 40) or "Energy.Active.Import.Register"
            value: Decimal | None = decimal(sampled.get("value"))
            signed = sampled.get("signedMeterValue")
            if measurand != "Energy.Active.Import.Register" or (value is None and signed is None):
                continue
            unit = _object(sampled, "unitOfMeasure")
            multiplier = whole(unit, "multiplier") or 0
            taken.append(
                Sample(
                    station_time=at,
                    value=value,
                    measurand=measurand,
                    unit=text(unit, "unit", 20) or None,
                    multiplier=multiplier if -12 <= multiplier <= 12 else 0,
                    phase=text(sampled, "phase", 10) or None,
                    location=text(sampled, "location", 20) or None,
                    context=text(sampled, "context", 30) or "Sample.Periodic",
                    signed=json.dumps(signed, separators=(",", ":")) if isinstance(signed, dict) else None,
                )
            )
    return tuple(taken)


# --- ours to the station ----------------------------------------------------------------------------------------------


def request_start(command: StartCharging, now: datetime) -> Payload:
    """C03, F01, F02. Type Central: the station must neither authorise nor cache it."""
    payload: Payload = {
        "idToken": {"idToken": command.id_token, "type": "Central"},
        "remoteStartId": command.remote_start_id,
        "evseId": command.evse_id,
    }
    profile = tx_profile(command, now)
    if profile is not None:
        own = {"id": command.remote_start_id, "chargingSchedule": [{"id": 1} | schedule(command)]}
        payload["chargingProfile"] = profile | own
    return payload


async def configure(line: CallsStation, ctx: StationContext, options: OcppOptions) -> None:
    """SetVariables (B05): what billing needs. A refused one becomes a finding."""
    register = "Energy.Active.Import.Register"
    wanted = (
        ("SampledDataCtrlr", "TxUpdatedInterval", str(options.meter_sample_interval_s)),
        ("SampledDataCtrlr", "TxStartedMeasurands", register),
        ("SampledDataCtrlr", "TxUpdatedMeasurands", register),
        ("SampledDataCtrlr", "TxEndedMeasurands", register),
        ("TxCtrlr", "EVConnectionTimeOut", str(options.connection_timeout_s)),
        ("TxCtrlr", "StopTxOnEVSideDisconnect", "true"),
        ("AuthCtrlr", "AuthorizeRemoteStart", "false"),
    )
    for component, variable, value in wanted:
        name = f"{component}.{variable}"
        data = {"component": {"name": component}, "variable": {"name": variable}, "attributeValue": value}
        reply = await line.call("SetVariables", {"setVariableData": [data]})
        answer = getattr(reply, "payload", None)
        if answer is None:
            if not hasattr(reply, "code"):
                return  # the line is gone, or silent: the next boot configures again
            await ctx.finding("configuration-refused", f"{name}: {reply.code}", f"SetVariables {name}"[:60])
            continue
        for result in objects(answer, "setVariableResult"):
            status = text(result, "attributeStatus", 40)
            if status not in {"Accepted", "RebootRequired"}:
                detail = f"{name} = {value}: {status}"
                await ctx.finding("configuration-refused", detail, f"SetVariables {name}"[:60])
