"""What two charges come to, reckoned by hand: from energy, price and terms to what stands in every book, to the øre.

Nothing of the system's own arithmetic is called for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor

PRICE_PER_KWH = 1250  # øre, with 25 % VAT
FIXED_FEE, PERCENT_FEE, FACILITATION_FEE = 150, Fraction("2.5"), 120  # øre, per cent, øre: without VAT
ACTIVATION, PLAN = 1990, 4990  # øre, without VAT
ACQUIRER_PERCENT = Fraction("1.4")
TERMS = {
    "fee_fixed_minor": FIXED_FEE,
    "fee_percent": "2.5",
    "facilitation_fee_minor": FACILITATION_FEE,
    "fee_vat_percent": "25",
    "period": "week",
}


def half_up(amount: Fraction) -> int:
    """Rounded as money is."""
    return floor(amount + Fraction(1, 2))


@dataclass(frozen=True)
class Sale:
    """What a charge of so many Wh costs."""

    wh: int

    @property
    def gross(self) -> int:
        return half_up(Fraction(self.wh * PRICE_PER_KWH, 1000))

    @property
    def net(self) -> int:
        return half_up(Fraction(self.gross) / Fraction("1.25"))

    @property
    def vat(self) -> int:
        return self.gross - self.net

    @property
    def fee(self) -> int:
        """The platform's, for selling it."""
        return FIXED_FEE + half_up(self.gross * PERCENT_FEE / 100)


@dataclass(frozen=True)
class Reckoned:
    """What two charges, one by card and one by contract, come to."""

    own: bool
    card: Sale
    contract: Sale

    @property
    def sold_by_platform(self) -> list[Sale]:
        return [self.contract] if self.own else [self.card, self.contract]

    @property
    def acquirers_fee(self) -> int:
        return half_up(self.card.gross * ACQUIRER_PERCENT / 100)

    @property
    def licences_vat(self) -> int:
        return half_up(Fraction(ACTIVATION, 4)) + half_up(Fraction(PLAN, 4))

    @property
    def licences(self) -> int:
        return ACTIVATION + PLAN + self.licences_vat

    @property
    def fees_net(self) -> int:
        return sum(sale.fee for sale in self.sold_by_platform) + (FACILITATION_FEE if self.own else 0)

    @property
    def fees(self) -> int:
        return self.fees_net + half_up(Fraction(self.fees_net, 4))

    @property
    def owed(self) -> int:
        """To the owner, at the end of the week; negative: by the owner."""
        return sum(sale.gross for sale in self.sold_by_platform) - self.licences - self.fees

    @property
    def paid(self) -> int:
        return max(self.owed, 0)

    def books(self, owners: str, *, closed: bool, settled: bool) -> dict[tuple[str, str], int]:
        """Every book. ``closed``: the week is, and has been paid out. ``settled``: the acquirer has paid."""
        net, vat = sum(s.net for s in self.sold_by_platform), sum(s.vat for s in self.sold_by_platform)
        fees, fees_net, paid = (self.fees, self.fees_net, self.paid) if closed else (0, 0, 0)
        platform = {
            "contracts": self.contract.gross,
            "revenue": -net,
            "vat_payable": -vat - self.licences_vat - (fees - fees_net),
            "owner_share": net,
            "input_vat": vat,
            "owner_payable": -(net + vat - self.licences - fees - paid),
            "licence_revenue": -(ACTIVATION + PLAN),
            "fee_revenue": -fees_net,
            "bank": -paid,
        }
        collected = {
            "acquirer": 0 if settled else self.card.gross,
            "bank": self.card.gross - self.acquirers_fee if settled else 0,
            "acquirer_fees": self.acquirers_fee if settled else 0,
        }
        theirs: dict[str, int] = {}
        if self.own:
            theirs = collected | {"revenue": -self.card.net, "vat_payable": -self.card.vat}
        else:
            platform |= collected | {"bank": platform["bank"] + collected["bank"]}
        both = [("platform", platform), (owners, theirs)]
        return {(book, account): total for book, book_of in both for account, total in book_of.items() if total}
