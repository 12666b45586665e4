"""A statement in words: what the PDF says, before anything lays it out. English and Norwegian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from billing.cost import VatLine
from billing.money import format_money
from billing.receipt import Issuer
from billing.receipt_view import Row, format_moment, format_rate
from billing.statement import EntryKind, Statement
from billing.words import words

#: How many items of one kind are shown one by one; the JSON and the CSV have them all.
ITEMS_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: heads, rows of cells, and whether the last row is a sum. The first column is text, the rest amounts."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    summed: bool = False


@dataclass(frozen=True, slots=True)
class StatementView:
    """A statement's words in the order in which they are shown."""

    language: str
    title: str
    platform: tuple[str, ...]
    owner: tuple[str, ...]
    about: tuple[Row, ...]
    grids: tuple[Grid, ...]
    balance: tuple[Row, ...]
    result: Row
    notes: tuple[str, ...]


def statement_view(statement: Statement, language: str) -> StatementView:
    """The statement in the words of ``language`` (en or nb; English otherwise)."""
    text = words(language)
    s = statement

    def money(amount_minor: int) -> str:
        return format_money(amount_minor, s.currency, language)

    title = text["statement" if s.closed_at else "statement_preview"]
    last = s.period_end - timedelta(seconds=1)
    about = (
        (text["number"], s.statement_id),
        (text["issued_at"], format_moment(s.closed_at, s.time_zone, language) if s.closed_at else ""),
        (text["period_from"], format_moment(s.period_start, s.time_zone, language)),
        (text["period_to"], format_moment(last, s.time_zone, language)),
        (text["time_zone"], s.time_zone),
        (text["currency"], s.currency),
    )
    sums = {kind: s.items_minor(kind) for kind in EntryKind}
    balance = (
        (text["carried_from"], money(s.opening_minor)),
        (text["sales"], money(s.gross_minor)),
        (text["refunds"], money(-s.refunded_minor)),
        (text["fees_with_vat"], money(-s.fees.total_minor)),
        (text["licences"], money(sums[EntryKind.LICENCE])),
        (text["returned_payouts"], money(sums[EntryKind.RETURNED])),
        (text["corrections"], money(sums[EntryKind.CORRECTION])),
        (text["balance"], money(s.balance_minor)),
        (text["carried_to"], money(s.carried_minor)),
    )
    grids = (_ways(s, language), _vat(s, language), _fees(s, language), *_items(s, language))
    notes = [text["minimum_payout"].format(amount=money(s.minimum_payout_minor))] if s.minimum_payout_minor else []
    notes += [text["refunds_keep_fees"]] if s.refunded_minor else []
    if s.facilitated_minor:
        notes.append(text["facilitated_note"].format(amount=money(s.facilitated_minor)))
    return StatementView(
        language="nb" if language == "nb" else "en",
        title=title,
        platform=_party(s.platform),
        owner=_party(s.owner),
        about=tuple(row for row in about if row[1]),
        grids=tuple(grid for grid in grids if grid.rows),
        balance=balance,
        result=(text["payout"], money(s.payout_minor)),
        notes=tuple(notes),
    )


def _party(party: Issuer) -> tuple[str, ...]:
    lines = (party.name, *party.address, party.country, party.organisation_number, party.vat_number)
    return tuple(line for line in lines if line)


def _ways(s: Statement, language: str) -> Grid:
    text = words(language)
    shown = [way for way in s.ways if way.sessions or way.gross_minor or way.refunds]
    rows = [
        (
            text[f"way_{way.way}"],
            str(way.sessions),
            format_money(way.gross_minor, s.currency, language),
            str(way.refunds),
            format_money(-way.refunded_minor, s.currency, language),
        )
        for way in shown
    ]
    if len(rows) > 1:
        rows.append(
            (
                text["total"],
                str(sum(way.sessions for way in shown)),
                format_money(s.gross_minor, s.currency, language),
                str(sum(way.refunds for way in shown)),
                format_money(-s.refunded_minor, s.currency, language),
            )
        )
    heads = (text["way"], text["sessions"], text["sales"], text["refund_count"], text["refunds"])
    return Grid(text["sales_by_way"], heads, tuple(rows), summed=len(rows) > 1)


def _vat(s: Statement, language: str) -> Grid:
    text = words(language)
    rows: list[tuple[str, ...]] = []
    for way in s.ways:
        rows += _vat_rows(f"{text[f'way_{way.way}']}, ", way.vat, 1, s.currency, language)
        rows += _vat_rows(
            f"{text[f'way_{way.way}']}, {text['refunds'].lower()}, ", way.refund_vat, -1, s.currency, language
        )
    heads = (text["vat_rate"], text["net"], text["vat"], text["gross"])
    return Grid(text["vat_of_sales"], heads, tuple(rows))


def _vat_rows(prefix: str, lines: Sequence[VatLine], sign: int, currency: str, language: str) -> list[tuple[str, ...]]:
    return [
        (
            prefix + format_rate(line.vat_percent, language),
            *(
                format_money(sign * amount, currency, language)
                for amount in (line.net_minor, line.vat_minor, line.gross_minor)
            ),
        )
        for line in lines
    ]


def _fees(s: Statement, language: str) -> Grid:
    text, fees = words(language), s.fees
    wanted = (
        (text["fee_fixed"], str(fees.sessions), fees.fixed_minor),
        (text["fee_percent"], str(fees.sessions), fees.percent_minor),
        (text["fee_facilitation"], str(fees.facilitated_sessions), fees.facilitation_minor),
        (f"{text['vat']} {format_rate(fees.vat_percent, language)}", "", fees.vat_minor),
    )
    rows = [(name, count, format_money(minor, s.currency, language)) for name, count, minor in wanted if minor]
    if rows:
        rows.append((text["total"], "", format_money(fees.total_minor, s.currency, language)))
    return Grid(text["fees"], (text["item"], text["sessions"], text["amount"]), tuple(rows), summed=bool(rows))


def _items(s: Statement, language: str) -> list[Grid]:
    text = words(language)
    grids = []
    for kind, name in (
        (EntryKind.LICENCE, "licences"),
        (EntryKind.RETURNED, "returned_payouts"),
        (EntryKind.CORRECTION, "corrections"),
    ):
        items = [item for item in s.items if item.kind is kind]
        rows = [
            (
                item.booked,
                format_moment(item.booked_at, s.time_zone, language),
                format_money(item.amount_minor, s.currency, language),
            )
            for item in items[:ITEMS_SHOWN]
        ]
        if len(items) > ITEMS_SHOWN:
            rest = sum(item.amount_minor for item in items[ITEMS_SHOWN:])
            more = text["and_more"].format(count=len(items) - ITEMS_SHOWN)
            rows.append((more, "", format_money(rest, s.currency, language)))
        grids.append(Grid(text[name], (text["item"], text["booked_at"], text["amount"]), tuple(rows)))
    return grids
