"""An acquirer's settlement as a bank statement: ISO 20022 CAMT.053, versions 001.02 and later. Pure.

Namespaces differ by version and elements hardly do, so elements are found by their local names. An entry with the
details of its transactions is a batch, each of them a row; one without is a row itself. What the bank books without
naming a payment (a lump sum of a day) is a payout: its parts stand in the acquirer's own file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import defusedxml.ElementTree as DefusedTree
from defusedxml.common import DefusedXmlException

from billing.money import exponent
from billing.reconciliation import SettlementKind
from billing.settlement_file import RefusedRow, RowRefused, Said, SettlementFile, UnreadableFileError, checked, file_of

MAX_ENTRIES = 1_000_000
#: ISO external return reasons that mean a driver's bank took money back, and words for it in bank transaction codes.
_TAKEN_BACK = re.compile(r"charge.?back|dispute|reversal|RRTN|UPDD", re.IGNORECASE)
_NO_REFERENCE = {"", "NOTPROVIDED", "NONREF", "NOTAVAILABLE"}
_NAMESPACE = re.compile(r"\{urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.\d\d\}Document")


def read_camt(raw: bytes, account_id: str, merchant_id: str = "") -> SettlementFile:
    """What the statement tells. Raises `UnreadableFileError` where it is none."""
    rows, refused = [], []
    days: list[date] = []
    number = 0
    for element in _elements(raw):
        if element is None:
            continue
        name = _local(element)
        if name == "FrToDt":
            days += [day for each in ("FrDtTm", "FrDt", "ToDtTm", "ToDt") if (day := _day(_text(element, each)))]
        elif name == "Ntry":
            for said in _rows(element):
                number += 1
                if number > MAX_ENTRIES:
                    raise UnreadableFileError(f"The statement has more than {MAX_ENTRIES} entries: split it.")
                try:
                    rows.append(checked(said(number), merchant_id))
                except RowRefused as reason:
                    refused.append(RefusedRow(number, str(reason)))
            element.clear()  # one entry in memory at a time
    return file_of(rows, refused, account_id, min(days, default=None), max(days, default=None))


def _elements(raw: bytes) -> Iterator[Any]:
    root: Any = None
    try:
        for event, element in DefusedTree.iterparse(io.BytesIO(raw), events=("start", "end"), forbid_dtd=True):
            if root is None:
                root = element
                if not _NAMESPACE.fullmatch(element.tag):
                    raise UnreadableFileError("The file is XML, but no CAMT.053 statement (camt.053.001.02 or later).")
            yield element if event == "end" else None
    except DefusedXmlException:
        raise UnreadableFileError("The file declares entities or a document type; no bank's statement does.") from None
    except DefusedTree.ParseError:
        raise UnreadableFileError("The file is no XML that can be read to its end.") from None
    except (LookupError, ValueError) as error:
        if isinstance(error, UnreadableFileError):
            raise
        raise UnreadableFileError("The file's encoding cannot be read.") from None


def _rows(entry: Any) -> Iterator[Any]:
    """For each row of an entry, a function of its number."""
    details = [detail for group in _children(entry, "NtryDtls") for detail in _children(group, "TxDtls")]
    if not details:
        yield lambda number: _said(number, entry, None)
        return
    for index, detail in enumerate(details):
        yield lambda number, detail=detail, index=index: _said(number, entry, detail, index, len(details))


def _said(number: int, entry: Any, detail: Any, index: int = 0, of: int = 1) -> Said:
    if (_text(entry, "Sts", "Cd") or _text(entry, "Sts")) in ("PDNG", "INFO", "FUTR"):
        raise RowRefused("it is not booked yet")
    amount, currency = _amount(entry, detail, of)
    fee = _fee(detail if detail is not None else entry, currency)
    settled_on = _day(_text(entry, "BookgDt", "Dt") or _text(entry, "BookgDt", "DtTm") or _text(entry, "ValDt", "Dt"))
    if settled_on is None:
        raise RowRefused("it has no booking date")
    references = _references(entry, detail)
    service = _text(detail, "Refs", "AcctSvcrRef") if detail is not None else _text(entry, "AcctSvcrRef")
    own = service or _text(entry, "AcctSvcrRef") or _text(entry, "NtryRef")
    credit = _credit(entry, detail)
    return Said(
        line=number,
        kind=_kind(entry, detail, credit, bool(references)),
        amount_minor=amount + (fee or 0) if credit else amount,
        fee_minor=fee,
        currency=currency,
        settled_on=settled_on,
        references=references,
        own_id=f"{own}/{index}/{settled_on}/{amount}" if own else "",
    )


def _amount(entry: Any, detail: Any, of: int) -> tuple[int, str]:
    """The booked amount: of the transaction, or of the entry where it is the only one."""
    places = [(detail, ("Amt",)), (detail, ("AmtDtls", "TxAmt", "Amt"))] if detail is not None else []
    places += [(entry, ("Amt",))] if of == 1 else []
    for where, path in places:
        found = _find(where, *path)
        if found is not None:
            return _minor(found)
    raise RowRefused("a transaction of a batch has no amount")


def _minor(element: Any) -> tuple[int, str]:
    currency = str(element.get("Ccy", ""))
    try:
        decimals = exponent(currency)
        amount = Decimal((element.text or "").strip())
        exact = amount.scaleb(decimals)
        whole = int(exact)
    except (ValueError, InvalidOperation, OverflowError):
        raise RowRefused("an amount or its currency cannot be read") from None
    if whole != exact or amount < 0:
        raise RowRefused("an amount is negative, or has more decimals than its currency")
    return whole, currency


def _fee(where: Any, currency: str) -> int | None:
    """What was kept back of it, where the bank tells: the sum of the charges."""
    total = None
    for charges in _children(where, "Chrgs"):
        records = _children(charges, "Rcrd") or [charges]
        for record in records:
            found = _find(record, "Amt")
            if found is None:
                continue
            amount, its = _minor(found)
            if its == currency:
                total = (total or 0) + (-amount if _text(record, "CdtDbtInd") == "CRDT" else amount)
    return total


def _credit(entry: Any, detail: Any) -> bool:
    side = (_text(detail, "CdtDbtInd") if detail is not None else "") or _text(entry, "CdtDbtInd")
    if side not in ("CRDT", "DBIT"):
        raise RowRefused("it does not say whether it is a credit or a debit")
    return side == "CRDT"


def _kind(entry: Any, detail: Any, credit: bool, named: bool) -> SettlementKind:
    if not named:
        return SettlementKind.PAYOUT if credit else SettlementKind.FEE
    if credit:
        return SettlementKind.SALE
    words = " ".join(
        _text(where, *path)
        for where in (entry, detail)
        if where is not None
        for path in (
            ("BkTxCd", "Domn", "Fmly", "SubFmlyCd"),
            ("BkTxCd", "Prtry", "Cd"),
            ("AddtlNtryInf",),
            ("AddtlTxInf",),
            ("RtrInf", "Rsn", "Cd"),
        )
    )
    returned = detail is not None and _find(detail, "RtrInf") is not None
    return SettlementKind.CHARGEBACK if returned or _TAKEN_BACK.search(words) else SettlementKind.REFUND


def _references(entry: Any, detail: Any) -> list[str]:
    """What may name the payment: the driver's side first, the bank's own numbers not at all."""
    if detail is None:
        found = [_text(entry, "NtryRef"), _text(entry, "AddtlNtryInf")]
    else:
        found = [_text(detail, "Refs", name) for name in ("EndToEndId", "InstrId", "TxId", "PmtInfId")]
        for information in _children(detail, "RmtInf"):
            found += [_text(strd, "CdtrRefInf", "Ref") for strd in _children(information, "Strd")]
            found += [(each.text or "").strip() for each in _children(information, "Ustrd")]
    return [text for text in found if text.upper() not in _NO_REFERENCE and len(text) <= 64]


def _day(text: str) -> date | None:
    try:
        return datetime.fromisoformat(text).date() if text else None
    except ValueError:
        return None


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _children(element: Any, name: str) -> list[Any]:
    return [] if element is None else [child for child in element if _local(child) == name]


def _find(element: Any, *path: str) -> Any:
    for name in path:
        element = next(iter(_children(element, name)), None)
        if element is None:
            return None
    return element


def _text(element: Any, *path: str) -> str:
    found = _find(element, *path)
    return "" if found is None or found.text is None else str(found.text).strip()
