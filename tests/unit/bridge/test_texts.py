"""Every message has words in every language, and they fit."""

import pytest

from bridge.texts import (
    HELD,
    IDLE,
    IDLE_TITLE,
    LANGUAGES,
    MESSAGE_LENGTH,
    TEXTS,
    TITLE_LENGTH,
    TRIAL,
    held_words,
    idle_words,
    trial_words,
    words,
)
from sessions.commands import Message

FULL = {
    "evse": "Lader 12 B",
    "price": "12,90 kr/kWh",
    "minutes": "5",
    "amount_minor": "1234567",
    "hold_minor": "1000000",
    "currency": "NOK",
    "reference": "A1B2C3",
}


def test_every_language_has_every_table() -> None:
    assert set(TEXTS) == set(TRIAL) == set(IDLE) == set(IDLE_TITLE) == set(HELD) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("message", Message)
@pytest.mark.parametrize("parameters", [FULL, {}], ids=["full", "empty"])
def test_every_message_has_words_that_fit(language: str, message: Message, parameters: dict[str, str]) -> None:
    assert message in TEXTS[language], f"{message} lacks its words in {language}"
    shown = words(message, language, parameters)
    assert 0 < len(shown.title) <= TITLE_LENGTH
    assert 0 < len(shown.message) <= MESSAGE_LENGTH
    assert "{" not in shown.title + shown.message


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("currency", ["NOK", "XXX"])
def test_a_trial_has_words_that_fit(language: str, currency: str) -> None:
    shown = trial_words(language, 100, currency)
    assert 0 < len(shown.title) <= TITLE_LENGTH
    assert 0 < len(shown.message) <= MESSAGE_LENGTH


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_languages_share_all_their_words(language: str) -> None:
    others = [other for other in LANGUAGES if other != language]
    for message in Message:
        assert all(TEXTS[language][message] != TEXTS[other][message] for other in others)


def test_amounts_are_written_in_the_languages_way() -> None:
    parameters = {"amount_minor": "12345", "currency": "NOK"}
    assert "123,45 kr" in words(Message.FINISHED, "nb", parameters).message
    assert "NOK 123.45" in words(Message.FINISHED, "en", parameters).message
    assert words(Message.FINISHED, "de", parameters) == words(Message.FINISHED, "en", parameters)


def test_an_amount_that_cannot_be_written_is_left_out() -> None:
    assert words(Message.FINISHED, "en", {"amount_minor": "12345", "currency": "XXX"}).message == (
        "You pay only the final amount"
    )


def test_at_rest_the_price_stands_first_and_the_hold_is_explained() -> None:
    shown = idle_words("nb", "5,90 kr/kWh", 20_000, "NOK")
    assert shown.title == "5,90 kr/kWh"
    assert shown.message == "Vi reserverer 200,00 kr. Du betaler bare sluttbeløpet"
    assert idle_words("en", "", 0, "NOK").line() == "Tap to charge. Tap your card to start"


def test_what_rides_on_the_authorisation_names_the_hold() -> None:
    assert held_words("en", 20_000, "NOK").line() == "Reserved. NOK 200.00. Plug in the cable if it is not in"
