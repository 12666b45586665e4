"""The receipt as one page of PDF (A4), with a QR code that leads to its page. Same document, same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import segno
from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepInFrame, Spacer, Table, TableStyle

from billing.pdf_style import (
    AMOUNT,
    HEADING,
    HEIGHT,
    INK,
    LABEL,
    MARGIN,
    NOTE,
    QUIET,
    REFERENCE,
    RULED,
    SMALL,
    TITLE,
    TOTAL,
    TOTAL_AMOUNT,
    WIDTH,
    fonts,
    pages,
    paragraph,
    style,
)
from billing.receipt import SalesDocument
from billing.receipt_view import ReceiptView, Row, receipt_view
from billing.words import words

_QR_SIDE = 32 * mm


def _pairs(rows: Sequence[Row], width: float) -> list[Flowable]:
    if not rows:
        return []
    cells = [
        [paragraph(label, LABEL), paragraph(value, REFERENCE if len(value) > 30 else AMOUNT)] for label, value in rows
    ]
    return [Table(cells, colWidths=[width * 0.36, width * 0.64], style=RULED, hAlign="LEFT")]


def _qr(url: str) -> list[Flowable]:
    """The address as a QR code, drawn as vectors: one rectangle per run of dark modules."""
    code = segno.make(url, error="m", micro=False)
    rows = [list(row) for row in code.matrix]
    module = _QR_SIDE / len(rows)
    drawing = Drawing(_QR_SIDE, _QR_SIDE)
    for number, row in enumerate(rows):
        column = 0
        while column < len(row):
            run = column
            while run < len(row) and row[run]:
                run += 1
            if run > column:
                top = _QR_SIDE - (number + 1) * module
                bar = Rect(column * module, top, (run - column) * module, module)
                bar.fillColor, bar.strokeColor = INK, None
                drawing.add(bar)
            column = max(run, column + 1)
    return [drawing]


def _price(view: ReceiptView, language: str) -> list[Flowable]:
    text = words(language)
    cells = [
        [paragraph(line.label), paragraph(line.detail, SMALL), paragraph(line.amount, AMOUNT)] for line in view.lines
    ]
    cells.append([paragraph(text["total"], TOTAL), paragraph("", SMALL), paragraph(view.total, TOTAL_AMOUNT)])
    flow: list[Flowable] = [
        Table(cells, colWidths=[WIDTH * 0.32, WIDTH * 0.43, WIDTH * 0.25], style=RULED),
        paragraph(text["incl_vat"], SMALL),
    ]
    if view.vat:
        heads = [text["vat_rate"], text["net"], text["vat"], text["gross"]]
        right = style("small-right", 7.5, textColor=QUIET, alignment=TA_RIGHT)
        rates = [[paragraph(head, right if heads.index(head) else SMALL) for head in heads]]
        for line in view.vat:
            amounts = (line.net, line.vat, line.gross)
            rates.append([paragraph(line.rate), *(paragraph(amount, AMOUNT) for amount in amounts)])
        flow += [Spacer(0, 4), Table(rates, colWidths=[WIDTH / 4] * 4, style=RULED)]
    return flow


def _story(view: ReceiptView, language: str) -> list[Flowable]:
    text = words(language)
    column = WIDTH / 2 - 4 * mm
    seller = [paragraph(view.title, TITLE), Spacer(0, 4), paragraph(view.seller, TOTAL)]
    seller += [paragraph(line) for line in view.address]
    plain = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0),
                        ("RIGHTPADDING", (0, 0), (-1, -1), 0), ("ALIGN", (1, 0), (1, 0), "RIGHT")])  # fmt: skip
    head = Table([[seller, _qr(view.url) if view.url else ""]], colWidths=[WIDTH - _QR_SIDE, _QR_SIDE], style=plain)
    about = [*_pairs((*view.document_rows, *view.seller_rows), column)]
    charge = [paragraph(text["charging"], HEADING), *_pairs(view.charge_rows, column)]
    payment = [paragraph(text["payment"], HEADING), *_pairs((*view.payment_rows, *view.card_rows), column)]
    columns = Table([[charge, "", payment]], colWidths=[column, 8 * mm, column], style=plain)
    story: list[Flowable] = [head, Spacer(0, 6), *about, paragraph(text["price"], HEADING), *_price(view, language)]
    story += [columns, Spacer(0, 4)]
    story += [paragraph(note, NOTE) for note in (view.payment_note, *view.notes)]
    if view.url:
        story += [Spacer(0, 6), paragraph(f"{text['link']}:", SMALL), paragraph(view.url, SMALL)]
    return story


def render_pdf(document: SalesDocument, language: str) -> bytes:
    """The document on one A4 page in en or nb; what is too long for the page is shrunk to fit."""
    fonts()
    view = receipt_view(document, language)
    target = BytesIO()
    document_pages = pages(
        target,
        title=f"{view.title} {document.number or ''}".strip(),
        author=view.seller,
        language=view.language,
        bottom=MARGIN - 6,
    )
    document_pages.build([KeepInFrame(WIDTH, HEIGHT, _story(view, language), mode="shrink")])
    return target.getvalue()
