"""What a station tells of a payment at its own terminal (2.1 C18–C23): a fact, and its words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from billing.receipt import Buyer
from sessions.facts import StationFact


class SettlementStatus(StrEnum):
    """OCPP 2.1 PaymentStatusEnumType."""

    SETTLED = "Settled"
    CANCELED = "Canceled"  # nothing is to be paid
    REJECTED = "Rejected"  # for good
    FAILED = "Failed"  # it may be tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementNotified(StationFact):
    """2.1 NotifySettlement: what became of a payment at the station's own terminal. ``amount``: major units, incl. tax.

    ``transaction_id`` None: the payment was given up before a transaction began.
    """

    psp_ref: str
    status: SettlementStatus
    amount: Decimal
    transaction_id: str | None = None
    settled_at: datetime | None = None
    status_info: str = ""
    receipt_id: str = ""
    receipt_url: str = ""
    buyer: Buyer | None = None
