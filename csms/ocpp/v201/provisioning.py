"""OCPP 2.0.1 B. Provisioning."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, StationContext, content_key, obj, stamp, text, whole
from csms.ocpp.message import Asked, Messages
from csms.ocpp.v201 import variables
from csms.ocpp.v201.variables import reported
from csms.stations.device_model import Attribute, NetworkProfileSet, ReportAsked, ReportPartTold, VariablesTold
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
    """B07, B08. Keeps one part of a report; the report is complete when every number up to the last one is there."""
    await ctx.submit(
        ReportPartTold(
            key=content_key("report", ctx.station_id, payload),
            at=ctx.now(),
            station_id=ctx.station_id,
            request_id=whole(payload, "requestId") or 0,
            seq_no=whole(payload, "seqNo") or 0,
            last=payload.get("tbc") is not True,
            attributes=tuple(reported(payload)),
        )
    )
    return {}


@messages.ask("GetBaseReport")
def get_base_report(asked: Asked) -> Iterator[facts.Fact]:
    """B07. Asks for a report of the device model; it comes as NotifyReport, in parts."""
    return _report(asked, asked.request["reportBase"])


@messages.ask("GetReport")
def get_report(asked: Asked) -> Iterator[facts.Fact]:
    """B08. Asks for a report by criteria; it comes as NotifyReport, in parts."""
    return _report(asked, "custom")


def _report(asked: Asked, kind: str) -> Iterator[facts.Fact]:
    if text(asked.response, "status") == "Accepted":
        yield ReportAsked(
            key=asked.key("report-asked"),
            at=asked.now,
            station_id=asked.station_id,
            request_id=asked.request["requestId"],
            kind=kind,
        )


@messages.ask("GetVariables")
def get_variables(asked: Asked) -> Iterator[facts.Fact]:
    """B06. Reads variables; what was read is kept."""
    return _told(asked, variables.read(asked.response))


@messages.ask("SetVariables")
def set_variables(asked: Asked) -> Iterator[facts.Fact]:
    """B05. Writes variables; accepted values are kept, but for passwords."""
    return _told(asked, variables.written(asked.request, asked.response))


def _told(asked: Asked, attributes: list[Attribute]) -> Iterator[facts.Fact]:
    if attributes:
        yield VariablesTold(
            key=asked.key("variables"), at=asked.now, station_id=asked.station_id, attributes=tuple(attributes)
        )


messages.plain("Reset", "B11, B12. Restarts the station or an EVSE.")


@messages.ask("SetNetworkProfile")
def set_network_profile(asked: Asked) -> Iterator[facts.Fact]:
    """B09. Writes a connection profile.

    A station that accepts one with a higher security profile is held to it once it came with it (A05).
    """
    if text(asked.response, "status") != "Accepted":
        return
    yield NetworkProfileSet(
        key=asked.key("network-profile"),
        at=asked.now,
        station_id=asked.station_id,
        slot=asked.request["configurationSlot"],
        profile=obj(asked.request, "connectionData"),
    )
    profile = whole(obj(asked.request, "connectionData"), "securityProfile")
    if profile is not None:
        yield SecurityProfileAsked(
            key=asked.key("security-profile"), at=asked.now, station_id=asked.station_id, security_profile=profile
        )
