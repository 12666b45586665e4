"""Return files: what the bank says of payments, out of pain.002, camt.053 and camt.054. Pure but for the XML parser.

Names are read without their namespace, so that every version of these messages is understood; what a version adds is
ignored. The content is hostile until it is read: no DTD, no entities, bounded numbers of everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

MAX_BYTES = 8 * 1024 * 1024
MAX_LINES = 50_000
_AMOUNT = re.compile(r"\d{1,13}(\.\d{1,5})?")
_TEXT = 140
#: pain.002 (ExternalPaymentTransactionStatus1Code): what ends a payment. The others only say how far it is.
_REJECTED = frozenset({"RJCT", "CANC"})
_SETTLED = frozenset({"ACSC", "ACCC"})


class ReturnFileError(ValueError):
    """The file cannot be read; the text says why."""


class Said(StrEnum):
    """What the bank says of a payment."""

    EXECUTED = "executed"
    RETURNED = "returned"  # also rejected
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing the bank says: of one payment (``end_to_end_id``), or of a whole batch (``batch_id``).

    ``amount`` in major units, None where the file does not say it. ``reason``: code and text.
    """

    said: Said
    end_to_end_id: str = ""
    batch_id: str = ""
    amount: Decimal | None = None
    currency: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnFile:
    """A file, read. ``others``: entries of the account that name no payment at all."""

    kind: str
    told: tuple[Told, ...]
    others: int = 0


def read_return_file(content: bytes) -> ReturnFile:
    """Read a file. Raises `ReturnFileError`."""
    if len(content) > MAX_BYTES:
        raise ReturnFileError(f"The file is larger than {MAX_BYTES} bytes.")
    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except DefusedXmlException:
        raise ReturnFileError("The file has a DTD or entities, which no bank's file has.") from None
    except (ParseError, ValueError, LookupError):
        raise ReturnFileError("The file is no XML that can be read.") from None
    for name, read in (
        ("CstmrPmtStsRpt", _status_report),
        ("BkToCstmrStmt", _statement),
        ("BkToCstmrDbtCdtNtfctn", _notification),
    ):
        message = next(_children(root, name), None)
        if message is not None:
            found = read(message)
            if len(found.told) > MAX_LINES:
                raise ReturnFileError(f"The file says more than {MAX_LINES} things; ask the bank for smaller ones.")
            return found
    raise ReturnFileError("This is none of pain.002, camt.053 and camt.054, which tell what became of payments.")


# --- pain.002 ---------------------------------------------------------------------------------------------------------


def _status_report(message: Element) -> ReturnFile:
    told: list[Told] = []
    for group in _children(message, "OrgnlGrpInfAndSts"):
        told += _batch_status(group, "OrgnlMsgId", "GrpSts")
    for payment in _children(message, "OrgnlPmtInfAndSts"):
        details = list(_children(payment, "TxInfAndSts"))
        told += _batch_status(payment, "OrgnlPmtInfId", "PmtInfSts") if not details else []
        told += [_transaction_status(one) for one in details]
    return ReturnFile(kind="pain.002", told=tuple(told))


def _batch_status(element: Element, name: str, status_name: str) -> list[Told]:
    """A whole batch: only its rejection says something of each payment."""
    status = _text(element, status_name)
    if status not in _REJECTED:
        return []
    return [Told(said=Said.RETURNED, batch_id=_text(element, name), reason=_reason(element, "StsRsnInf", status))]


def _transaction_status(element: Element) -> Told:
    status = _text(element, "TxSts")
    said = Said.RETURNED if status in _REJECTED else Said.EXECUTED if status in _SETTLED else Said.PENDING
    amount, currency = _amount(_find(element, "OrgnlTxRef", "Amt", "InstdAmt"))
    return Told(
        said=said,
        end_to_end_id=_text(element, "OrgnlEndToEndId"),
        amount=amount,
        currency=currency,
        reason=_reason(element, "StsRsnInf", status),
    )


# --- camt.053, camt.054 -----------------------------------------------------------------------------------------------


def _statement(message: Element) -> ReturnFile:
    return _entries(message, "camt.053", "Stmt")


def _notification(message: Element) -> ReturnFile:
    return _entries(message, "camt.054", "Ntfctn")


def _entries(message: Element, kind: str, holder: str) -> ReturnFile:
    told: list[Told] = []
    others = 0
    for account in _children(message, holder):
        for entry in _children(account, "Ntry"):
            found = list(_entry(entry)) if _booked(entry) else []
            told += found
            others += not found
    return ReturnFile(kind=kind, told=tuple(told), others=others)


def _booked(entry: Element) -> bool:
    """Whether it is final: BOOK, written in a Cd or by itself, as the version has it."""
    return "BOOK" in {_text(entry, "Sts"), _text(entry, "Sts", "Cd")}


def _entry(entry: Element) -> Iterator[Told]:
    """Money that left is a payment executed; money of ours that comes in again is one returned."""
    for details in _children(entry, "NtryDtls"):
        transactions = [one for one in _children(details, "TxDtls") if _reference(one)]
        for one in transactions:
            amount, currency = _transaction_amount(one, entry, alone=len(transactions) == 1)
            yield Told(
                said=_direction(_text(one, "CdtDbtInd") or _text(entry, "CdtDbtInd")),
                end_to_end_id=_reference(one),
                amount=amount,
                currency=currency,
                reason=_reason(one, "RtrInf", ""),
            )
        batch = _find(details, "Btch")
        batch_id = (_text(batch, "PmtInfId") or _text(batch, "MsgId")) if batch is not None else ""
        if batch_id and not transactions:
            amount, currency = _amount(_find(entry, "Amt"))
            yield Told(
                said=_direction(_text(entry, "CdtDbtInd")),
                batch_id=batch_id,
                amount=amount,
                currency=currency,
                reason="",
            )


def _direction(indicator: str) -> Said:
    if indicator not in {"DBIT", "CRDT"}:
        raise ReturnFileError("An entry says neither DBIT nor CRDT.")
    return Said.EXECUTED if indicator == "DBIT" else Said.RETURNED


def _reference(transaction: Element) -> str:
    found = _text(transaction, "Refs", "EndToEndId")
    return "" if found == "NOTPROVIDED" else found


def _transaction_amount(transaction: Element, entry: Element, *, alone: bool) -> tuple[Decimal | None, str]:
    places: tuple[tuple[str, ...], ...] = (("Amt",), ("AmtDtls", "TxAmt", "Amt"), ("AmtDtls", "InstdAmt", "Amt"))
    for path in places:
        found = _find(transaction, *path)
        if found is not None:
            return _amount(found)
    return _amount(_find(entry, "Amt")) if alone else (None, "")


# --- elements ---------------------------------------------------------------------------------------------------------


def _children(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element if _name(child) == name)


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _find(element: Element | None, *path: str) -> Element | None:
    for name in path:
        if element is None:
            return None
        element = next(_children(element, name), None)
    return element


def _text(element: Element | None, *path: str) -> str:
    found = _find(element, *path)
    return " ".join((found.text or "").split())[:_TEXT] if found is not None else ""


def _amount(element: Element | None) -> tuple[Decimal | None, str]:
    if element is None:
        return None, ""
    text = _text(element)
    if not _AMOUNT.fullmatch(text):
        raise ReturnFileError("An amount in the file is no number.")
    return Decimal(text), str(element.get("Ccy", ""))[:3]


def _reason(element: Element, name: str, otherwise: str) -> str:
    told = _find(element, name)
    code = _text(told, "Rsn", "Cd") or _text(told, "Rsn", "Prtry")
    return " ".join(part for part in (code or otherwise, _text(told, "AddtlInf")) if part)
