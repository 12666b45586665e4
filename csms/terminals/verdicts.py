"""What the machine's steps of a checklist conclude from what is known. Pure; every failure says how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from billing.ledger import PLATFORM
from csms.terminals import checklist as c
from csms.terminals.checklist import StepState
from sessions.directory import Admission
from sessions.verification import (
    Answering,
    AnswersOutcome,
    CloudSilent,
    CredentialsRefused,
    NotReached,
    Reached,
    TerminalUnknown,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a machine's step came to. ``state`` OPEN: nothing to judge yet."""

    code: str
    state: StepState
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A tariff, as far as it has to fit."""

    tariff_id: str
    currency: str
    owner_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An EVSE that the terminal serves. ``admission`` None: no such station has ever been heard of.

    ``station_reports``: the serial number that the station gave at its boot; "" where it gives none.
    """

    station_id: str
    evse_id: int
    admission: Admission | None
    connected: bool
    booted: bool
    station_reports: str
    owner_id: str
    tariff_id: str | None
    price: Price | None

    @property
    def name(self) -> str:
        """As a person reads it."""
        return f"{self.station_id}/{self.evse_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a case's terminal at ``now``. ``account_id``: the case's processor, ``account_now``: today's.

    ``station_serial``: of the station it is to serve, as somebody entered it; "" for the operator's own.
    ``untransferred``, ``unmet``: what stands in the way there. ``answers``, ``reached``: None where it was not asked.
    """

    now: datetime
    serial: str
    station_serial: str
    currency: str
    owner_id: str
    owner_currency: str
    account_id: str
    account_now: str
    licence_exempt: bool
    activated_at: datetime | None
    licensed_until: datetime | None
    places: tuple[Place, ...]
    untransferred: str | None
    unmet: tuple[str, ...]
    test_passed: bool
    called_back_at: datetime | None
    answers: AnswersOutcome | None = None
    reached: Reached | NotReached | None = None


def _passed(code: str, text: str) -> Verdict:
    return Verdict(code=code, state=StepState.PASSED, text=text)


def _failed(step: c.Step, found: str, mend: str = "") -> Verdict:
    return Verdict(code=step.code, state=StepState.FAILED, text=f"{found} {mend or step.mend}")


def _open(code: str, text: str) -> Verdict:
    return Verdict(code=code, state=StepState.OPEN, text=text)


def judge_answers(known: Known) -> Verdict:
    """The terminal answers under the given credentials."""
    step, whose = c.ANSWERS, "the owner's processor" if known.account_id else "the platform's processor"
    if known.account_now != known.account_id:
        return _failed(
            step,
            "The terminal's processor was changed after this case began.",
            "Cancel the case and start a new one: its checklist is another.",
        )
    match known.answers:
        case None:
            return _open(step.code, "It has not been asked yet.")
        case Answering(online=True, state=state):
            return _passed(step.code, f"It answers through {whose}; its reader says {state or 'nothing'}.")
        case Answering():
            return _failed(
                step,
                f"{whose.capitalize()} knows the terminal, but it is offline.",
                "Switch it on and give it internet (cable, or the SIM card named in the inventory); then check again.",
            )
        case CredentialsRefused():
            return _failed(
                step,
                f"The credentials of {whose} are not accepted.",
                "Enter the API key of the domain the terminal is in; then check again.",
            )
        case TerminalUnknown():
            return _failed(
                step,
                f"There is no terminal {known.serial} in the domain of {whose}.",
                "Compare the serial number with the label on the terminal; if it is right, have the provider move the "
                "terminal to this domain (TT number).",
            )
        case CloudSilent(reason):
            return _failed(step, f"The terminals' cloud gave no answer ({reason}).", "Check again in a few minutes.")


def judge_callback(known: Known) -> Verdict:
    """The callback URL is reachable from outside, and the terminals' cloud called it back."""
    step = c.CALLBACK
    match known.reached:
        case None:
            return _open(step.code, "It has not been tried yet.")
        case NotReached(reason):
            return _failed(step, f"The callback URL is not reachable from outside: {reason}.")
    if known.called_back_at is not None:
        return _passed(step.code, "It is reachable, and the terminals' cloud called it back when the card was read.")
    if not known.test_passed:
        return _open(step.code, "It is reachable; the terminals' cloud calls it back in the test transaction.")
    return _failed(
        step,
        "The test transaction went through, but the terminals' cloud never called the callback URL.",
        "See that the provider's network may reach it (firewall, allow-list), then make the test transaction again.",
    )


def judge_station(known: Known) -> Verdict:
    """The station is connected, and admitted."""
    step = c.STATION
    if not known.places:
        return _failed(step, "The terminal serves no EVSE.", "Say which EVSEs of which station it serves.")
    for place in known.places:
        name = f"Station {place.station_id}"
        if place.owner_id != known.owner_id:
            return _failed(step, f"{name} is not this owner's.", "Assign the station, or the terminal, to its owner.")
        match place.admission:
            case None:
                return _failed(step, f"{name} has never connected.", "Enter this system's address in it; switch it on.")
            case Admission.HELD:
                return _failed(
                    step, f"{name} waits to be admitted.", "The platform accepts it in its list of stations."
                )
            case Admission.REFUSED:
                return _failed(step, f"{name} was refused.", "Ask the platform why, and to accept it.")
        if not place.connected:
            return _failed(step, f"{name} is not connected.", "Switch it on and check its network; then check again.")
        if not place.booted:
            return _failed(step, f"{name} is connected, but has not been accepted at its boot yet.", "Restart it.")
    if known.station_serial and not any(_is_for(known.station_serial, place) for place in known.places):
        reported = ", ".join(dict.fromkeys(f"{place.station_reports} ({place.station_id})" for place in known.places))
        return _failed(
            step,
            f"The terminal is for the station with the serial number {known.station_serial}, but it serves {reported}.",
            "Correct the station's serial number in the inventory, or say which EVSEs the terminal serves.",
        )
    return _passed(step.code, "Connected: " + ", ".join(dict.fromkeys(p.station_id for p in known.places)) + ".")


def _is_for(station_serial: str, place: Place) -> bool:
    """Whether it is the station's serial number, or its identity; a station that reports none is believed."""
    named = {_folded(place.station_id), _folded(place.station_reports)}
    return not place.station_reports or _folded(station_serial) in named


def _folded(serial: str) -> str:
    return "".join(filter(str.isalnum, serial)).casefold()


def judge_prices(known: Known) -> Verdict:
    """Currencies and tariffs fit: the terminal's, the tariffs', the owner's."""
    step = c.PRICES
    if known.currency != known.owner_currency:
        return _failed(
            step,
            f"The terminal's currency is {known.currency}, the owner's {known.owner_currency}.",
            "Have the provider configure the terminal for the owner's currency, and enter it here.",
        )
    if not known.places:
        return _failed(step, "The terminal serves no EVSE.", "Say which EVSEs it serves, and give each a tariff.")
    for place in known.places:
        price = place.price
        if place.tariff_id is None:
            return _failed(step, f"EVSE {place.name} has no tariff.", "Give it one.")
        if price is None:
            return _failed(step, f"EVSE {place.name} names a tariff that is not there.", "Give it one that is.")
        if price.owner_id not in (known.owner_id, PLATFORM):
            return _failed(step, f"The tariff of EVSE {place.name} is not this owner's.", "Give it one that is.")
        if price.currency != known.currency:
            return _failed(
                step,
                f"EVSE {place.name} is sold in {price.currency}, but the terminal takes {known.currency}.",
                "Give it a tariff in the terminal's currency.",
            )
    return _passed(step.code, f"Every EVSE has a tariff in {known.currency}.")


def judge_licences(known: Known) -> Verdict:
    """The licences are there."""
    step = c.LICENCES
    if known.licence_exempt:
        return _passed(step.code, "The operator's own terminal: it needs none.")
    if known.activated_at is None:
        return _failed(step, "The terminal has not been activated.", "Order an activation and assign it to it.")
    if known.licensed_until is None:
        return _failed(step, "It has no terminal cloud plan.", "Order a terminal cloud plan and assign it to it.")
    if known.licensed_until <= known.now:
        return _failed(step, f"Its plan ended on {known.licensed_until:%Y-%m-%d}.", "Renew the terminal cloud plan.")
    return _passed(step.code, f"Activated; the plan runs until {known.licensed_until:%Y-%m-%d}.")


def judge_transfer(known: Known) -> Verdict:
    """The terminal has been moved to the processor's domain."""
    if known.untransferred is None:
        return _passed(c.TRANSFER.code, "The transfer has been confirmed.")
    return _failed(c.TRANSFER, known.untransferred)


def judge_requirements(known: Known) -> Verdict:
    """The requirements of the owner's processor are met."""
    if not known.account_id:
        return _failed(c.REQUIREMENTS, "The terminal names no processor of the owner's.", "Assign the account to it.")
    if known.unmet:
        return _failed(c.REQUIREMENTS, f"Not confirmed yet: {'; '.join(known.unmet)}.")
    return _passed(c.REQUIREMENTS.code, "All are confirmed.")


#: Every machine's step but the test transaction (`csms.terminals.trial` concludes that), and what judges it.
JUDGES: Mapping[str, Callable[[Known], Verdict]] = {
    c.ANSWERS.code: judge_answers,
    c.CALLBACK.code: judge_callback,
    c.STATION.code: judge_station,
    c.PRICES.code: judge_prices,
    c.LICENCES.code: judge_licences,
    c.TRANSFER.code: judge_transfer,
    c.REQUIREMENTS.code: judge_requirements,
}

#: The machine's steps that the database alone decides: they are judged again in the commit that sets a terminal live.
IN_THE_DATABASE = (c.STATION.code, c.PRICES.code, c.LICENCES.code, c.TRANSFER.code, c.REQUIREMENTS.code)
