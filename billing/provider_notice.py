"""The notice to the provider that the terms demand when its records and ours differ. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.money import exponent, to_major


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """One discrepancy as the provider is told of it. Amounts in minor units; None: no such thing on that side."""

    number: str
    kind: str
    terminal_serial: str
    transaction_id: str
    at: datetime | None
    ours_minor: int | None
    theirs_minor: int | None
    currency: str
    their_currency: str


def subject(platform: str, count: int) -> str:
    """The notice's subject line."""
    return f"Notice of {count} {'discrepancy' if count == 1 else 'discrepancies'} in card transactions: {platform}"


def body(platform: str, contact: str, domain: str, found: Sequence[Differs], written_at: datetime) -> str:
    """The notice itself. It names transactions and terminals; nothing of any card."""
    lines = [
        "To the provider of our payment terminals,",
        "",
        f"{platform} gives notice that the transactions below differ between your records and ours"
        + (f" (domain {domain})." if domain else "."),
        "Please confirm what happened to each, and correct your records or tell us what ours should say.",
        "Times are UTC.",
        "",
    ]
    for number, each in enumerate(found, 1):
        lines += [
            f"{number}. {each.kind} (our number {each.number})",
            f"   terminal:       {each.terminal_serial or 'not known'}",
            f"   transaction:    {each.transaction_id or 'not known'}",
            f"   time:           {each.at:%Y-%m-%d %H:%M:%S}" if each.at else "   time:           not known",
            f"   in our records: {_amount(each.ours_minor, each.currency)}",
            f"   in yours:       {_amount(each.theirs_minor, each.their_currency)}",
            "",
        ]
    lines += [f"Written {written_at:%Y-%m-%d %H:%M} UTC.", platform, *([contact] if contact else []), ""]
    return "\n".join(lines)


def _amount(amount_minor: int | None, currency: str) -> str:
    if amount_minor is None:
        return "none"
    return f"{to_major(amount_minor, currency):.{exponent(currency)}f} {currency}"
