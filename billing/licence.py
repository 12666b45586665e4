"""Licences, pure: what a line of an order costs, how long a plan runs, what state it is in, when to remind of its end.

An **activation** is bought once for a terminal and does not end. A **plan** runs for a year of the calendar in its
owner's time zone, reckoned as Regulation (EEC, Euratom) No 1182/71, article 3, reckons periods: the day on which it
begins does not count, and it ends with the last hour of the same date a year later, or of the last day of that month
where there is no such date. A plan that begins with a day (a renewal does) counts that day, so renewals do not creep.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from billing.money import round_half_up

#: How many days before a plan's end its owner is reminded.
REMIND_DAYS = (90, 30, 7)
#: A plan with so little time left is expiring.
EXPIRING = timedelta(days=max(REMIND_DAYS))
_DAY = timedelta(days=1)


class LicenceKind(StrEnum):
    """What is bought."""

    ACTIVATION = "activation"  # once for a terminal
    PLAN = "plan"  # the terminal cloud plan: a year, prepaid


class Included(StrEnum):
    """What a licence brings."""

    TERMINAL_MANAGEMENT = "terminal management"
    SESSION_REPORTING = "session reporting"
    PROVIDER_INTEGRATION = "integration with the provider"
    PAYMENT_FACILITATION = "payment service facilitation with automatic capture"


class LicenceState(StrEnum):
    """As an owner reads it."""

    NEW = "new"  # ordered, and the order is not confirmed yet
    AVAILABLE = "available"  # to be assigned to a terminal
    ACTIVE = "active"
    EXPIRING = "expiring"  # 90 days or less are left, and no renewal follows
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class LinePrice:
    """What a line of an order costs, in minor units."""

    net_minor: int
    vat_minor: int

    @property
    def gross_minor(self) -> int:
        """Incl. VAT."""
        return self.net_minor + self.vat_minor


def line_price(price_minor: int, quantity: int, vat_percent: Decimal) -> LinePrice:
    """``quantity`` at ``price_minor`` each, without VAT; the VAT of the whole line, half up."""
    net = price_minor * quantity
    return LinePrice(net, round_half_up(Decimal(net) * vat_percent / 100))


def day_begins(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, UTC: also where the clock is put forward at midnight, or back."""
    return datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)


def plan_ends_at(starts_at: datetime, zone: ZoneInfo) -> datetime:
    """When a plan that begins at ``starts_at`` is over: the first instant of a day in ``zone``, UTC."""
    first = starts_at.astimezone(zone).date()
    if day_begins(first, zone) == starts_at:
        return day_begins(_a_year_after(first) or date(first.year + 1, 3, 1), zone)
    last = _a_year_after(first) or date(first.year + 1, 2, 28)
    return day_begins(last + _DAY, zone)


def _a_year_after(day: date) -> date | None:
    """The same date of the next year; None for 29 February."""
    return None if (day.month, day.day) == (2, 29) else day.replace(year=day.year + 1)


def plan_starts_at(others_end: Iterable[datetime], now: datetime) -> datetime:
    """When a plan that is assigned now begins: at once, or when the terminal's last running plan ends."""
    return max((at for at in others_end if at > now), default=now)


def licensed_until(ends_at: datetime, grace_days: int, zone: ZoneInfo) -> datetime:
    """The end of the grace period: so many days of the calendar after the plan's end."""
    return day_begins(ends_at.astimezone(zone).date() + timedelta(days=grace_days), zone)


def licence_state(
    now: datetime, *, confirmed: bool, assigned: bool, ends_at: datetime | None, renewed: bool
) -> LicenceState:
    """What an owner reads. ``ends_at``: None for what does not end. ``renewed``: another plan begins where it ends."""
    if not confirmed:
        return LicenceState.NEW
    if not assigned:
        return LicenceState.AVAILABLE
    if ends_at is None:
        return LicenceState.ACTIVE
    if ends_at <= now:
        return LicenceState.EXPIRED
    return LicenceState.EXPIRING if ends_at - now <= EXPIRING and not renewed else LicenceState.ACTIVE


def reminder_days(due_at: datetime, ends_at: datetime) -> int | None:
    """Which reminder is due at ``due_at``: 90, 30, 7, the one that fits the time left; None while none is, or after.

    Whoever looks for the first time 20 days before the end reminds of the 30 days, once, and not of the 90 as well.
    """
    left = ends_at - due_at
    if left <= timedelta(0):
        return None
    return min((days for days in REMIND_DAYS if left <= timedelta(days=days)), default=None)
