"""The session report of an owner: JSON by page, CSV and XLSX as files."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import Field

from billing.cost_json import cost_to_json
from billing.way import Way
from csms.payouts import session_report as report
from csms.payouts.session_report import Processor, ReportedSession, ReportWanted
from csms.payouts.session_report_table import CsvReport, XlsxReport
from csms.terminals import owners
from csms.terminals.owners import Owner
from csms.web.api.operation import ApiCall, Body, Resource, Shown
from csms.web.api.owners import no_owner
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from storage.engine import reading

resource = Resource("session report")

#: The longest period, days; and how many sessions go into one file.
LONGEST = 400
MOST = 200_000
_PIECE = 256 * 1024


class ReportFilter(Body):
    """Which sessions."""

    first_day: date = Field(description="First day, in the owner's time zone.")
    last_day: date = Field(description="Last day, included.")
    site: str | None = Field(None, max_length=60, description="Only at stations that stand there now.")
    station_id: str | None = Field(None, max_length=48, description="Only at this station.")
    terminal: str | None = Field(None, max_length=40, description="Only at this terminal, by its serial number.")
    processor: Processor | None = Field(None, description="Only what this one collects.")
    way: Way | None = Field(None, description="Only those paid this way.")


class ReportPage(PageQuery, ReportFilter):
    """Which sessions, by page."""


class PriceLineShown(Shown):
    """A line of a price, VAT included."""

    dimension: str
    quantity: Decimal
    unit: str
    unit_price: Decimal = Field(description="Major units.")
    vat_percent: Decimal | None
    amount_minor: int


class VatShown(Shown):
    """What was sold at one VAT rate; null: no VAT applies."""

    vat_percent: Decimal | None
    net_minor: int
    vat_minor: int
    gross_minor: int


class Amounts(Shown):
    """Energy and money, in minor units. Fees are without VAT, by the terms in force."""

    energy_wh: int
    net_minor: int
    vat_minor: int
    gross_minor: int = Field(description="What was sold, VAT included.")
    captured_minor: int = Field(description="Collected from a card.")
    refunded_minor: int = Field(description="Given back since.")
    written_off_minor: int = Field(description="Delivered, and not collected.")
    fee_minor: int = Field(description="What the platform takes.")
    fee_vat_minor: int = Field(description="VAT on top of that.")


class ReportedShown(Amounts):
    """A charge that was settled in the period."""

    session_id: str
    settled_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    site: str | None = Field(description="Where the station stands now.")
    station_id: str
    evse_id: int | None
    terminal: str | None
    processor: Processor
    way: Way
    receipt: int | None = Field(description="Number, in its issuer's series.")
    currency: str
    lines: list[PriceLineShown]
    vat: list[VatShown]


class WayTotalShown(Amounts):
    """All charges paid one way, in one currency."""

    way: Way
    currency: str
    sessions: int
    vat: list[VatShown]


class TotalsShown(Shown):
    """The whole report, added up."""

    since: datetime
    until: datetime = Field(description="Not included.")
    ways: list[WayTotalShown]


@resource.get("/owners/{owner_id}/session-report", Page[ReportedShown], query=ReportPage, owners=True)
async def get_session_report(call: ApiCall) -> Page[ReportedShown]:
    """Show the charges that were settled in a period, in the order of settlement."""
    wanted, owner = await _wanted(call)
    async with reading(call.api.engine) as connection:
        query = report.report_query(wanted)
        return await fetch_page(
            connection, query, report.KEYS, call.query, lambda row: _shown(report.reported(row, owner))
        )


@resource.get("/owners/{owner_id}/session-report/totals", TotalsShown, query=ReportFilter, owners=True, errors=(413,))
async def get_session_report_totals(call: ApiCall) -> TotalsShown:
    """Add the report up, by way of paying and VAT rate."""
    wanted, owner = await _wanted(call)
    await _not_too_many(call, wanted)
    found = await report.totals(call.api.engine, wanted, owner)
    return TotalsShown(
        since=wanted.since,
        until=wanted.until,
        ways=[
            WayTotalShown(
                way=total.way,
                currency=total.currency,
                sessions=total.sessions,
                **total.sums,
                vat=[
                    VatShown(vat_percent=rate, net_minor=net, vat_minor=vat, gross_minor=gross)
                    for rate, (net, vat, gross) in total.rates.items()
                ],
            )
            for total in found.ways()
        ],
    )


@resource.get(
    "/owners/{owner_id}/session-report.csv",
    None,
    query=ReportFilter,
    owners=True,
    errors=(413,),
    content_type="text/csv",
)
async def get_session_report_csv(call: ApiCall) -> web.StreamResponse:
    """Write the report as CSV: charges, each with its price lines and VAT rates, then totals; see `record`."""
    wanted, owner = await _wanted(call)
    await _not_too_many(call, wanted)
    written, totals = CsvReport(ZoneInfo(owner.time_zone)), report.Totals()
    response = _file(call, "csv", "text/csv")
    await response.prepare(call.request)
    async for chunk in report.chunks(call.api.engine, wanted, owner):
        for session in chunk:
            totals.add(session)
        await response.write(written.add(chunk))
    await response.write(written.end(totals))
    await response.write_eof()
    return response


@resource.get(
    "/owners/{owner_id}/session-report.xlsx",
    None,
    query=ReportFilter,
    owners=True,
    errors=(413,),
    content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
)
async def get_session_report_xlsx(call: ApiCall) -> web.StreamResponse:
    """Write the report as a workbook: charges, price lines, VAT, and totals, a sheet each."""
    wanted, owner = await _wanted(call)
    await _not_too_many(call, wanted)
    written, totals = XlsxReport(ZoneInfo(owner.time_zone)), report.Totals()
    async for chunk in report.chunks(call.api.engine, wanted, owner):
        for session in chunk:
            totals.add(session)
        await asyncio.to_thread(written.add, chunk)
    with tempfile.TemporaryFile() as file:
        await asyncio.to_thread(written.end, totals, file)
        file.seek(0)
        response = _file(call, "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
        await response.prepare(call.request)
        while piece := await asyncio.to_thread(file.read, _PIECE):
            await response.write(piece)
        await response.write_eof()
    return response


async def _wanted(call: ApiCall) -> tuple[ReportWanted, Owner]:
    asked: Any = call.query
    async with reading(call.api.engine) as connection:
        owner = await owners.find(connection, call.path["owner_id"])
    if owner is None:
        raise no_owner()
    if (asked.last_day - asked.first_day).days >= LONGEST:
        raise Problem(400, f"Ask for at most {LONGEST} days at a time.")
    try:
        since, until = report.period(asked.first_day, asked.last_day, ZoneInfo(owner.time_zone))
    except ValueError as error:
        raise Problem(400, str(error)) from None
    wanted = ReportWanted(
        owner_id=owner.owner_id,
        since=since,
        until=until,
        site=asked.site,
        station_id=asked.station_id,
        terminal_serial=asked.terminal,
        processor=asked.processor,
        way=asked.way,
    )
    return wanted, owner


async def _not_too_many(call: ApiCall, wanted: ReportWanted) -> None:
    found = await report.count(call.api.engine, wanted)
    if found > MOST:
        raise Problem(413, f"These are {found} sessions; at most {MOST} go into one report. Ask for fewer days.")


def _file(call: ApiCall, ending: str, content_type: str) -> web.StreamResponse:
    asked: ReportFilter = call.query
    name = f"sessions-{call.path['owner_id']}-{asked.first_day}-{asked.last_day}.{ending}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    response.content_type = content_type
    if content_type.startswith("text/"):
        response.charset = "utf-8"
    return response


def _shown(session: ReportedSession) -> ReportedShown:
    cost = cost_to_json(session.cost)
    same = ("session_id", "started_at", "ended_at", "site", "station_id", "evse_id", "processor", "way")
    return ReportedShown.model_validate(
        {name: getattr(session, name) for name in same}
        | report.amounts(session)
        | {
            "settled_at": session.closed_at,
            "terminal": session.terminal_serial,
            "receipt": session.receipt_number,
            "currency": session.cost.currency,
            "lines": cost["lines"],
            "vat": cost["vat"],
        }
    )
