"""The sales document: exact in JSON, consistent, never with a card number."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing.cost import Adjustment
from billing.receipt import Buyer, CardPayment, DocumentKind, SalesDocument
from billing.receipt_html import StatusState
from billing.receipt_view import format_day, format_energy, format_local, format_moment, receipt_view
from billing.tariff import Dimension
from billing.way import Way
from billing.words import _WORDS, LANGUAGES, words
from tests.unit.billing.examples import T0, receipt
from tests.unit.billing.test_pan import VISA

FULL = receipt(
    provisional=True,
    flags=("clock_wrong",),
    signed_meter_data=('OCMF|{"FV":"1.0","RD":[]}|{"SD":"30 44 "}', "  kept\tverbatim\n"),
)
CREDIT_NOTE = receipt(kind=DocumentKind.CREDIT_NOTE, refers_to="2026-000100", held_minor=0, released_minor=0)
UNPAID = receipt(payment=None, held_minor=0, charged_minor=0, released_minor=0, number=None, issued_at=None)


@pytest.mark.parametrize("document", [receipt(), FULL, CREDIT_NOTE, UNPAID])
def test_json_round_trip_through_text(document: SalesDocument) -> None:
    assert SalesDocument.from_json(json.loads(json.dumps(document.to_json()))) == document


def test_signed_meter_data_is_kept_to_the_letter() -> None:
    again = SalesDocument.from_json(json.loads(json.dumps(FULL.to_json())))
    assert again.signed_meter_data == FULL.signed_meter_data


def test_times_are_kept_in_utc() -> None:
    local = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Oslo"))
    assert receipt(started_at=local).to_json()["started_at"] == "2026-07-01T10:00:00+00:00"


def test_a_number_is_given_once() -> None:
    issued = UNPAID.issued("2026-000124", T0 + timedelta(days=1))
    assert (issued.number, issued.issued_at) == ("2026-000124", T0 + timedelta(days=1))
    assert replace(issued, number=None, issued_at=None) == UNPAID
    with pytest.raises(ValueError, match="issued already"):
        issued.issued("2026-000125", T0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"started_at": datetime(2026, 7, 1)}, "needs a time zone"),  # noqa: DTZ001 — that is the point
        ({"time_zone": "Europe/Atlantis"}, "Europe/Oslo"),
        ({"number": None}, "or neither"),
        ({"energy_wh": -1}, "cannot be negative"),
        ({"charged_minor": 30_001}, "exceed the 30000 held"),
        ({"released_minor": 30_000}, "exceed the 30000 held"),
        ({"kind": DocumentKind.CREDIT_NOTE}, "must name the receipt"),
    ],
)
def test_refuses_what_contradicts_itself(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        receipt(**changes)


def test_a_whole_card_number_is_refused() -> None:
    with pytest.raises(ValueError, match="whole card number"):
        CardPayment(masked_pan=VISA)


def test_only_the_last_four_are_shown() -> None:
    shown = str(receipt_view(receipt(), "en"))
    assert "**** 1234" in shown
    assert "512345" not in shown


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({}, "We reserved NOK 300.00; you paid NOK 125.19. Your bank releases NOK 174.81, which can take days."),
        ({"held_minor": 12_519, "released_minor": 0}, "We reserved NOK 125.19; you paid NOK 125.19."),
        (
            {"charged_minor": 0, "released_minor": 30_000},
            "You paid nothing. Your bank releases the reserved NOK 300.00, which can take days.",
        ),
        ({"held_minor": 0, "charged_minor": 0, "released_minor": 0}, "There was nothing to pay."),
        (
            {"kind": DocumentKind.CREDIT_NOTE, "refers_to": "2026-000100"},
            "We pay back NOK 125.19 to your card, which can take days.",
        ),
    ],
)
def test_what_happened_to_the_hold_is_said(changes: dict[str, Any], note: str) -> None:
    assert receipt_view(receipt(**changes), "en").payment_note == note


def test_the_notes_name_what_is_unusual() -> None:
    provisional, flags, signed = receipt_view(FULL, "nb").notes
    assert provisional.startswith("Foreløpig")
    assert flags == "Til kontroll: clock_wrong"
    assert signed == "Signerte måledata: 2 post(er), i JSON-nedlastingen"


@pytest.mark.parametrize(
    ("zone", "language", "shown"),
    [
        ("Europe/Oslo", "en", "1 Jul 2026 12:00:00 CEST"),
        ("Europe/Oslo", "nb", "01.07.2026 12:00:00 CEST"),
        ("Asia/Dubai", "en", "1 Jul 2026 14:00:00 UTC+04"),
        ("UTC", "en", "1 Jul 2026 10:00:00 UTC"),
    ],
)
def test_moments_are_local_with_their_zone(zone: str, language: str, shown: str) -> None:
    assert format_moment(T0, zone, language) == shown
    assert format_local(T0.astimezone(ZoneInfo(zone)), language) == shown.replace(":00 ", " ")


def test_days_are_written_as_moments_are() -> None:
    assert [format_day(T0.date(), language) for language in ("en", "nb")] == ["1 Jul 2026", "01.07.2026"]


def test_energy_is_shown_to_the_wh() -> None:
    assert (format_energy(12_345, "en"), format_energy(5, "nb")) == ("12.345 kWh", "0,005 kWh")


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_missing(language: str) -> None:
    assert [key for key, translations in _WORDS.items() if not translations.get(language)] == []
    assert all(set(translations) == set(LANGUAGES) for translations in _WORDS.values())


def test_no_word_is_left_over() -> None:
    """Every key is read somewhere: by name in the code or a page, or as a value of one of these."""
    folder = Path(words.__code__.co_filename).parent
    sources = [path for path in (*folder.glob("*.py"), *folder.glob("templates/*")) if path.name != "words.py"]
    code = "\n".join(path.read_text() for path in sources)
    values = {*Dimension, *Adjustment, "CONTACTLESS", "CONTACT", "MAGSTRIPE", "QR_CODE", "UNKNOWN"}
    values |= {f"way_{way}" for way in Way}
    values |= {f"{kind}_{state}" for kind in ("status", "explain") for state in StatusState}
    read = {key for key in _WORDS if re.search(rf"""["']{key}["']|text\.{key}\b""", code)}
    assert sorted(_WORDS.keys() - values - read) == []


def test_an_unknown_language_is_english() -> None:
    assert words("sv") == words("en")
    assert receipt_view(receipt(), "sv").language == "en"


def test_translations_take_the_same_parameters() -> None:
    for key, translations in _WORDS.items():
        fields = [sorted(part.split("}")[0] for part in text.split("{")[1:]) for text in translations.values()]
        assert fields[0] == fields[1], key


AT_STATION = replace(
    FULL, held_minor=0, released_minor=0, collected_at_station=True, buyer=Buyer(name="Fjord AS", vat_number="NO1")
)


def test_what_the_station_collected_was_not_held_here() -> None:
    view = receipt_view(AT_STATION, "en")
    assert [label for label, _ in view.payment_rows] == ["Charged"]
    assert "own terminal" in view.payment_note
    assert {("Buyer", "Fjord AS"), ("Buyer's VAT number", "NO1")} <= set(view.document_rows)
    assert SalesDocument.from_json(json.loads(json.dumps(AT_STATION.to_json()))) == AT_STATION
    with pytest.raises(ValueError, match="was not held here"):
        replace(AT_STATION, held_minor=100)


def test_receipts_of_before_can_be_read() -> None:
    told = FULL.to_json()
    del told["buyer"], told["collected_at_station"]
    assert SalesDocument.from_json(told) == FULL
