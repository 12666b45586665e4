"""A receipt in words: what the page, the PDF and the terminal's text all say, before any of them lays it out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing.cost import Adjustment, CostLine
from billing.money import format_money, format_number
from billing.pan import mask
from billing.price_text import currency_name, format_price
from billing.receipt import Buyer, CardPayment, DocumentKind, SalesDocument
from billing.tariff import Dimension
from billing.words import words

Row = tuple[str, str]  # label, value

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class LineRow:
    """One price line: what, how much of it at what price (empty for an adjustment), the amount."""

    label: str
    detail: str
    amount: str


@dataclass(frozen=True, slots=True)
class VatRow:
    """One VAT rate."""

    rate: str
    net: str
    vat: str
    gross: str


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """A receipt's words in the order in which they are shown."""

    language: str
    title: str
    seller: str
    seller_rows: tuple[Row, ...]
    address: tuple[str, ...]
    document_rows: tuple[Row, ...]
    charge_rows: tuple[Row, ...]
    lines: tuple[LineRow, ...]
    total: str
    vat: tuple[VatRow, ...]
    payment_rows: tuple[Row, ...]
    payment_note: str
    card_rows: tuple[Row, ...]
    notes: tuple[str, ...]
    url: str


def format_day(day: date, language: str) -> str:
    """A day: "23 Nov 2026", nb "23.11.2026"."""
    return f"{day:%d.%m.%Y}" if language == "nb" else f"{day.day} {_MONTHS[day.month - 1]} {day:%Y}"


def format_local(local: datetime, language: str, clock: str = "%H:%M") -> str:
    """An aware moment on the clock of its own zone: "23 Nov 2026 07:12 CET", nb "23.11.2026 07:12 CET"."""
    zone = local.strftime("%Z")
    if not zone.isalpha():  # zones without an abbreviation give +03
        zone = f"UTC{zone}"
    return f"{format_day(local, language)} {local.strftime(clock)} {zone}"


def format_moment(moment: datetime, time_zone: str, language: str) -> str:
    """An aware moment on the location's clock: "23 Nov 2026 07:12:05 CET", nb "23.11.2026 07:12:05 CET"."""
    return format_local(moment.astimezone(ZoneInfo(time_zone)), language, "%H:%M:%S")


def format_energy(energy_wh: int, language: str) -> str:
    """Wh as kWh with three decimals: "12.345 kWh"."""
    return f"{format_number(Decimal(energy_wh) / 1000, 3, language)} kWh"


def _quantity(line: CostLine, currency: str, language: str) -> str:
    if isinstance(line.dimension, Adjustment):
        return ""
    price = f"{format_price(line.unit_price, currency, language)} {currency_name(currency, language)}"
    if line.dimension is Dimension.FLAT:
        return f"{line.quantity.normalize():f} × {price}"
    decimals = 3 if line.dimension is Dimension.ENERGY else 2
    return f"{format_number(line.quantity, decimals, language)} {line.unit} × {price}/{line.unit}"


def format_rate(vat_percent: Decimal | None, language: str) -> str:
    """A VAT rate: "25 %"."""
    if vat_percent is None:
        return words(language)["no_vat"]
    rate = vat_percent.normalize()
    return f"{format_number(rate, max(0, -int(rate.as_tuple().exponent)), language)} %"


def _payment_note(document: SalesDocument, language: str) -> str:
    """We reserve X; you pay Y; the bank releases Z. A released hold is not a refund, so it is not called one."""
    text = words(language)

    def money(amount_minor: int) -> str:
        return format_money(amount_minor, document.cost.currency, language)

    if document.kind is DocumentKind.CREDIT_NOTE:
        return text["refund_explained"].format(charged=money(document.charged_minor))
    if document.collected_at_station:
        return text["paid_at_station"].format(charged=money(document.charged_minor))
    if document.held_minor == 0:
        return text["nothing_to_pay"]
    if document.charged_minor == 0:
        key = "hold_released"
    else:
        key = "hold_explained" if document.held_minor > document.charged_minor else "hold_used_up"
    return text[key].format(
        held=money(document.held_minor),
        charged=money(document.charged_minor),
        released=money(document.held_minor - document.charged_minor),
    )


def _card_rows(payment: CardPayment | None, language: str) -> tuple[Row, ...]:
    if payment is None:
        return ()
    text = words(language)
    last_four = f"**** {mask(payment.masked_pan)[-4:]}" if payment.masked_pan else ""
    rows = (
        (text["brand"], payment.brand),
        (text["card"], last_four),
        (text["entry_mode"], text.get(payment.entry_mode, payment.entry_mode)),
        (text["aid"], payment.aid),
        (text["authorisation_code"], payment.authorisation_code),
        (text["terminal_serial"], payment.terminal_serial),
        (text["merchant_id"], payment.merchant_id),
        (text["merchant_reference"], payment.merchant_reference),
        (text["psp_reference"], payment.psp_reference),
    )
    return tuple(row for row in rows if row[1])


def _buyer_rows(buyer: Buyer | None, language: str) -> tuple[Row, ...]:
    if buyer is None:
        return ()
    text = words(language)
    told = ", ".join(part for part in (buyer.name, *buyer.address, buyer.country) if part)
    return (text["buyer"], told), (text["buyer_vat_number"], buyer.vat_number)


def _notes(document: SalesDocument, language: str) -> tuple[str, ...]:
    text = words(language)
    notes = []
    if document.provisional:
        notes.append(text["provisional"])
    if document.flags:
        notes.append(f"{text['flags']}: {', '.join(document.flags)}")
    if document.signed_meter_data:
        records = text["signed_records"].format(count=len(document.signed_meter_data))
        notes.append(f"{text['signed_meter_data']}: {records}")
    if document.facilitator:
        notes.append(text["facilitated"].format(facilitator=document.facilitator, issuer=document.issuer.name))
    return tuple(notes)


def receipt_view(document: SalesDocument, language: str) -> ReceiptView:
    """The document in the words of ``language`` (en or nb; English otherwise)."""
    text = words(language)
    issuer, currency, zone = document.issuer, document.cost.currency, document.time_zone

    def money(amount_minor: int) -> str:
        return format_money(amount_minor, currency, language)

    seller_rows = (
        (text["organisation_number"], issuer.organisation_number),
        (text["vat_number"], issuer.vat_number),
        (text["email"], issuer.email),
        (text["phone"], issuer.phone),
    )
    issued_at = "" if document.issued_at is None else format_moment(document.issued_at, zone, language)
    document_rows = (
        (text["number"], document.number or text["not_issued"]),
        (text["issued_at"], issued_at),
        (text["refers_to"], document.refers_to or ""),
        *_buyer_rows(document.buyer, language),
    )
    charge_rows = (
        (text["station"], document.station_label),
        (text["evse"], document.evse_label),
        (text["started_at"], format_moment(document.started_at, zone, language)),
        (text["ended_at"], format_moment(document.ended_at, zone, language)),
        (text["time_zone"], zone),
        (text["energy"], format_energy(document.energy_wh, language)),
        (text["session_id"], document.session_id),
    )
    if document.kind is DocumentKind.CREDIT_NOTE:
        payment_rows: tuple[Row, ...] = ((text["refunded"], money(document.charged_minor)),)
    elif document.collected_at_station:
        payment_rows = ((text["charged"], money(document.charged_minor)),)
    else:
        payment_rows = (
            (text["held"], money(document.held_minor)),
            (text["charged"], money(document.charged_minor)),
            (text["released"], money(document.released_minor)),
        )
    return ReceiptView(
        language="nb" if language == "nb" else "en",
        title=text["receipt" if document.kind is DocumentKind.SALE else "credit_note"],
        seller=issuer.name,
        seller_rows=tuple(row for row in seller_rows if row[1]),
        address=(*issuer.address, issuer.country),
        document_rows=tuple(row for row in document_rows if row[1]),
        charge_rows=tuple(row for row in charge_rows if row[1]),
        lines=tuple(
            LineRow(text[line.dimension], _quantity(line, currency, language), money(line.amount_minor))
            for line in document.cost.lines
        ),
        total=money(document.cost.total_minor),
        vat=tuple(
            VatRow(
                format_rate(line.vat_percent, language),
                money(line.net_minor),
                money(line.vat_minor),
                money(line.gross_minor),
            )
            for line in document.cost.vat
        ),
        payment_rows=payment_rows,
        payment_note=_payment_note(document, language),
        card_rows=_card_rows(document.payment, language),
        notes=_notes(document, language),
        url=document.url,
    )
