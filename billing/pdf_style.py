"""How documents look as PDF: fonts, colours, margins, and paragraphs that never show an empty box."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from unicodedata import normalize
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, TableStyle

# Bitstream Vera comes with reportlab: it is embedded, so the page looks the same everywhere.
REGULAR, BOLD = "Vera", "VeraBd"
INK, QUIET, RULE, ACCENT = HexColor("#16211d"), HexColor("#51605a"), HexColor("#d5dcd9"), HexColor("#0b6b4f")
MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN
HEIGHT = A4[1] - 2 * MARGIN


def fonts() -> TTFont:
    """Register the fonts, once; the regular one is returned."""
    for name in (REGULAR, BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    font = pdfmetrics.getFont(REGULAR)
    assert isinstance(font, TTFont)  # noqa: S101 — registered above
    return font


def style(name: str, size: float, **changes: Any) -> ParagraphStyle:
    """A paragraph style; ``size`` in points."""
    defaults: dict[str, Any] = {"fontName": REGULAR, "fontSize": size, "leading": size * 1.35, "textColor": INK}
    return ParagraphStyle(name, **defaults | changes)


def pages(target: BytesIO, *, title: str, author: str, language: str, bottom: float) -> SimpleDocTemplate:
    """Pages of A4, the same bytes each time they are built. ``bottom``: the lower margin, in points."""
    return SimpleDocTemplate(
        target,
        pagesize=A4,
        leftMargin=MARGIN - 6,  # a frame pads its content by 6 points
        rightMargin=MARGIN - 6,
        topMargin=MARGIN - 6,
        bottomMargin=bottom,
        title=title,
        author=author,
        lang=language,
        invariant=1,
    )


BODY = style("body", 8.5)
LABEL = style("label", 8, textColor=QUIET)
AMOUNT = style("amount", 8.5, alignment=TA_RIGHT)
REFERENCE = style("reference", 7, alignment=TA_RIGHT)  # 36 characters of a UUID on one line
SMALL = style("small", 7.5, textColor=QUIET)
HEADING = style("heading", 9.5, fontName=BOLD, spaceBefore=8, spaceAfter=2)
TITLE = style("title", 18, fontName=BOLD)
TOTAL = style("total", 11, fontName=BOLD)
TOTAL_AMOUNT = style("total-amount", 11, fontName=BOLD, alignment=TA_RIGHT)
NOTE = style("note", 8.5, borderPadding=(2, 0, 2, 6), leftIndent=6, spaceBefore=4, spaceAfter=2)

RULED = TableStyle(
    [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
    ]
)


def printable(text: str) -> str:
    """The text with characters the font lacks replaced by their base letter, or by ``?``: no empty boxes."""
    glyphs = fonts().face.charToGlyph
    shown = []
    for character in text:
        bases = [character, *normalize("NFKD", character)]
        shown.append(next((base for base in bases if ord(base) in glyphs), "?"))
    return "".join(shown)


def paragraph(text: str, look: ParagraphStyle = BODY) -> Paragraph:
    """The text as it is: nothing in it is markup."""
    return Paragraph(escape(printable(text)), look)
