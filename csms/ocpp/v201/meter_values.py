"""OCPP 2.0.1 J. Meter values."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal

from csms.ocpp.dialect import Payload, StationContext, content_key, decimal, moment, obj, objects, text, whole
from csms.ocpp.message import Messages
from sessions import facts
from sessions.facts import Sample

messages = Messages("J. Meter values")


@messages.answer("MeterValues", tolerant=True)
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
            unit = obj(sampled, "unitOfMeasure")
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
