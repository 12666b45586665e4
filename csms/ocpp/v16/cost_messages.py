"""OCPP 1.6: prices and costs on displays, by the OCA's California pricing messages.

They are JSON inside DataTransfer. Unit prices are told where a tariff has one of each kind, whatever the time or the
power; elsewhere a station cannot reckon on by itself, and shows what it was last told.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import orjson

from billing.money import to_major
from billing.price_text import describe_price
from billing.tariff import Dimension, Tariff
from csms.ocpp.dialect import Payload, stamp
from csms.ocpp.vendors import COST_MESSAGES
from sessions.session import Session


def set_user_price(session: Session, tariff: Tariff) -> Payload:
    """SetUserPrice: the price of the charge that is about to begin."""
    told = {"idToken": session.id_token, "priceText": describe_price(tariff, session.language)}
    return _message("SetUserPrice", told)


def running_cost(session: Session, tariff: Tariff, total_minor: int, now: datetime) -> Payload:
    """RunningCost: what it costs up to the last register."""
    metered = session.meter
    parked = bool(metered.segments and metered.segments[-1].parked)
    told: Payload = {
        "transactionId": _number(session),
        "timestamp": stamp(metered.last_at or now),
        "meterValue": int(metered.last_wh or 0),
        "cost": float(to_major(total_minor, session.currency)),
        "state": "Idle" if parked else "Charging",
        "chargingPrice": {},
    }
    return _message("RunningCost", told | _unit_prices(tariff))


def final_cost(session: Session, total_minor: int, receipt_url: str) -> Payload:
    """FinalCost: what it has cost."""
    amount = to_major(total_minor, session.currency)
    energy = Decimal(session.meter.energy_wh) / 1000
    told: Payload = {
        "transactionId": _number(session),
        "cost": float(amount),
        "priceText": f"{amount} {session.currency}, {energy} kWh",
    }
    return _message("FinalCost", told | ({"qrCodeText": receipt_url} if receipt_url else {}))


def _number(session: Session) -> int:
    """1.6's transaction ids are ours, and numbers."""
    return int(session.transaction_id or 0)


def _unit_prices(tariff: Tariff) -> Payload:
    """VAT included; nothing where they are not the same all the time."""
    if len(tariff.elements) != 1 or not tariff.elements[0].restrictions.none:
        return {}
    prices = {c.type: float(tariff.gross_price(c)) for c in tariff.components()}
    charging = {
        "kWhPrice": prices.get(Dimension.ENERGY),
        "hourPrice": prices.get(Dimension.TIME),
        "flatFee": prices.get(Dimension.FLAT),
    }
    told: Payload = {"chargingPrice": {name: price for name, price in charging.items() if price is not None}}
    if Dimension.PARKING_TIME in prices:
        told["idlePrice"] = {
            "graceMinutes": tariff.idle_grace_s // 60,
            "hourPrice": prices[Dimension.PARKING_TIME] + prices.get(Dimension.TIME, 0.0),
        }
    return told


def _message(message_id: str, told: Payload) -> Payload:
    return {"vendorId": COST_MESSAGES, "messageId": message_id, "data": orjson.dumps(told).decode()}
