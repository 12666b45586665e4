"""The receipt as one page of PDF (A4), with a QR code that leads to its page. Same document, same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any
from unicodedata import normalize
from xml.sax.saxutils import escape

import segno
from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, KeepInFrame, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from billing.receipt import SalesDocument
from billing.receipt_view import ReceiptView, Row, receipt_view
from billing.words import words

# Bitstream Vera comes with reportlab: it is embedded, so the page looks the same everywhere.
_REGULAR, _BOLD = "Vera", "VeraBd"
_INK, _QUIET, _RULE, _ACCENT = HexColor("#16211d"), HexColor("#51605a"), HexColor("#d5dcd9"), HexColor("#0b6b4f")
_MARGIN = 18 * mm
_WIDTH = A4[0] - 2 * _MARGIN
_HEIGHT = A4[1] - 2 * _MARGIN
_QR_SIDE = 32 * mm


def _fonts() -> TTFont:
    """Register the fonts, once; the regular one is returned."""
    for name in (_REGULAR, _BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    font = pdfmetrics.getFont(_REGULAR)
    assert isinstance(font, TTFont)  # noqa: S101 — registered above
    return font


def _style(name: str, size: float, **changes: Any) -> ParagraphStyle:
    defaults: dict[str, Any] = {"fontName": _REGULAR, "fontSize": size, "leading": size * 1.35, "textColor": _INK}
    return ParagraphStyle(name, **defaults | changes)


_BODY = _style("body", 8.5)
_LABEL = _style("label", 8, textColor=_QUIET)
_AMOUNT = _style("amount", 8.5, alignment=TA_RIGHT)
_REFERENCE = _style("reference", 7, alignment=TA_RIGHT)  # 36 characters of a UUID on one line
_SMALL = _style("small", 7.5, textColor=_QUIET)
_HEADING = _style("heading", 9.5, fontName=_BOLD, spaceBefore=8, spaceAfter=2)
_TITLE = _style("title", 18, fontName=_BOLD)
_TOTAL = _style("total", 11, fontName=_BOLD)
_TOTAL_AMOUNT = _style("total-amount", 11, fontName=_BOLD, alignment=TA_RIGHT)
_NOTE = _style("note", 8.5, borderPadding=(2, 0, 2, 6), leftIndent=6, spaceBefore=4, spaceAfter=2)

_RULED = TableStyle(
    [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    ]
)


def printable(text: str) -> str:
    """The text with characters the font lacks replaced by their base letter, or by ``?``: no empty boxes."""
    glyphs = _fonts().face.charToGlyph
    shown = []
    for character in text:
        bases = [character, *normalize("NFKD", character)]
        shown.append(next((base for base in bases if ord(base) in glyphs), "?"))
    return "".join(shown)


def _paragraph(text: str, style: ParagraphStyle = _BODY) -> Paragraph:
    return Paragraph(escape(printable(text)), style)


def _pairs(rows: Sequence[Row], width: float) -> list[Flowable]:
    if not rows:
        return []
    cells = [
        [_paragraph(label, _LABEL), _paragraph(value, _REFERENCE if len(value) > 30 else _AMOUNT)]
        for label, value in rows
    ]
    return [Table(cells, colWidths=[width * 0.36, width * 0.64], style=_RULED, hAlign="LEFT")]


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
                bar.fillColor, bar.strokeColor = _INK, None
                drawing.add(bar)
            column = max(run, column + 1)
    return [drawing]


def _price(view: ReceiptView, language: str) -> list[Flowable]:
    text = words(language)
    cells = [
        [_paragraph(line.label), _paragraph(line.detail, _SMALL), _paragraph(line.amount, _AMOUNT)]
        for line in view.lines
    ]
    cells.append([_paragraph(text["total"], _TOTAL), _paragraph("", _SMALL), _paragraph(view.total, _TOTAL_AMOUNT)])
    flow: list[Flowable] = [
        Table(cells, colWidths=[_WIDTH * 0.32, _WIDTH * 0.43, _WIDTH * 0.25], style=_RULED),
        _paragraph(text["incl_vat"], _SMALL),
    ]
    if view.vat:
        heads = [text["vat_rate"], text["net"], text["vat"], text["gross"]]
        right = _style("small-right", 7.5, textColor=_QUIET, alignment=TA_RIGHT)
        rates = [[_paragraph(head, right if heads.index(head) else _SMALL) for head in heads]]
        for line in view.vat:
            amounts = (line.net, line.vat, line.gross)
            rates.append([_paragraph(line.rate), *(_paragraph(amount, _AMOUNT) for amount in amounts)])
        flow += [Spacer(0, 4), Table(rates, colWidths=[_WIDTH / 4] * 4, style=_RULED)]
    return flow


def _story(view: ReceiptView, language: str) -> list[Flowable]:
    text = words(language)
    column = _WIDTH / 2 - 4 * mm
    seller = [_paragraph(view.title, _TITLE), Spacer(0, 4), _paragraph(view.seller, _TOTAL)]
    seller += [_paragraph(line) for line in view.address]
    plain = TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0),
                        ("RIGHTPADDING", (0, 0), (-1, -1), 0), ("ALIGN", (1, 0), (1, 0), "RIGHT")])  # fmt: skip
    head = Table([[seller, _qr(view.url) if view.url else ""]], colWidths=[_WIDTH - _QR_SIDE, _QR_SIDE], style=plain)
    about = [*_pairs((*view.document_rows, *view.seller_rows), column)]
    charge = [_paragraph(text["charging"], _HEADING), *_pairs(view.charge_rows, column)]
    payment = [_paragraph(text["payment"], _HEADING), *_pairs((*view.payment_rows, *view.card_rows), column)]
    columns = Table([[charge, "", payment]], colWidths=[column, 8 * mm, column], style=plain)
    story: list[Flowable] = [head, Spacer(0, 6), *about, _paragraph(text["price"], _HEADING), *_price(view, language)]
    story += [columns, Spacer(0, 4)]
    story += [_paragraph(note, _NOTE) for note in (view.payment_note, *view.notes)]
    if view.url:
        story += [Spacer(0, 6), _paragraph(f"{text['link']}:", _SMALL), _paragraph(view.url, _SMALL)]
    return story


def render_pdf(document: SalesDocument, language: str) -> bytes:
    """The document on one A4 page in en or nb; what is too long for the page is shrunk to fit."""
    _fonts()
    view = receipt_view(document, language)
    target = BytesIO()
    pages = SimpleDocTemplate(
        target,
        pagesize=A4,
        leftMargin=_MARGIN - 6,  # a frame pads its content by 6 points
        rightMargin=_MARGIN - 6,
        topMargin=_MARGIN - 6,
        bottomMargin=_MARGIN - 6,
        title=f"{view.title} {document.number or ''}".strip(),
        author=view.seller,
        lang=view.language,
        invariant=1,
    )
    pages.build([KeepInFrame(_WIDTH, _HEIGHT, _story(view, language), mode="shrink")])
    return target.getvalue()
