"""An acquirer's settlement as CSV: a mapping, which is data, says what its columns are called. Pure.

Every acquirer writes another file. What is guessed: the delimiter, the encoding, and the decimal sign where a figure
leaves no doubt. What is not guessed: what a column means.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from billing.money import exponent
from billing.reconciliation import SettlementKind
from billing.settlement_file import RefusedRow, RowRefused, Said, SettlementFile, UnreadableFileError, checked, file_of

MAX_ROWS = 1_000_000
DELIMITERS = ";,\t|"
DecimalSign = Literal["auto", ",", "."]
_GROUPS = re.compile(r"[\s'’\u00a0\u202f]")

KINDS = {
    **dict.fromkeys(("sale", "settled", "payment", "purchase", "capture", "salg", "kjøp"), SettlementKind.SALE),
    **dict.fromkeys(("refund", "refunded", "credit", "kredit", "retur"), SettlementKind.REFUND),
    **dict.fromkeys(("fee", "fees", "commission", "gebyr"), SettlementKind.FEE),
    **dict.fromkeys(("chargeback", "dispute", "reklamasjon"), SettlementKind.CHARGEBACK),
    **dict.fromkeys(("payout", "merchantpayout", "transfer", "utbetaling"), SettlementKind.PAYOUT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the acquirer calls its columns (case and blanks around do not matter). "": there is none.

    ``reference``: the authorisation's host reference or our merchant reference; ``other_references`` are tried too.
    ``kinds``: the acquirer's words → sale, refund, fee, chargeback, payout, beyond `KINDS`. ``date_format``: "iso", or
    as strptime knows it. ``in_minor_units``: amounts are øre and cents already.
    """

    reference: str = "reference"
    amount: str = "amount"
    date: str = "date"
    currency: str = "currency"
    currency_is: str = ""  # for files without a currency
    kind: str = "kind"
    fee: str = "fee"
    merchant_id: str = "merchant_id"
    row_id: str = ""
    other_references: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    date_format: str = "iso"
    decimal: DecimalSign = "auto"
    delimiter: Literal["auto", ";", ",", "\t", "|"] = "auto"
    in_minor_units: bool = False


def read_csv(raw: bytes, columns: Columns, account_id: str, merchant_id: str = "") -> SettlementFile:
    """What the file tells. Raises `UnreadableFileError` where it is no such file at all."""
    text = _text(raw)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, columns), strict=True)
    rows, refused = [], []
    places: dict[str, int] | None = None
    for line, cells in _lines(reader):
        if isinstance(cells, RowRefused):
            refused.append(RefusedRow(line, str(cells)))
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if places is None:
            places = _places(cells, columns)
            continue
        try:
            rows.append(checked(_said(line, cells, places, columns), merchant_id))
        except RowRefused as reason:
            refused.append(RefusedRow(line, str(reason)))
    if places is None:
        raise UnreadableFileError("The file is empty.")
    return file_of(rows, refused, account_id)


def _text(raw: bytes) -> str:
    encodings = ["utf-16"] if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise UnreadableFileError("The file is no text: send the CSV as UTF-8, UTF-16 with its mark, or Windows-1252.")


def _delimiter(text: str, columns: Columns) -> str:
    if columns.delimiter != "auto":
        return columns.delimiter
    first = next((line for line in text[:100_000].splitlines() if line.strip()), "")
    return max(DELIMITERS, key=first.count) if any(sign in first for sign in DELIMITERS) else ";"


def _lines(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str] | RowRefused]]:
    """Each row with the number of the line on which it ends."""
    for _ in range(MAX_ROWS):
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield reader.line_num, RowRefused("the row cannot be read: a quote is missing, or a cell is too long")  # type: ignore[attr-defined]  # csv's reader has it
            continue
        yield reader.line_num, cells  # type: ignore[attr-defined]  # as above
    raise UnreadableFileError(f"The file has more than {MAX_ROWS} rows: split it.")


def _places(head: list[str], columns: Columns) -> dict[str, int]:
    """Where each column stands: our name → index. The needed ones must be there."""
    found = {name.strip().casefold(): index for index, name in reversed(list(enumerate(head)))}
    wanted = {
        name: getattr(columns, name)
        for name in ("reference", "amount", "date", "currency", "kind", "fee", "merchant_id", "row_id")
    } | {f"other {n}": name for n, name in enumerate(columns.other_references)}
    places = {
        ours: found[theirs.strip().casefold()] for ours, theirs in wanted.items() if theirs.strip().casefold() in found
    }
    needed = ["reference", "amount", "date", *([] if columns.currency_is else ["currency"])]
    if missing := [f"{name} ({wanted[name]!r})" for name in needed if name not in places]:
        raise UnreadableFileError(
            f"The first row names no column for {', '.join(missing)}: change the mapping of this account, or the file."
        )
    return places


def _said(line: int, cells: list[str], places: dict[str, int], columns: Columns) -> Said:
    def cell(name: str) -> str:
        at = places.get(name, -1)
        return cells[at].strip() if 0 <= at < len(cells) else ""

    if len(cells) < max(places.values()) + 1:
        raise RowRefused("it has fewer cells than the first row")
    currency = (cell("currency") or columns.currency_is).upper()
    try:
        decimals = exponent(currency)
    except ValueError:
        raise RowRefused("the currency is no ISO 4217 code that is known") from None
    amount = _minor(cell("amount"), decimals, columns, "amount")
    kind = _kind(cell("kind"), columns) if "kind" in places else None
    if kind is None:
        kind = SettlementKind.SALE if amount >= 0 else SettlementKind.REFUND
    elif kind is SettlementKind.SALE and amount < 0:
        raise RowRefused("a sale cannot be negative: is it a refund or a chargeback?")
    fee = _minor(cell("fee"), decimals, columns, "fee") if cell("fee") else None
    return Said(
        line=line,
        kind=kind,
        amount_minor=abs(amount),
        fee_minor=None if fee is None else abs(fee),
        currency=currency,
        settled_on=_date(cell("date"), columns),
        references=[cell("reference"), *(cell(name) for name in places if name.startswith("other "))],
        merchant_id=cell("merchant_id"),
        own_id=cell("row_id"),
    )


def _kind(word: str, columns: Columns) -> SettlementKind | None:
    folded = word.casefold()
    own = {name.strip().casefold(): kind for name, kind in columns.kinds.items()}
    if not folded:
        return None
    if folded in own:
        return SettlementKind(own[folded])
    if folded in KINDS:
        return KINDS[folded]
    raise RowRefused("its kind is a word that the mapping does not know; add it to kinds")


def _date(text: str, columns: Columns) -> date:
    try:
        if columns.date_format == "iso":
            return datetime.fromisoformat(text).date()
        return datetime.strptime(text, columns.date_format).date()  # noqa: DTZ007 - a day, without a time
    except ValueError:
        raise RowRefused(f"the date is not written as the mapping says ({columns.date_format})") from None


def _minor(text: str, decimals: int, columns: Columns, what: str) -> int:
    """An amount in minor units: 1 234,56 · 1.234,56 · 1,234.56 · 12.34- . Nothing is rounded, nothing is guessed."""
    bare = _GROUPS.sub("", text)
    sign = -1 if bare.startswith(("-", "\u2212")) or bare.endswith("-") else 1
    bare = bare.strip("+-\u2212")
    if not re.fullmatch(r"[0-9]+(?:[.,][0-9]+)*", bare, re.ASCII) or len(bare) > 24:
        raise RowRefused(f"the {what} is no figure")
    if columns.in_minor_units:
        if not bare.isdecimal():
            raise RowRefused(f"the {what} is to be in minor units, says the mapping, and has a decimal sign")
        return sign * int(bare)
    point = _decimal_sign(bare, columns.decimal, what)
    whole, _, part = bare.rpartition(point) if point and point in bare else (bare, "", "")
    if not re.fullmatch(r"[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:\.[0-9]{3})+", whole, re.ASCII) or (
        point and point in whole
    ):
        raise RowRefused(f"the {what} has several decimal signs, or groups that are no thousands")
    whole = whole.replace(",", "").replace(".", "")
    part = part.rstrip("0")
    if len(part) > decimals:
        raise RowRefused(f"the {what} has more decimals than its currency")
    return sign * int(Decimal(f"{whole}.{part or 0}").scaleb(decimals))


def _decimal_sign(bare: str, given: DecimalSign, what: str) -> str:
    """Which sign separates decimals; "" where none does."""
    if given != "auto":
        return given
    signs = [sign for sign in bare if sign in ".,"]
    if not signs:
        return ""
    if len(set(signs)) == 2:
        return signs[-1]  # 1.234,56
    if len(signs) > 1:
        return "." if signs[0] == "," else ","  # 1,234,567: the one sign that groups
    if len(bare.rpartition(signs[0])[2]) == 3:
        raise RowRefused(f"the {what} can be read in two ways: set decimal in the mapping")
    return signs[0]
