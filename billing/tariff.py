"""Tariffs, as OCPI 2.3.0 has them (module Tariffs): elements in order, price components, restrictions.

Ours on top: how much to hold at the tap, the grace before idle time is charged, and the location's time zone. A session
keeps a copy of its tariff from the tap on (`billing.tariff_json`), so a later change does not touch it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing.money import exponent

TaxIncluded = Literal["YES", "NO", "N/A"]
_MIDNIGHT = time(0, 0)


class Dimension(StrEnum):
    """OCPI TariffDimensionType: ENERGY per kWh, TIME and PARKING_TIME per hour, FLAT once per session."""

    ENERGY = "ENERGY"
    TIME = "TIME"
    PARKING_TIME = "PARKING_TIME"
    FLAT = "FLAT"


class DayOfWeek(StrEnum):
    """OCPI DayOfWeek, in the order of `datetime.date.weekday`."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


DAYS = tuple(DayOfWeek)


@dataclass(frozen=True)
class PriceComponent:
    """A price in one dimension, in major units per kWh, hour or session.

    ``vat_percent`` None: no VAT applies (OCPI tells it from 0 %). More than one tax on the same net amount is given as
    their sum. ``step_size``: billed in blocks of that many Wh or seconds; without meaning for FLAT.
    """

    type: Dimension
    price: Decimal
    vat_percent: Decimal | None = None
    step_size: int = 1

    def __post_init__(self) -> None:
        if not self.price.is_finite() or self.price < 0:
            raise ValueError(f"The {self.type} price must be zero or more, not {self.price}.")
        if self.vat_percent is not None and not (self.vat_percent.is_finite() and 0 <= self.vat_percent <= 100):
            raise ValueError(f"The VAT of the {self.type} price must be from 0 to 100 percent, not {self.vat_percent}.")
        if self.step_size < 1:
            raise ValueError(f"The step size of the {self.type} price must be at least 1, not {self.step_size}.")


@dataclass(frozen=True)
class Restrictions:
    """When an element applies; every restriction given must hold. Times and dates are local to the location.

    Lower bounds are inclusive, upper bounds exclusive. ``end_time`` before ``start_time`` wraps past midnight; an
    ``end_time`` of 00:00 is the end of the day. Energy is that of the session so far, durations are those of the
    session so far (in seconds, by UTC). Power is the average of the metered period; where it is not known (energy
    without time, interpolated periods) a power restriction does not hold.
    """

    start_time: time | None = None
    end_time: time | None = None
    start_date: date | None = None
    end_date: date | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_power_kw: Decimal | None = None
    max_power_kw: Decimal | None = None
    min_duration_s: int | None = None
    max_duration_s: int | None = None
    day_of_week: frozenset[DayOfWeek] = frozenset()

    def __post_init__(self) -> None:
        if self.start_time is not None and self.start_time == self.end_time != _MIDNIGHT:
            raise ValueError(f"start_time and end_time are both {self.start_time:%H:%M}: the element never applies.")
        for name in ("start_time", "end_time"):
            moment: time | None = getattr(self, name)
            if moment is not None and moment.tzinfo is not None:
                raise ValueError(f"{name} is local to the location and must not carry a time zone.")
        for name in ("kwh", "power_kw", "duration_s"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if (low is not None and low < 0) or (high is not None and high < 0):
                raise ValueError(f"min_{name} and max_{name} cannot be negative.")
            if low is not None and high is not None and low >= high:
                raise ValueError(f"min_{name} ({low}) must be less than max_{name} ({high}).")
        for kwh in (self.min_kwh, self.max_kwh):
            if kwh is not None and kwh * 1000 != int(kwh * 1000):
                raise ValueError(f"{kwh} kWh is finer than one Wh; give at most three decimals.")
        if self.start_date is not None and self.end_date is not None and self.start_date >= self.end_date:
            raise ValueError(f"start_date ({self.start_date}) must be before end_date ({self.end_date}).")

    @cached_property
    def none(self) -> bool:
        """True when nothing is restricted."""
        return self == Restrictions()


@dataclass(frozen=True)
class TariffElement:
    """Price components that apply together while the restrictions hold; at most one per dimension."""

    price_components: tuple[PriceComponent, ...]
    restrictions: Restrictions = Restrictions()

    def __post_init__(self) -> None:
        if not self.price_components:
            raise ValueError("A tariff element needs at least one price component.")
        types = [component.type for component in self.price_components]
        for dimension in Dimension:
            if types.count(dimension) > 1:
                raise ValueError(f"A tariff element has more than one {dimension} price; split it in two elements.")

    def component(self, dimension: Dimension) -> PriceComponent | None:
        """The element's price in that dimension, if it has one."""
        return next((component for component in self.price_components if component.type is dimension), None)


@dataclass(frozen=True)
class PriceLimit:
    """OCPI PriceLimit: a session's least or greatest cost, before and after taxes, in major units.

    With both given, each bounds its own side. With one given, the other side follows from the VAT rates.
    """

    before_taxes: Decimal | None = None
    after_taxes: Decimal | None = None

    def __post_init__(self) -> None:
        if self.before_taxes is None and self.after_taxes is None:
            raise ValueError("A price limit needs an amount before taxes, after taxes, or both.")
        for amount in (self.before_taxes, self.after_taxes):
            if amount is not None and (not amount.is_finite() or amount < 0):
                raise ValueError(f"A price limit must be zero or more, not {amount}.")
        if self.before_taxes is not None and self.after_taxes is not None and self.before_taxes > self.after_taxes:
            raise ValueError(
                f"A price limit before taxes ({self.before_taxes}) cannot exceed the one after taxes"
                f" ({self.after_taxes})."
            )


@dataclass(frozen=True)
class Tariff:
    """A tariff. ``tax_included`` says whether prices contain the VAT; N/A: no taxes apply at all.

    ``hold_minor``: how much to hold at the tap, in minor units; 0 only for a free tariff. ``idle_grace_s``: so much of
    a session's parked time is not charged. ``time_zone``: IANA name of the location's zone.

    Raises ``ValueError``, with a sentence a person can act on, for anything that could not be billed as written.
    """

    tariff_id: str
    currency: str
    elements: tuple[TariffElement, ...]
    tax_included: TaxIncluded = "YES"
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None
    hold_minor: int = 0
    idle_grace_s: int = 0
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if not self.tariff_id:
            raise ValueError("A tariff needs an id.")
        exponent(self.currency)
        if not self.elements:
            raise ValueError(f"Tariff {self.tariff_id} has no elements; a free tariff has one with a price of 0.")
        if self.tax_included not in ("YES", "NO", "N/A"):
            raise ValueError(f"tax_included of tariff {self.tariff_id} is YES, NO or N/A, not {self.tax_included!r}.")
        if self.tax_included == "N/A" and any(c.vat_percent for c in self.components()):
            raise ValueError(f"Tariff {self.tariff_id} says taxes do not apply (N/A), yet a price carries VAT.")
        if self.hold_minor < 0 or self.idle_grace_s < 0:
            raise ValueError(f"hold_minor and idle_grace_s of tariff {self.tariff_id} cannot be negative.")
        if self.hold_minor == 0 and not self.is_free:
            raise ValueError(f"Tariff {self.tariff_id} costs money but holds nothing: set hold_minor.")
        for side in ("before_taxes", "after_taxes"):
            low = getattr(self.min_price, side, None)
            high = getattr(self.max_price, side, None)
            if low is not None and high is not None and low > high:
                raise ValueError(f"Tariff {self.tariff_id}: min_price ({low}) is above max_price ({high}).")
        try:
            _ = self.zone
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"Time zone {self.time_zone!r} of tariff {self.tariff_id} is not known; use a name such as Europe/Oslo."
            ) from None

    @cached_property
    def zone(self) -> ZoneInfo:
        """The location's time zone."""
        return ZoneInfo(self.time_zone)

    @cached_property
    def is_free(self) -> bool:
        """True when no usage can ever cost anything; such a session needs no hold."""
        limits = (self.min_price.before_taxes, self.min_price.after_taxes) if self.min_price else ()
        return not any(component.price for component in self.components()) and not any(limits)

    def components(self) -> Iterator[PriceComponent]:
        """Every price component, in the order of the elements."""
        return (component for element in self.elements for component in element.price_components)

    def gross_price(self, component: PriceComponent) -> Decimal:
        """What a driver pays per unit, VAT included, exact: consumers are only ever shown this one."""
        if self.tax_included == "NO" and component.vat_percent:
            return component.price * (100 + component.vat_percent) / 100
        return component.price


def simple_tariff(
    tariff_id: str,
    currency: str,
    *,
    hold_minor: int,
    per_kwh: Decimal | None = None,
    per_minute: Decimal | None = None,
    per_session: Decimal | None = None,
    idle_per_minute: Decimal | None = None,
    idle_grace_s: int = 0,
    vat_percent: Decimal | None = None,
    tax_included: TaxIncluded = "YES",
    time_zone: str = "UTC",
) -> Tariff:
    """A tariff of one element without restrictions; prices in major units. With no price at all, charging is free.

    ``per_minute`` and ``idle_per_minute`` are per minute, as they are displayed; OCPI's components are per hour.
    """
    prices = (
        (Dimension.ENERGY, per_kwh),
        (Dimension.TIME, None if per_minute is None else per_minute * 60),
        (Dimension.PARKING_TIME, None if idle_per_minute is None else idle_per_minute * 60),
        (Dimension.FLAT, per_session),
    )
    components = tuple(PriceComponent(kind, price, vat_percent) for kind, price in prices if price is not None)
    free = (PriceComponent(Dimension.ENERGY, Decimal(0), vat_percent),)
    return Tariff(
        tariff_id=tariff_id,
        currency=currency,
        elements=(TariffElement(components or free),),
        tax_included=tax_included,
        hold_minor=hold_minor,
        idle_grace_s=idle_grace_s,
        time_zone=time_zone,
    )
