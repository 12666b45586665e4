"""The checklist of a case, as data: it differs by the terminal's origin and by whose processor it uses. Pure.

What a machine can verify is a machine's step and nobody can tick it off; the rest is confirmed by a named person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

MACHINE = "machine"


class Origin(StrEnum):
    """How the terminal came: factory-mounted with the station, or retrofitted by its owner."""

    INTEGRATED = "integrated"
    OWN = "own"


class Processor(StrEnum):
    """Who collects: the platform, or the owner through a contract of their own."""

    PLATFORM = "platform"
    OWN = "own"


class Who(StrEnum):
    """Who does a step."""

    MACHINE = MACHINE
    PERSON = "person"


class Party(StrEnum):
    """Whose turn it is when a step has failed."""

    OWNER = "owner"
    PLATFORM = "platform"
    PROVIDER = "provider"


class StepState(StrEnum):
    """How a step stands."""

    OPEN = "open"
    PASSED = "passed"
    FAILED = "failed"
    WAIVED = "waived"  # by the platform's admin, with a reason; never a machine's step


class CaseState(StrEnum):
    """How a case stands: open → in progress → waiting for somebody → ready → completed, or cancelled."""

    OPEN = "open"  # nothing has been looked at yet
    IN_PROGRESS = "in progress"
    WAITING = "waiting"  # a step has failed: it is the turn of `waiting_for`
    READY = "ready"  # every step has passed: finish it
    COMPLETED = "completed"
    CANCELLED = "cancelled"


#: A case in one of these has ended, for good.
ENDED = frozenset({CaseState.COMPLETED, CaseState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. ``mend``: what to do when it fails. ``asks``: details that whoever confirms it has to give.

    ``depends_on``: steps that must have passed before this one is looked at.
    """

    code: str
    title: str
    who: Who
    mend: str
    party: Party = Party.OWNER
    depends_on: tuple[str, ...] = ()
    waivable: bool = False
    asks: tuple[str, ...] = ()


def _machine(code: str, title: str, mend: str, party: Party = Party.OWNER, *depends_on: str) -> Step:
    return Step(code=code, title=title, who=Who.MACHINE, mend=mend, party=party, depends_on=depends_on)


def _person(
    code: str, title: str, mend: str, *depends_on: str, waivable: bool = False, asks: tuple[str, ...] = ()
) -> Step:
    return Step(code=code, title=title, who=Who.PERSON, mend=mend, depends_on=depends_on, waivable=waivable, asks=asks)


ANSWERS = _machine(
    "answers",
    "The terminal answers under the given credentials",
    "Switch the terminal on, give it internet, and see that its serial number and the processor's credentials are "
    "right.",
)
CALLBACK = _machine(
    "callback",
    "The callback URL is reachable from outside and was called back",
    "See that http.public_url (or payter.callback_base) is an address the internet reaches, with DNS, a valid "
    "certificate and /callbacks/ let through.",
    Party.PLATFORM,
)
STATION = _machine(
    "station",
    "The station is connected",
    "Switch the station on and let it connect; the platform admits it where it is held.",
)
PRICES = _machine(
    "prices",
    "Currencies and tariffs fit",
    "Give every EVSE of the terminal a tariff, in the currency of the terminal and of the owner.",
)
LICENCES = _machine(
    "licences",
    "The licences are there",
    "Order an activation and a terminal cloud plan, and assign both to this terminal.",
)
TRANSFER = _machine(
    "transfer",
    "The terminal has been moved to the processor's domain (TT number)",
    "Ask the provider to move the terminal, enter the transfer number (TT number) it gives, and have it confirmed.",
    Party.PROVIDER,
)
REQUIREMENTS = _machine(
    "requirements",
    "The requirements of the owner's processor are met",
    "Have each requirement of the processor account confirmed: the Payter agreement and domain, the acquiring "
    "agreement, and that Payter routes the terminal to this platform.",
)
TEST = "test_transaction"


def _test(*depends_on: str) -> Step:
    return _machine(
        TEST,
        "A test transaction went through: a small amount was held and released",
        "Start the test transaction, and present a card that works at the terminal in time.",
        Party.OWNER,
        *depends_on,
    )


HOUSING = _person("housing", "No visible damage to the housing", "Do not use it: report the damage as an incident.")
STICKERS = _person(
    "stickers", "Not covered by a foreign sticker", "Do not use it: report it as an incident; do not remove anything."
)
CHARGED = _person("charged", "Battery charged", "Charge the battery until the terminal says that it is full.")
CONNECTED = _person("connected", "Connected to power", "Connect the terminal to its power supply, as its manual says.")
LOGO = _person(
    "logo",
    "The provider's logo shows at power-on",
    "Do not use it: a terminal that starts with anything else may have been tampered with. Report an incident.",
    "connected",
)
INTERNET = _person(
    "internet",
    "Internet connected",
    "Check the network cable or the SIM card (its serial number is in the inventory), and the reception.",
    "connected",
)
MANAGEMENT = _person(
    "management",
    "Reaches the terminal management system",
    "Let the terminal finish its updates; if it still does not reach it, the network must let its addresses through.",
    "internet",
)
STORAGE_TEST = _person(
    "storage_test",
    "Test transaction after long storage",
    "Make the test transaction again now that the terminal is out of storage; if it fails, return it for repair.",
    TEST,
    waivable=True,
)
INVENTORY = _person(
    "inventory",
    "Inventory entered with location and authorised personnel",
    "Enter where the terminal stands and who may touch it.",
    asks=("location", "authorised personnel"),
)
PERSONNEL = _person(
    "personnel",
    "Personnel trained",
    "Train whoever is near the terminal: what it looks like, what tampering looks like, and whom to call.",
    waivable=True,
    asks=("trained",),
)


def checklist(origin: Origin, processor: Processor, *, battery: bool) -> tuple[Step, ...]:
    """The steps of a case, in their order. ``battery``: whether the terminal's family has one.

    A factory-mounted terminal comes in the platform's domain; one that is bought elsewhere, or that is to use the
    owner's processor although it was factory-mounted, has to be moved. An owner's own terminal at the owner's own
    processor is in the right domain already.
    """
    moved = (origin is Origin.OWN) == (processor is Processor.PLATFORM)
    own = processor is Processor.OWN
    before = (*((TRANSFER,) if moved else ()), *((REQUIREMENTS,) if own else ()))
    needed = (ANSWERS.code, LICENCES.code, *(step.code for step in before))
    charging = (CHARGED, CONNECTED) if battery else (CONNECTED,)
    return (
        HOUSING,
        STICKERS,
        *charging,
        LOGO,
        INTERNET,
        MANAGEMENT,
        INVENTORY,
        PERSONNEL,
        STATION,
        PRICES,
        LICENCES,
        *before,
        ANSWERS,
        _test(*needed),
        CALLBACK,
        STORAGE_TEST,
    )


def every_step() -> dict[str, Step]:
    """The steps of all checklists, by code; what the test transaction depends on differs between them."""
    return {
        step.code: step
        for origin in Origin
        for processor in Processor
        for step in checklist(origin, processor, battery=True)
    }


def unmet(step: Step, states: Mapping[str, StepState]) -> list[str]:
    """The steps that ``step`` depends on and that have not passed (or been waived) yet."""
    return [code for code in step.depends_on if not settled(states.get(code, StepState.OPEN))]


def settled(state: StepState) -> bool:
    """Whether nothing is left to do about a step."""
    return state in (StepState.PASSED, StepState.WAIVED)


def case_state(steps: Sequence[Step], states: Mapping[str, StepState]) -> tuple[CaseState, Party | None]:
    """How a case with these steps stands, and whose turn it is."""
    known = [states.get(step.code, StepState.OPEN) for step in steps]
    if all(map(settled, known)):
        return CaseState.READY, None
    for step, state in zip(steps, known, strict=True):
        if state is StepState.FAILED:
            return CaseState.WAITING, step.party
    if all(state is StepState.OPEN for state in known):
        return CaseState.OPEN, None
    return CaseState.IN_PROGRESS, None


def stale(checked_at: datetime | None, now: datetime, valid: timedelta) -> bool:
    """Whether a verification is older than it may be when the case is finished."""
    return checked_at is None or now - checked_at > valid
