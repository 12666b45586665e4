"""Page, PDF and text: all of them say everything, and none of them says more than it should."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO

import pytest
from pypdf import PdfReader

from billing.pdf_style import printable
from billing.receipt import DocumentKind, Issuer, SalesDocument
from billing.receipt_html import (
    CONTENT_SECURITY_POLICY,
    SessionStatus,
    StatusState,
    render_html,
    render_status_html,
)
from billing.receipt_pdf import render_pdf
from billing.receipt_text import WIDTH, render_text
from billing.receipt_view import ReceiptView, receipt_view
from tests.unit.billing.examples import T0, receipt
from tests.unit.billing.test_receipt import CREDIT_NOTE, FULL, UNPAID

LINKS = {"pdf": "/r/abc.pdf", "json": "/r/abc.json"}
DOCUMENTS = pytest.mark.parametrize("document", [receipt(), FULL, CREDIT_NOTE, UNPAID])
LANGUAGES = pytest.mark.parametrize("language", ["en", "nb"])


def facts(view: ReceiptView) -> list[str]:
    """Everything a rendering must contain."""
    rows = (*view.seller_rows, *view.document_rows, *view.charge_rows, *view.payment_rows, *view.card_rows)
    return [
        *(part for row in rows for part in row),
        *(part for line in view.lines for part in (line.label, line.detail, line.amount)),
        *(part for line in view.vat for part in (line.rate, line.net, line.vat)),
        *view.address,
        *view.notes,
        view.title,
        view.seller,
        view.total,
        view.payment_note,
    ]


class Page(HTMLParser):
    """The text of a page, its tags, and whether they nest."""

    void = ("meta", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.style = "", ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


@DOCUMENTS
@LANGUAGES
def test_the_page_says_everything(document: SalesDocument, language: str) -> None:
    page = Page(render_html(document, language, links=LINKS))
    missing = [fact for fact in facts(receipt_view(document, language)) if fact not in page.text]
    assert missing == []
    assert page.open == []


@DOCUMENTS
@LANGUAGES
def test_the_pdf_says_everything_on_one_page(document: SalesDocument, language: str) -> None:
    reader = PdfReader(BytesIO(render_pdf(document, language)))
    assert len(reader.pages) == 1
    text = squeezed(reader.pages[0].extract_text())
    assert [fact for fact in facts(receipt_view(document, language)) if squeezed(fact) not in text] == []
    assert squeezed(document.url) in text


@DOCUMENTS
@LANGUAGES
def test_the_text_says_everything_in_48_columns(document: SalesDocument, language: str) -> None:
    text = render_text(document, language)
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    squeezed_text = squeezed(text)
    assert [fact for fact in facts(receipt_view(document, language)) if squeezed(fact) not in squeezed_text] == []


def test_long_values_do_not_break_the_48_columns() -> None:
    document = receipt(station_label="Å" * 130, url="https://charge.example/" + "r" * 100)
    text = render_text(document, "nb")
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert text.count("Å") == 130


@LANGUAGES
def test_the_page_is_safe_and_accessible(language: str) -> None:
    page = Page(render_html(receipt(station_label="<script>alert(1)</script>"), language, links=LINKS))
    tags = [tag for tag, _ in page.tags]
    assert "<script>alert(1)</script>" in page.text  # as text
    assert not {"script", "img", "link", "iframe", "form"} & set(tags)
    assert not any(
        name.startswith("on") or name in ("style", "src") for _, attributes in page.tags for name in attributes
    )
    assert dict(page.tags)["html"]["lang"] == language
    assert tags.count("h1") == 1
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"] == ["/r/abc.pdf", "/r/abc.json"]
    assert "prefers-color-scheme: dark" in page.style
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_the_policy_allows_exactly_the_style_sheet() -> None:
    for html in (
        render_html(receipt(), "en", links=LINKS),
        render_status_html(SessionStatus(state=StatusState.CHARGING, as_of=T0, time_zone="UTC", currency="NOK"), "en"),
    ):
        digest = b64encode(sha256(Page(html).style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")


def status(state: StatusState, **more: int) -> Page:
    return Page(
        render_status_html(
            SessionStatus(
                state=state,
                as_of=T0,
                time_zone="Europe/Oslo",
                currency="NOK",
                station_label="Åsgårdstrand brygge",
                evse_label="2",
                started_at=T0,
                energy_wh=1_234,
                cost_minor=617,
                reason="",
                **more,
            ),
            "nb",
        )
    )


@pytest.mark.parametrize(
    ("state", "title"),
    [
        (StatusState.STARTING, "Starter"),
        (StatusState.CHARGING, "Lader"),
        (StatusState.FINISHING, "Avslutter"),
        (StatusState.NOT_CHARGED, "Ikke belastet"),
    ],
)
def test_a_session_without_a_receipt_has_a_page_that_follows_it(state: StatusState, title: str) -> None:
    page = status(state, held_minor=30_000)
    assert title in page.text
    assert "300,00 kr" in page.text
    refreshes = [attributes for tag, attributes in page.tags if attributes.get("http-equiv") == "refresh"]
    assert len(refreshes) == (0 if state is StatusState.NOT_CHARGED else 1)
    assert page.open == []


def test_the_page_while_charging_shows_energy_and_price() -> None:
    page = status(StatusState.CHARGING)
    for shown in ("1,234 kWh", "6,17 kr", "01.07.2026 12:00:00 CEST", "Åsgårdstrand brygge"):
        assert shown in page.text
    assert "reserverte" not in page.text


def test_why_nothing_was_charged_is_said() -> None:
    html = render_status_html(
        SessionStatus(
            state=StatusState.NOT_CHARGED,
            as_of=T0,
            time_zone="UTC",
            currency="NOK",
            reason="The cable was not plugged in.",
        ),
        "en",
    )
    assert "You paid nothing." in html
    assert "The cable was not plugged in." in html


def test_the_same_document_gives_the_same_pdf() -> None:
    assert render_pdf(FULL, "nb") == render_pdf(FULL, "nb")


def test_the_pdf_embeds_its_fonts_and_knows_its_language() -> None:
    reader = PdfReader(BytesIO(render_pdf(receipt(), "nb")))
    resources = reader.pages[0]["/Resources"]
    fonts = [font.get_object() for font in resources["/Font"].values()]  # type: ignore[index]
    used = [font for font in fonts if "Vera" in font["/BaseFont"]]
    assert used
    assert all("/FontFile2" in font["/FontDescriptor"].get_object() for font in used)
    assert reader.trailer["/Root"]["/Lang"] == "nb"  # type: ignore[index]


def test_letters_without_a_glyph_become_their_base_letter() -> None:
    assert printable("Blåbærsyltetøy é ü € × – §") == "Blåbærsyltetøy é ü € × – §"
    assert printable("Kraków Ščeć żőąę ☃") == "Kraków Ščeć zoae ?"


def test_a_very_long_receipt_still_fits_one_page() -> None:
    document = receipt(flags=tuple(f"finding {number} " + "word " * 20 for number in range(40)))
    reader = PdfReader(BytesIO(render_pdf(document, "en")))
    assert len(reader.pages) == 1
    assert "finding39" in squeezed(reader.pages[0].extract_text())


def test_a_seller_with_a_markup_in_its_name_is_only_a_seller() -> None:
    document = receipt(issuer=Issuer("<b>A&B</b>", ("Gate 1",), "NO", "1"))
    assert "<b>A&B</b>" in PdfReader(BytesIO(render_pdf(document, "en"))).pages[0].extract_text()
    assert "<b>A&B</b>" in Page(render_html(document, "en", links={})).text


def test_a_credit_note_is_called_one() -> None:
    assert CREDIT_NOTE.kind is DocumentKind.CREDIT_NOTE
    assert "Kreditnota" in render_text(CREDIT_NOTE, "nb")
    assert "2026-000100" in render_text(CREDIT_NOTE, "nb")


@pytest.mark.parametrize(
    ("language", "note"),
    [
        ("en", "Technical facilitator: Platform AS, 123456789. You bought from, and paid to, {seller} alone."),
        ("nb", "Teknisk tilrettelegger: Platform AS, 123456789. Du kjøpte av, og betalte til, {seller} alene."),
    ],
)
def test_who_ran_the_payment_is_named_where_the_sale_is_somebody_elses(language: str, note: str) -> None:
    document = receipt(facilitator="Platform AS, 123456789")
    said = note.format(seller=document.issuer.name)
    assert receipt_view(document, language).notes[-1] == said
    assert said in " ".join(render_text(document, language).split())
    assert said in Page(render_html(document, language, links=LINKS)).text
    pages = PdfReader(BytesIO(render_pdf(document, language))).pages
    assert said in " ".join(" ".join(page.extract_text() for page in pages).split())
    assert document.to_json()["facilitator"] == "Platform AS, 123456789"
    assert SalesDocument.from_json(document.to_json()) == document


def test_a_receipt_from_before_names_no_facilitator() -> None:
    before = receipt().to_json()
    del before["facilitator"]
    assert SalesDocument.from_json(before) == receipt()
    assert receipt_view(receipt(), "en").notes == ()
