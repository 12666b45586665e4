"""OCPP 2.1 R. Control of distributed energy resources."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from csms.ocpp.dialect import Payload, StationContext, content_key, moment, obj, objects, text
from csms.ocpp.message import Asked, Messages
from csms.stations.der_controls import (
    DerAlarmRaised,
    DerControl,
    DerControlsCleared,
    DerControlsTold,
    DerControlSwitched,
)
from sessions.facts import Fact

messages = Messages("R. DER control")

#: The lists of a report: where each one's settings stand, and its type where the list is of one type.
_LISTS = {
    "curve": ("curve", ""),
    "enterService": ("enterService", "EnterService"),
    "fixedPFAbsorb": ("fixedPF", "FixedPFAbsorb"),
    "fixedPFInject": ("fixedPF", "FixedPFInject"),
    "fixedVar": ("fixedVar", "FixedVar"),
    "freqDroop": ("freqDroop", "FreqDroop"),
    "gradient": ("gradient", "Gradients"),
    "limitMaxDischarge": ("limitMaxDischarge", "LimitMaxDischarge"),
}
#: The schema's bound of each list (maxItems).
_MOST = 24


@messages.answer("NotifyDERAlarm")
async def notify_der_alarm(ctx: StationContext, payload: Payload) -> Payload:
    """R05. Keeps alarms of the grid and their ends."""
    await ctx.submit(
        DerAlarmRaised(
            key=content_key("der-alarm", ctx.station_id, payload),
            at=ctx.now(),
            station_id=ctx.station_id,
            control_type=text(payload, "controlType", 30),
            fault=text(payload, "gridEventFault", 30),
            ended=payload.get("alarmEnded") is True,
            station_time=moment(payload.get("timestamp")),
            extra_info=text(payload, "extraInfo", 200),
        )
    )
    return {}


@messages.answer("NotifyDERStartStop")
async def notify_der_start_stop(ctx: StationContext, payload: Payload) -> Payload:
    """R04. Keeps which controls run."""
    await ctx.submit(
        DerControlSwitched(
            key=content_key("der-switched", ctx.station_id, payload),
            at=ctx.now(),
            station_id=ctx.station_id,
            control_id=text(payload, "controlId", 36),
            started=payload.get("started") is True,
            station_time=moment(payload.get("timestamp")),
            superseded_ids=_ids(payload.get("supersededIds")),
        )
    )
    return {}


@messages.answer("ReportDERControl")
async def report_der_control(ctx: StationContext, payload: Payload) -> Payload:
    """R04. Keeps the controls that a station has; a report comes in parts."""
    controls = [
        DerControl(
            control_id=text(one, "id", 36),
            control_type=kind or text(one, "curveType", 30),
            is_default=one["isDefault"] if isinstance(one.get("isDefault"), bool) else None,
            superseded=one.get("isSuperseded") is True,
            body=obj(one, field),
        )
        for name, (field, kind) in _LISTS.items()
        for one in objects(payload, name)[:_MOST]
    ]
    await ctx.submit(
        DerControlsTold(
            key=ctx.unique_key("der-report"), at=ctx.now(), station_id=ctx.station_id, controls=tuple(controls)
        )
    )
    return {}


@messages.ask("SetDERControl")
def set_der_control(asked: Asked) -> Iterable[Fact]:
    """R04. Sets a control; kept once the station accepted it, with those that it supersedes."""
    if asked.response.get("status") != "Accepted":
        return
    request = asked.request
    bodies = [obj(request, name) for name in ("curve", *_LISTS) if obj(request, name)]
    control = DerControl(
        control_id=text(request, "controlId", 36),
        control_type=text(request, "controlType", 30),
        is_default=request.get("isDefault") is True,
        superseded=False,
        body=bodies[0] if bodies else {},
    )
    yield DerControlsTold(
        key=asked.key("der-set"),
        at=asked.now,
        station_id=asked.station_id,
        controls=(control,),
        superseded_ids=_ids(asked.response.get("supersededIds")),
    )


@messages.ask("ClearDERControl")
def clear_der_control(asked: Asked) -> Iterable[Fact]:
    """R04. Removes controls; forgotten once the station removed them."""
    if asked.response.get("status") == "Accepted":
        yield DerControlsCleared(
            key=asked.key("der-cleared"),
            at=asked.now,
            station_id=asked.station_id,
            is_default=asked.request.get("isDefault") is True,
            control_type=text(asked.request, "controlType", 30),
            control_id=text(asked.request, "controlId", 36),
        )


def _ids(value: Any) -> tuple[str, ...]:
    listed = value[:_MOST] if isinstance(value, list) else []
    return tuple(text({"id": one}, "id", 36) for one in listed)


messages.plain("GetDERControl", "R04. Asks for a report of controls (ReportDERControl).")
