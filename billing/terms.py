"""Terms: what the platform takes from a site owner, and when it pays the rest out. Pure.

Amounts in minor units of the owner's currency, without VAT: ``fee_vat_percent`` comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from typing import Any

import orjson

from billing.money import exponent, round_half_up

_DECIMALS = 3  # of a percentage
_GREATEST_MINOR = 10**12


class Period(StrEnum):
    """What a statement covers: days of the owner's time zone; weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is agreed with an owner. Raises ``ValueError``, with a sentence, for terms nobody could have agreed on."""

    fee_fixed_minor: int = 0  # per paid session
    fee_percent: Decimal = Decimal(0)  # of the session's gross
    facilitation_fee_minor: int = 0  # per session paid through the owner's own processor
    fee_vat_percent: Decimal = Decimal(25)
    period: Period = Period.MONTH
    minimum_payout_minor: int = 0  # a smaller balance is carried

    def __post_init__(self) -> None:
        for name in ("fee_fixed_minor", "facilitation_fee_minor", "minimum_payout_minor"):
            amount = getattr(self, name)
            if not 0 <= amount <= _GREATEST_MINOR:
                raise ValueError(f"{name} is an amount in minor units from 0 to {_GREATEST_MINOR}, not {amount}.")
        for name in ("fee_percent", "fee_vat_percent"):
            percent = getattr(self, name)
            if not percent.is_finite() or not 0 <= percent <= 100 or percent != round(percent, _DECIMALS):
                raise ValueError(f"{name} is a percentage from 0 to 100 with at most {_DECIMALS} decimals.")

    def fee_minor(self, gross_minor: int, currency: str) -> int:
        """The platform's fee for a session of ``gross_minor``, without VAT; rounded once, half up.

        A session that was not paid costs no fee. Raises ``ValueError`` for a negative amount or an unknown currency.
        """
        exponent(currency)
        if gross_minor < 0:
            raise ValueError(f"A session's gross amount cannot be negative: {gross_minor}.")
        if gross_minor == 0:
            return 0
        return self.fee_fixed_minor + round_half_up(gross_minor * Fraction(self.fee_percent) / 100)

    def facilitation_minor(self, gross_minor: int, currency: str) -> int:
        """The fee for a session paid through the owner's own processor, without VAT. Raises as `fee_minor`."""
        exponent(currency)
        if gross_minor < 0:
            raise ValueError(f"A session's gross amount cannot be negative: {gross_minor}.")
        return self.facilitation_fee_minor if gross_minor else 0

    def in_currency(self, home: str, currency: str) -> Terms:
        """The terms for what was sold in ``currency``: fixed amounts hold in the owner's own (``home``) alone."""
        if currency == home:
            return self
        return replace(self, fee_fixed_minor=0, facilitation_fee_minor=0, minimum_payout_minor=0)

    def fee_vat_minor(self, fee_minor: int) -> int:
        """The VAT on top of a fee, half up."""
        return round_half_up(fee_minor * Fraction(self.fee_vat_percent) / 100)


def terms_to_json(terms: Terms) -> str:
    """The terms as a JSON text; percentages are strings, so that nothing is lost."""
    written = {field.name: getattr(terms, field.name) for field in fields(terms)}
    return orjson.dumps({key: str(v) if isinstance(v, Decimal) else v for key, v in written.items()}).decode()


def terms_from_json(text: str) -> Terms:
    """Terms from their JSON text; what is left out is as `Terms` has it.

    Raises ``ValueError`` for what it does not know and for whatever `Terms` refuses.
    """
    said = orjson.loads(text)
    if type(said) is not dict:
        raise ValueError("Terms are a JSON object.")
    unknown = sorted(said.keys() - {field.name for field in fields(Terms)})
    if unknown:
        raise ValueError(f"Terms do not have {', '.join(unknown)}.")
    return Terms(**{name: _read(name, value) for name, value in said.items()})


def _read(name: str, value: Any) -> Any:
    if name == "period":
        return Period(value)
    if name.endswith("_percent"):
        try:
            return Decimal(str(value))
        except InvalidOperation:
            raise ValueError(f"{name} is no number.") from None
    if type(value) is not int:
        raise ValueError(f"{name} is a whole number of minor units.")
    return value
