"""OCPP 2.0.1 B. Provisioning."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import CallsStation, Payload, StationContext, obj, objects, record, stamp, text, whole
from csms.ocpp.message import Asked, Messages
from csms.ocpp.options import OcppOptions
from csms.stations.security_profile import SecurityProfileAsked
from sessions import facts

messages = Messages("B. Provisioning")


@messages.answer("BootNotification", tolerant=True)
async def boot_notification(ctx: StationContext, payload: Payload) -> Payload:
    """B01–B03. A held station is told Pending, and to ask again."""
    status = "Pending" if ctx.held else "Accepted"
    station = obj(payload, "chargingStation")
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


@messages.answer("NotifyReport")
async def notify_report(ctx: StationContext, payload: Payload) -> Payload:
    """Keeps what the station said."""
    await record(ctx, "NotifyReport", payload)
    return {}


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


messages.plain("GetBaseReport", "B07. Asks for a report of the device model.")
messages.plain("GetReport", "B08. Asks for a report by criteria.")
messages.plain("GetVariables", "B06. Reads variables.")
messages.plain("Reset", "B11, B12. Restarts the station or an EVSE.")


@messages.ask("SetNetworkProfile")
def set_network_profile(asked: Asked) -> Iterator[facts.Fact]:
    """B09. Writes a connection profile.

    A station that accepts one with a higher security profile is held to it once it came with it (A05).
    """
    profile = whole(obj(asked.request, "connectionData"), "securityProfile")
    if profile is not None and text(asked.response, "status") == "Accepted":
        yield SecurityProfileAsked(
            key=asked.key("security-profile"), at=asked.now, station_id=asked.station_id, security_profile=profile
        )


messages.plain("SetVariables", "B05. Writes variables.")
