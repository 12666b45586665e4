"""Tariffs, usages and a receipt that several tests start from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from billing.cost import cap_cost
from billing.pricing import price
from billing.receipt import CardPayment, Issuer, SalesDocument
from billing.tariff import (
    Dimension,
    PriceComponent,
    PriceLimit,
    Restrictions,
    Tariff,
    TariffElement,
    TaxIncluded,
    simple_tariff,
)
from billing.usage import Period, Usage

T0 = datetime(2026, 7, 1, 10, tzinfo=UTC)
NOON = T0


def component(kind: str, amount: str, vat: str | None = None, step: int = 1) -> PriceComponent:
    return PriceComponent(Dimension(kind), Decimal(amount), None if vat is None else Decimal(vat), step)


def element(*components: PriceComponent, **restrictions: object) -> TariffElement:
    return TariffElement(components, Restrictions(**restrictions))  # type: ignore[arg-type]  # per test


def tariff(
    *elements: TariffElement,
    currency: str = "EUR",
    tax_included: TaxIncluded = "NO",
    min_price: PriceLimit | None = None,
    max_price: PriceLimit | None = None,
    idle_grace_s: int = 0,
    time_zone: str = "UTC",
) -> Tariff:
    return Tariff(
        "example",
        currency,
        elements,
        tax_included=tax_included,
        min_price=min_price,
        max_price=max_price,
        hold_minor=100_000,
        idle_grace_s=idle_grace_s,
        time_zone=time_zone,
    )


def period(after_min: float, minutes: float, energy_wh: int = 0, *, parked: bool = False) -> Period:
    start = T0 + timedelta(minutes=after_min)
    return Period(start, start + timedelta(minutes=minutes), energy_wh, parked)


def usage(*periods: Period) -> Usage:
    return Usage(periods)


NORWAY = simple_tariff(
    "oslo",
    "NOK",
    per_kwh=Decimal("5.00"),
    per_session=Decimal(3),
    idle_per_minute=Decimal("0.50"),
    idle_grace_s=600,
    vat_percent=Decimal(25),
    hold_minor=30_000,
    time_zone="Europe/Oslo",
)


def receipt(**changes: object) -> SalesDocument:
    """A charge in Oslo: 21.437 kWh, 40 minutes of parking of which ten are free, 300 NOK held."""
    cost, _ = cap_cost(price(NORWAY, usage(period(0, 45, 21_437), period(45, 40, parked=True))), 30_000)
    fields: dict[str, object] = {
        "session_id": "3f0c9a52-6a5f-4f8e-9a43-0d2b6f1c7e11",
        "issuer": Issuer(
            name="Fjærlys Lading AS",
            address=("Øvre Slottsgate 1", "0157 Oslo"),
            country="NO",
            organisation_number="999 888 777",
            vat_number="NO 999 888 777 MVA",
            email="hjelp@fjaerlys.example",
            phone="+47 22 00 00 00",
        ),
        "station_label": "Åsgårdstrand brygge",
        "evse_label": "2 (CCS, 150 kW)",
        "started_at": T0,
        "ended_at": T0 + timedelta(minutes=85),
        "time_zone": "Europe/Oslo",
        "energy_wh": 21_437,
        "cost": cost,
        "held_minor": 30_000,
        "charged_minor": cost.total_minor,
        "released_minor": 30_000 - cost.total_minor,
        "payment": CardPayment(
            masked_pan="512345******1234",
            brand="Mastercard",
            entry_mode="CONTACTLESS",
            aid="A0000000041010",
            authorisation_code="12345678",
            terminal_serial="APO20240000001",
            merchant_id="M-77",
            merchant_reference="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            psp_reference="b7a1c3d2-5e4f-4a6b-8c9d-0e1f2a3b4c5d",
        ),
        "url": "https://charge.example/r/Zk3vX9qLr8TtWm2bQyN5pA",
        "number": "2026-000123",
        "issued_at": T0 + timedelta(minutes=86),
    }
    return SalesDocument(**fields | changes)  # type: ignore[arg-type]  # per test
