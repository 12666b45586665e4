"""The statement as PDF (A4), as many pages as it takes. Same statement, same bytes."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Spacer, Table, TableStyle

from billing.pdf_style import (
    ACCENT,
    AMOUNT,
    BOLD,
    HEADING,
    LABEL,
    MARGIN,
    NOTE,
    QUIET,
    RULED,
    SMALL,
    TITLE,
    TOTAL,
    TOTAL_AMOUNT,
    WIDTH,
    fonts,
    pages,
    paragraph,
    printable,
    style,
)
from billing.statement import Statement
from billing.statement_view import Grid, StatementView, statement_view
from billing.words import words

_HEAD_RIGHT = style("head-right", 7.5, textColor=QUIET, alignment=TA_RIGHT)
_SUM = style("sum", 8.5, fontName=BOLD)
_SUM_AMOUNT = style("sum-amount", 8.5, fontName=BOLD, alignment=TA_RIGHT)
_PARTY = style("party", 8.5)
_PLAIN = TableStyle(
    [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0)]
)
_RESULT = TableStyle(
    [*RULED.getCommands(), ("LINEABOVE", (0, 0), (-1, 0), 1, ACCENT), ("TOPPADDING", (0, 0), (-1, -1), 4)]
)


def render_statement_pdf(statement: Statement, language: str) -> bytes:
    """The statement in en or nb."""
    fonts()
    view = statement_view(statement, language)
    target = BytesIO()
    document_pages = pages(
        target,
        title=f"{view.title} {statement.statement_id}".strip(),
        author=statement.platform.name,
        language=view.language,
        bottom=MARGIN,
    )

    def number(canvas: Any, document: Any) -> None:
        canvas.setFont("Vera", 7)
        canvas.setFillColor(QUIET)
        canvas.drawRightString(A4[0] - MARGIN, 10 * mm, f"{statement.statement_id}  {document.page}".strip())
        canvas.drawString(MARGIN, 10 * mm, printable(statement.platform.name))

    document_pages.build(_story(view), onFirstPage=number, onLaterPages=number)
    return target.getvalue()


def _story(view: StatementView) -> list[Flowable]:
    text = words(view.language)
    half = WIDTH / 2 - 4 * mm
    owner = [paragraph(text["for_owner"], LABEL), *(paragraph(line, _SUM if not n else _PARTY)
             for n, line in enumerate(view.owner))]  # fmt: skip
    platform = [paragraph(line, _SUM if not n else _PARTY) for n, line in enumerate(view.platform)]
    about = Table(
        [[paragraph(label, LABEL), paragraph(value, AMOUNT)] for label, value in view.about],
        colWidths=[half * 0.36, half * 0.64],
        style=RULED,
    )
    story: list[Flowable] = [
        Table([[[paragraph(view.title, TITLE), Spacer(0, 8), *platform], about]], colWidths=[half + 8 * mm, half],
              style=_PLAIN),
        Spacer(0, 6),
        *owner,
    ]  # fmt: skip
    rows = [[paragraph(label), paragraph(amount, AMOUNT)] for label, amount in view.balance]
    result = [[paragraph(view.result[0], TOTAL), paragraph(view.result[1], TOTAL_AMOUNT)]]
    widths = [WIDTH * 0.7, WIDTH * 0.3]
    settlement = [
        paragraph(text["settlement"], HEADING),
        Table(rows, colWidths=widths, style=RULED),
        Table(result, colWidths=widths, style=_RESULT),
        *(paragraph(note, NOTE) for note in view.notes),
    ]
    story.append(KeepTogether(settlement))
    for grid in view.grids:
        story += _grid(grid)
    return story


def _grid(grid: Grid) -> list[Flowable]:
    first = 0.4 if len(grid.heads) > 3 else 0.5
    widths = [WIDTH * first, *[WIDTH * (1 - first) / (len(grid.heads) - 1)] * (len(grid.heads) - 1)]
    cells = [[paragraph(head, _HEAD_RIGHT if n else SMALL) for n, head in enumerate(grid.heads)]]
    for number, row in enumerate(grid.rows):
        total = grid.summed and number == len(grid.rows) - 1
        left, right = (_SUM, _SUM_AMOUNT) if total else (_PARTY, AMOUNT)
        cells.append([paragraph(cell, right if n else left) for n, cell in enumerate(row)])
    table = Table(cells, colWidths=widths, style=RULED, repeatRows=1)
    if len(cells) > 20:
        return [paragraph(grid.title, HEADING), table]
    return [KeepTogether([paragraph(grid.title, HEADING), table])]
