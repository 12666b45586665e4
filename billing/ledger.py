"""Ledger: double entry, pure. A session's money from hold to capture to its owner, as entry sets that add up to zero.

Each entry stands in one **book**. What the platform's processor collects, and what contracts owe, is the platform's;
what an owner's own processor collects stands in that owner's book and never is the platform's.

A positive amount is a debit, a negative one a credit. The hold pair and the write-off pair are memo accounts: they
remember, nobody owes them. A hold is resolved like TigerBeetle's two-phase transfers: what is captured and what is
released together are what was held, once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from billing.cost import Cost
from billing.money import exponent

#: The operator who runs this system: the name of its book, and of itself as an owner of what nobody else owns.
PLATFORM = "platform"


class Account(StrEnum):
    """The chart of accounts."""

    HOLD = "hold"  # memo: reserved on drivers' cards and not resolved yet
    HOLD_CONTRA = "hold_contra"  # memo: the other side of HOLD
    ACQUIRER = "acquirer"  # receivable: captured, not paid out yet
    STATION_ACQUIRER = "station_acquirer"  # receivable: collected by stations' own terminals, not paid out yet
    REVENUE = "revenue"  # sales without VAT
    VAT_PAYABLE = "vat_payable"  # owed to the tax authority
    WRITTEN_OFF = "written_off"  # memo: delivered, and never collected
    WRITTEN_OFF_CONTRA = "written_off_contra"  # memo: the other side of WRITTEN_OFF
    SUSPENSE = "suspense"  # captured, and no bill explains it: an operator decides
    CONTRACTS = "contracts"  # receivable: charges by RFID, app and roaming, billed to whoever is behind the token
    OWNER_SHARE = "owner_share"  # cost: what the platform buys from the owner and sells to the driver, without VAT
    INPUT_VAT = "input_vat"  # VAT in what the owner is owed
    OWNER_PAYABLE = "owner_payable"  # owed to a site owner until it is paid out
    LICENCE_REVENUE = "licence_revenue"  # licences sold to site owners, without VAT
    FEE_REVENUE = "fee_revenue"  # what the platform takes from owners, without VAT
    PAYOUTS_IN_TRANSIT = "payouts_in_transit"  # in a payment file, and not seen on the bank account yet
    BANK = "bank"  # the platform's bank account
    ACQUIRER_FEES = "acquirer_fees"  # cost: what the acquirer keeps of a settlement
    COLLECTION_LOSS = "collection_loss"  # cost: captured and never settled; its book carries the risk


class Kind(StrEnum):
    """What an entry set records."""

    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    WRITE_OFF = "write_off"
    UNEXPLAINED = "unexplained"
    SETTLEMENT = "settlement"
    CONTRACT = "contract"
    OWED = "owed"
    LICENCE = "licence"
    REFUND = "refund"
    FEES = "fees"
    PAYOUT = "payout"
    PAYOUT_EXECUTED = "payout_executed"
    PAYOUT_RETURNED = "payout_returned"
    ACQUIRER_SETTLEMENT = "acquirer_settlement"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a posting, in minor units: positive = debit, negative = credit."""

    account: Account
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class EntrySet:
    """Entries that are posted together. Raises ``ValueError`` unless they add up to zero in every currency."""

    kind: Kind
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        sums: dict[str, int] = defaultdict(int)
        for entry in self.entries:
            exponent(entry.currency)
            sums[entry.currency] += entry.amount_minor
        off = {currency: amount for currency, amount in sums.items() if amount}
        if off:
            raise ValueError(f"The {self.kind} entries do not add up to zero; they are off by {off}.")


def _transfer(debit: Account, credit: Account, amount_minor: int, currency: str) -> tuple[Entry, ...]:
    if amount_minor < 0:
        raise ValueError(f"An amount to post cannot be negative: {amount_minor} {currency}.")
    if amount_minor == 0:
        return ()
    return Entry(debit, amount_minor, currency), Entry(credit, -amount_minor, currency)


def hold(amount_minor: int, currency: str) -> EntrySet:
    """An amount is reserved on the driver's card. Raises ``ValueError`` unless it is above zero."""
    if amount_minor <= 0:
        raise ValueError(f"A hold must be above zero, not {amount_minor} {currency}.")
    return EntrySet(Kind.HOLD, _transfer(Account.HOLD, Account.HOLD_CONTRA, amount_minor, currency))


def capture(held_minor: int, cost: Cost, currency: str) -> EntrySet:
    """The cost is collected out of a hold of which ``held_minor`` are open; the rest stays open until it is released.

    Raises ``ValueError`` when the cost is above the hold (`billing.cost.cap_cost` comes first), zero (nothing is
    captured: release instead), or in another currency.
    """
    if cost.currency != currency:
        raise ValueError(f"The cost is in {cost.currency}, the hold in {currency}.")
    if cost.total_minor == 0:
        raise ValueError("A cost of zero is not captured; release the hold.")
    if cost.total_minor > held_minor:
        raise ValueError(f"Cannot capture {cost.total_minor} of a hold of {held_minor} {currency}.")
    resolved = _transfer(Account.HOLD_CONTRA, Account.HOLD, cost.total_minor, currency)
    return EntrySet(Kind.CAPTURE, resolved + _sale(Account.ACQUIRER, cost))


def _sale(receivable: Account, cost: Cost) -> tuple[Entry, ...]:
    sale = (
        Entry(receivable, cost.total_minor, cost.currency),
        Entry(Account.REVENUE, -cost.net_minor, cost.currency),
        Entry(Account.VAT_PAYABLE, -cost.vat_minor, cost.currency),
    )
    return tuple(entry for entry in sale if entry.amount_minor)


def settlement(cost: Cost) -> EntrySet:
    """The station's own terminal collected the cost; there was no hold of ours. Zero posts nothing."""
    return EntrySet(Kind.SETTLEMENT, _sale(Account.STATION_ACQUIRER, cost))


def contract(cost: Cost) -> EntrySet:
    """A charge without a card ended: whoever is behind the id token owes its cost. Zero posts nothing."""
    return EntrySet(Kind.CONTRACT, _sale(Account.CONTRACTS, cost))


def owed(cost: Cost) -> EntrySet:
    """The platform sold an owner's energy in its own name: it owes the owner all that it took. Zero posts nothing."""
    share = (
        Entry(Account.OWNER_SHARE, cost.net_minor, cost.currency),
        Entry(Account.INPUT_VAT, cost.vat_minor, cost.currency),
        Entry(Account.OWNER_PAYABLE, -cost.total_minor, cost.currency),
    )
    return EntrySet(Kind.OWED, tuple(entry for entry in share if entry.amount_minor))


def licence_sale(net_minor: int, vat_minor: int, currency: str) -> EntrySet:
    """A site owner buys licences: what the owner is owed shrinks by their price and its VAT. Zero posts nothing.

    Raises ``ValueError`` for a negative amount.
    """
    if net_minor < 0 or vat_minor < 0:
        raise ValueError(f"A price cannot be negative: {net_minor} and {vat_minor} {currency}.")
    sale = (
        Entry(Account.OWNER_PAYABLE, net_minor + vat_minor, currency),
        Entry(Account.LICENCE_REVENUE, -net_minor, currency),
        Entry(Account.VAT_PAYABLE, -vat_minor, currency),
    )
    return EntrySet(Kind.LICENCE, tuple(entry for entry in sale if entry.amount_minor))


def reversal(entry_set: EntrySet) -> EntrySet:
    """What undoes ``entry_set``: nothing in the ledger is ever edited."""
    turned = tuple(Entry(entry.account, -entry.amount_minor, entry.currency) for entry in entry_set.entries)
    return EntrySet(entry_set.kind, turned)


def refund(receivable: Account, back: Cost) -> EntrySet:
    """A driver gets ``back`` of what was sold; ``receivable``: where the sale was collected. Zero posts nothing."""
    sale = EntrySet(Kind.REFUND, _sale(receivable, back))
    return reversal(sale)


def owed_back(back: Cost) -> EntrySet:
    """What was refunded is not owed to the owner any more. Zero posts nothing."""
    return EntrySet(Kind.REFUND, reversal(owed(back)).entries)


def fees(net_minor: int, vat_minor: int, currency: str) -> EntrySet:
    """The platform takes its fees, and the VAT on them, out of what an owner is owed; negative: gives some back."""
    taken = (
        Entry(Account.OWNER_PAYABLE, net_minor + vat_minor, currency),
        Entry(Account.FEE_REVENUE, -net_minor, currency),
        Entry(Account.VAT_PAYABLE, -vat_minor, currency),
    )
    return EntrySet(Kind.FEES, tuple(entry for entry in taken if entry.amount_minor))


def payout(amount_minor: int, currency: str) -> EntrySet:
    """A payment to an owner is in a file for the bank."""
    return EntrySet(Kind.PAYOUT, _transfer(Account.OWNER_PAYABLE, Account.PAYOUTS_IN_TRANSIT, amount_minor, currency))


def payout_executed(amount_minor: int, currency: str) -> EntrySet:
    """The payment has left the bank account."""
    return EntrySet(Kind.PAYOUT_EXECUTED, _transfer(Account.PAYOUTS_IN_TRANSIT, Account.BANK, amount_minor, currency))


def payout_returned(amount_minor: int, currency: str, *, executed: bool) -> EntrySet:
    """The payment was rejected, or came back: the owner is owed it again. ``executed``: it had left the account."""
    debit = Account.BANK if executed else Account.PAYOUTS_IN_TRANSIT
    return EntrySet(Kind.PAYOUT_RETURNED, _transfer(debit, Account.OWNER_PAYABLE, amount_minor, currency))


def unexplained_settlement(amount_minor: int, currency: str) -> EntrySet:
    """The station's own terminal collected what our bill does not explain: the reason is in suspense."""
    return EntrySet(Kind.UNEXPLAINED, _transfer(Account.STATION_ACQUIRER, Account.SUSPENSE, amount_minor, currency))


def unexplained(amount_minor: int, still_held_minor: int, currency: str) -> EntrySet:
    """The provider captured what our bill does not explain: the books follow the money, the reason is in suspense.

    ``still_held_minor``: what is open of the hold; the capture resolves at most that.
    """
    resolved = _transfer(Account.HOLD_CONTRA, Account.HOLD, min(amount_minor, still_held_minor), currency)
    money = _transfer(Account.ACQUIRER, Account.SUSPENSE, amount_minor, currency)
    return EntrySet(Kind.UNEXPLAINED, resolved + money)


def acquirer_settlement(gross_minor: int, fee_minor: int, currency: str) -> EntrySet:
    """The acquirer settled what was captured: the bank has it, but for the fee. Zero posts nothing.

    Negative where refunds and chargebacks outweigh sales: the bank paid. A negative fee was given back.
    """
    parts = (
        Entry(Account.BANK, gross_minor - fee_minor, currency),
        Entry(Account.ACQUIRER_FEES, fee_minor, currency),
        Entry(Account.ACQUIRER, -gross_minor, currency),
    )
    return EntrySet(Kind.ACQUIRER_SETTLEMENT, tuple(entry for entry in parts if entry.amount_minor))


def release(amount_minor: int, currency: str) -> EntrySet:
    """The rest of a hold is given back; zero (everything was captured) posts nothing."""
    return EntrySet(Kind.RELEASE, _transfer(Account.HOLD_CONTRA, Account.HOLD, amount_minor, currency))


def write_off(amount_minor: int, currency: str) -> EntrySet:
    """Delivered and not collected, incl. VAT: above the hold, or the capture was refused. Zero posts nothing."""
    transfer = _transfer(Account.WRITTEN_OFF, Account.WRITTEN_OFF_CONTRA, amount_minor, currency)
    return EntrySet(Kind.WRITE_OFF, transfer)


def balance(entries: Iterable[Entry]) -> dict[Account, int]:
    """What stands on each account that has entries, in minor units. Raises ``ValueError`` for mixed currencies."""
    sums: dict[Account, int] = defaultdict(int)
    currencies = set()
    for entry in entries:
        currencies.add(entry.currency)
        sums[entry.account] += entry.amount_minor
    if len(currencies) > 1:
        raise ValueError(f"Entries in several currencies have no common balance: {', '.join(sorted(currencies))}.")
    return dict(sums)


def open_hold(entries: Iterable[Entry]) -> int:
    """How much of the hold is neither captured nor released, in minor units."""
    return balance(entries).get(Account.HOLD, 0)


def posted(earlier: Sequence[EntrySet], new: EntrySet) -> tuple[EntrySet, ...]:
    """A session's entry sets with one more. A hold resolves exactly once:

    raises ``ValueError`` for a second hold, a second capture, and for resolving more than is open.
    """
    if new.kind in (Kind.HOLD, Kind.CAPTURE) and any(entry_set.kind is new.kind for entry_set in earlier):
        raise ValueError(f"The session has a {new.kind} already.")
    after = (*earlier, new)
    left = open_hold(entry for entry_set in after for entry in entry_set.entries)
    if left < 0:
        raise ValueError(f"The {new.kind} resolves {-left} minor units more than are held.")
    return after
