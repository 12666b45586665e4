"""The statement as CSV: one row a line of it, amounts in major units, for a spreadsheet or a bookkeeping system."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from billing.cost import VatLine
from billing.money import to_major
from billing.statement import EntryKind, Statement

COLUMNS = ("statement", "section", "name", "vat_percent", "count", "net", "vat", "amount", "currency", "booked_at")


def statement_csv(statement: Statement) -> str:
    """All of it. The rows of sales, refunds, fees and items add up, with the opening balance, to the balance."""
    target = io.StringIO()
    writer = csv.DictWriter(target, COLUMNS)
    writer.writeheader()
    for row in _rows(statement):
        writer.writerow({"statement": statement.statement_id, "currency": statement.currency} | row)
    return target.getvalue()


def _rows(s: Statement) -> Iterator[dict[str, str]]:
    def money(amount_minor: int) -> str:
        return f"{to_major(amount_minor, s.currency):f}"

    def vat_row(section: str, name: str, line: VatLine, sign: int) -> dict[str, str]:
        return {
            "section": section,
            "name": name,
            "vat_percent": "" if line.vat_percent is None else str(line.vat_percent),
            "net": money(sign * line.net_minor),
            "vat": money(sign * line.vat_minor),
            "amount": money(sign * line.gross_minor),
        }

    yield {"section": "opening", "amount": money(s.opening_minor)}
    for way in s.ways:
        if way.sessions or way.refunds:
            yield {"section": "sessions", "name": way.way.value, "count": str(way.sessions)}
        for line in way.vat:
            yield vat_row("sales", way.way.value, line, 1)
        for line in way.refund_vat:
            yield vat_row("refunds", way.way.value, line, -1)
    fees = s.fees
    for name, count, amount_minor in (
        ("fixed", fees.sessions, fees.fixed_minor),
        ("percent", fees.sessions, fees.percent_minor),
        ("facilitation", fees.facilitated_sessions, fees.facilitation_minor),
    ):
        if amount_minor:
            yield {"section": "fees", "name": name, "count": str(count), "amount": money(-amount_minor)}
    if fees.vat_minor:
        rate = str(fees.vat_percent)
        yield {"section": "fees", "name": "vat", "vat_percent": rate, "amount": money(-fees.vat_minor)}
    for item in s.items:
        yield {
            "section": "corrections" if item.kind is EntryKind.CORRECTION else f"{item.kind}",
            "name": item.booked,
            "amount": money(item.amount_minor),
            "booked_at": item.booked_at.isoformat(),
        }
    yield {"section": "balance", "amount": money(s.balance_minor)}
    yield {"section": "payout", "amount": money(s.payout_minor)}
    yield {"section": "carried", "amount": money(s.carried_minor)}
    if s.facilitated_minor:
        yield {
            "section": "own processor",
            "count": str(fees.facilitated_sessions),
            "amount": money(s.facilitated_minor),
        }
