"""The words a terminal shows, per message and language, for small screens: a title and at most two short lines.

A text may name parameters: ``price``, ``evse`` (label), ``minutes``, ``reference`` as given; ``amount`` and ``hold``
are written from ``amount_minor`` and ``hold_minor`` with ``currency``. Where a parameter of a text is not given, the
plain words stand in, so a screen never shows a hole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from billing.money import format_money
from sessions.commands import Message

LANGUAGES = ("en", "nb")
TITLE_LENGTH = 24
MESSAGE_LENGTH = 72  # two lines of a small screen


@dataclass(frozen=True, slots=True)
class Text:
    """A title, a message, and the words for when a parameter of the message is not known."""

    title: str
    message: str
    plain: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """A text with its parameters filled in."""

    title: str
    message: str

    def line(self, separator: str = ". ") -> str:
        """Both as one string, for calls that take a single message."""
        return f"{self.title}{separator}{self.message}" if self.message else self.title


TEXTS: dict[str, dict[Message, Text]] = {
    "en": {
        Message.AUTHORISING: Text("Please wait", "Reserving {hold}", "Asking your bank"),
        Message.CHOOSE_EVSE: Text("Choose", "Which charging point?"),
        Message.PLUG_IN_FIRST: Text("Plug in first", "Plug in the cable, then tap your card"),
        Message.PLUG_IN: Text(
            "Plug in", "{evse}: plug in the cable within {minutes} min", "Plug in the cable to start charging"
        ),
        Message.STARTING: Text("Starting", "{evse}: charging is about to start", "Charging is about to start"),
        Message.CHARGING: Text("Charging", "{evse}. Tap the same card to stop", "Tap the same card to stop"),
        Message.STOPPING: Text("Stopping", "{evse}: charging is being stopped", "Charging is being stopped"),
        Message.DECLINED: Text("Declined", "Your card was declined. Nothing is charged"),
        Message.PAYMENT_UNKNOWN: Text("No answer", "Your bank did not answer. You pay nothing"),
        Message.NOT_STARTED: Text("Not started", "No cable was plugged in. You pay nothing"),
        Message.START_REFUSED: Text("Not started", "The station could not start. You pay nothing"),
        Message.STATION_OFFLINE: Text("Out of order", "The station is offline. You pay nothing"),
        Message.EVSE_OCCUPIED: Text("Occupied", "{evse} is in use. You pay nothing", "In use. You pay nothing"),
        Message.EVSE_RESERVED: Text("Reserved", "{evse} is reserved. You pay nothing", "Reserved. You pay nothing"),
        Message.EVSE_FAULTED: Text("Out of order", "{evse} has a fault. You pay nothing", "A fault. You pay nothing"),
        Message.OTHER_CARD: Text("Another card", "Use the card that started the charging"),
        Message.OUT_OF_SERVICE: Text("Out of service", "No cards are taken here at the moment"),
        Message.NOT_LICENSED: Text("Not licensed", "This terminal has no valid licence. No cards are taken"),
        Message.CHOICE_TIMED_OUT: Text("Time is up", "Nothing was chosen. Tap again to start"),
        Message.FINISHED: Text("Thank you", "You pay {amount}. The rest is released", "You pay only the final amount"),
        Message.NOT_CHARGED: Text("Thank you", "You pay nothing. The reservation is released"),
    },
    "nb": {
        Message.AUTHORISING: Text("Vent litt", "Reserverer {hold}", "Spør banken din"),
        Message.CHOOSE_EVSE: Text("Velg", "Hvilket ladepunkt?"),
        Message.PLUG_IN_FIRST: Text("Koble til først", "Koble til kabelen, og vis så kortet"),
        Message.PLUG_IN: Text(
            "Koble til", "{evse}: koble til kabelen innen {minutes} min", "Koble til kabelen for å lade"
        ),
        Message.STARTING: Text("Starter", "{evse}: ladingen starter straks", "Ladingen starter straks"),
        Message.CHARGING: Text("Lader", "{evse}. Vis samme kort for å stoppe", "Vis samme kort for å stoppe"),
        Message.STOPPING: Text("Stopper", "{evse}: ladingen stoppes", "Ladingen stoppes"),
        Message.DECLINED: Text("Avvist", "Kortet ble avvist. Du betaler ingenting"),
        Message.PAYMENT_UNKNOWN: Text("Ikke svar", "Banken svarte ikke. Du betaler ingenting"),
        Message.NOT_STARTED: Text("Ikke startet", "Ingen kabel ble koblet til. Du betaler ingenting"),
        Message.START_REFUSED: Text("Ikke startet", "Laderen kunne ikke starte. Du betaler ingenting"),
        Message.STATION_OFFLINE: Text("Ute av drift", "Laderen er frakoblet. Du betaler ingenting"),
        Message.EVSE_OCCUPIED: Text(
            "Opptatt", "{evse} er i bruk. Du betaler ingenting", "I bruk. Du betaler ingenting"
        ),
        Message.EVSE_RESERVED: Text(
            "Reservert", "{evse} er reservert. Du betaler ingenting", "Reservert. Du betaler ingenting"
        ),
        Message.EVSE_FAULTED: Text(
            "Ute av drift", "{evse} har en feil. Du betaler ingenting", "Feil. Du betaler ingenting"
        ),
        Message.OTHER_CARD: Text("Et annet kort", "Bruk kortet som startet ladingen"),
        Message.OUT_OF_SERVICE: Text("Ute av drift", "Her tas det ikke kort akkurat nå"),
        Message.NOT_LICENSED: Text("Uten lisens", "Terminalen har ingen gyldig lisens. Her tas det ikke kort"),
        Message.CHOICE_TIMED_OUT: Text("Tiden er ute", "Ingenting ble valgt. Vis kortet på nytt"),
        Message.FINISHED: Text("Takk", "Du betaler {amount}. Resten frigis", "Du betaler bare sluttbeløpet"),
        Message.NOT_CHARGED: Text("Takk", "Du betaler ingenting. Reservasjonen frigis"),
    },
}

# The terminal at rest: the price, then what the hold is (the bank releases the rest, which can take days).
IDLE: dict[str, Text] = {
    "en": Text("{price}", "We reserve {hold}. You pay only the final amount", "Tap your card to start"),
    "nb": Text("{price}", "Vi reserverer {hold}. Du betaler bare sluttbeløpet", "Vis kortet for å starte"),
}
IDLE_TITLE: dict[str, str] = {"en": "Tap to charge", "nb": "Vis kort for å lade"}  # where there is no price to show

# A licence that ran out touches no charge that runs: its driver can still stop it, and nobody can start one.
STOP_ONLY: dict[str, Text] = {
    "en": Text("Not licensed", "Only to stop: tap the card that started the charging"),
    "nb": Text("Uten lisens", "Bare for å stoppe: vis kortet som startet ladingen"),
}

# Rides on the authorise call, when nobody knows yet whether the cable is in.
HELD: dict[str, Text] = {
    "en": Text("Reserved", "{hold}. Plug in the cable if it is not in", "Plug in the cable if it is not in"),
    "nb": Text("Reservert", "{hold}. Koble til kabelen om den ikke er i", "Koble til kabelen om den ikke er i"),
}

# The reader of a terminal that is being onboarded: a test transaction.
TRIAL: dict[str, Text] = {
    "en": Text("Test transaction", "Present a card: {hold} is held and released", "Present a card. You pay nothing"),
    "nb": Text("Prøvetransaksjon", "Vis et kort: {hold} reserveres og frigis", "Vis et kort. Du betaler ingenting"),
}


def words(message: Message, language: str, parameters: Mapping[str, str]) -> Words:
    """The text of ``message``; English for a language that is not in the table."""
    language = _known(language)
    return _fill(TEXTS[language][message], language, parameters)


def idle_words(language: str, price: str, hold_minor: int, currency: str) -> Words:
    """What the terminal shows at rest: the price, and that only the final amount is paid."""
    language = _known(language)
    parameters = {"price": price, "hold_minor": str(hold_minor) if hold_minor else "", "currency": currency}
    filled = _fill(IDLE[language], language, parameters)
    return Words(price or IDLE_TITLE[language], filled.message)


def stop_words(language: str) -> Words:
    """What the terminal shows at rest while it takes no new cards, and a charge of an earlier one runs."""
    language = _known(language)
    return _fill(STOP_ONLY[language], language, {})


def held_words(language: str, hold_minor: int, currency: str) -> Words:
    """What rides on the authorise call: the amount reserved."""
    language = _known(language)
    return _fill(HELD[language], language, {"hold_minor": str(hold_minor), "currency": currency})


def trial_words(language: str, hold_minor: int, currency: str) -> Words:
    """What the reader shows while it waits for a test transaction's card."""
    language = _known(language)
    return _fill(TRIAL[language], language, {"hold_minor": str(hold_minor), "currency": currency})


def _known(language: str) -> str:
    return language if language in LANGUAGES else "en"


def _fill(text: Text, language: str, parameters: Mapping[str, str]) -> Words:
    shown = _shown(language, parameters)
    needed = {name for _, name, _, _ in Formatter().parse(text.message) if name}
    message = text.message.format_map(shown) if needed <= shown.keys() else text.plain
    title = text.title.format_map(shown) if "{" not in text.title or shown.get("price") else ""
    return Words(title, message)


def _shown(language: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters as a driver reads them: amounts written in the language's way; empty ones left out."""
    shown = {name: value for name, value in parameters.items() if value}
    for name in ("amount", "hold"):
        minor = shown.pop(f"{name}_minor", "")
        if name not in shown and minor.isdecimal():
            try:
                shown[name] = format_money(int(minor), shown.get("currency", ""), language)
            except ValueError:  # a currency we cannot write: better no figure than a wrong one
                continue
    return shown
