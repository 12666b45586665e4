"""The receipt as plain text, at most 48 columns wide: for printers, terminals and the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap

from billing.receipt import SalesDocument
from billing.receipt_view import Row, receipt_view
from billing.words import words

WIDTH = 48


def _two_columns(left: str, right: str) -> Iterator[str]:
    """Left and right on one line if they fit, else the right one below, each wrapped where it is too long."""
    if len(left) + 1 + len(right) <= WIDTH:
        yield f"{left}{right:>{WIDTH - len(left)}}"
        return
    yield from wrap(left, WIDTH)
    yield from (f"{part:>{WIDTH}}" for part in wrap(right, WIDTH))


def _rows(rows: Iterable[Row]) -> Iterator[str]:
    for label, value in rows:
        yield from _two_columns(label, value)


def _lines(document: SalesDocument, language: str) -> Iterator[str]:
    view, text = receipt_view(document, language), words(language)
    rule = "-" * WIDTH
    yield from (
        part.center(WIDTH).rstrip() for line in (view.title, view.seller, *view.address) for part in wrap(line, WIDTH)
    )
    yield ""
    yield from _rows((*view.seller_rows, *view.document_rows))
    yield rule
    yield from _rows(view.charge_rows)
    yield rule
    for line in view.lines:
        yield from _two_columns(line.label, line.amount)
        yield from (f"  {part}" for part in wrap(line.detail, WIDTH - 2))
    yield "=" * WIDTH
    yield from _two_columns(text["total"].upper(), view.total)
    for vat in view.vat:
        yield from _two_columns(f"{text['vat']} {vat.rate}", vat.vat)
        yield from _two_columns(f"  {text['net']}", vat.net)
    yield rule
    yield from _rows((*view.payment_rows, *view.card_rows))
    yield ""
    for paragraph in (view.payment_note, *view.notes):
        yield from wrap(paragraph, WIDTH)
    if view.url:
        yield ""
        yield from wrap(view.url, WIDTH)


def render_text(document: SalesDocument, language: str) -> str:
    """The whole document in lines of at most 48 characters."""
    return "\n".join(_lines(document, language)) + "\n"
