"""Sessions and facts to decide on: one EVSE, one card, one tariff; what a test does not name is ordinary."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from billing.payment import Payment
from billing.tariff import Tariff, simple_tariff
from sessions import facts
from sessions.commands import Command
from sessions.decide import decide
from sessions.facts import Card, ChargingState, Fact, Sample
from sessions.meter import begin
from sessions.session import Authorisation, Decision, Origin, Place, Policy, Session
from sessions.tables import OVER, RUNNING, Charging

T0 = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
POLICY = Policy()
HOLD = 5000
#: 1 EUR per kWh without VAT arithmetic in the way: 1 Wh is a tenth of a cent, 10 Wh one cent.
TARIFF = simple_tariff("kwh", "EUR", hold_minor=HOLD, per_kwh=Decimal(1), vat_percent=Decimal(25))
FREE = simple_tariff("free", "EUR", hold_minor=0)
PLACE = Place(station_id="CS1", evse_id=1, label="Bay 1", max_power_w=150_000)
CARD = Card(card_ref="card-a", masked_pan="************1111", aid="A0000000031010", ifd="CONTACTLESS")


def at(seconds: float) -> datetime:
    """So many seconds after the tap."""
    return T0 + timedelta(seconds=seconds)


def session(
    charging: Charging = Charging.WAITING,
    payment: Payment = Payment.NONE,
    *,
    tariff: Tariff | None = TARIFF,
    origin: Origin = Origin.CARD,
    **changes: Any,
) -> Session:
    """A card session in the two given states, with the fields that a session in them has."""
    held = payment not in {Payment.NONE, Payment.AUTHORISING, Payment.UNKNOWN, Payment.DECLINED, Payment.NOT_HELD}
    running = charging in RUNNING or charging in {Charging.ENDED, Charging.LOST}
    made = Session(
        owner_id="own_1",
        session_id="S1",
        origin=origin,
        opened_at=T0,
        receipt_token="R1",
        charging=charging,
        payment=payment,
        currency="EUR",
        place=None if charging is Charging.CHOOSING else PLACE,
        tariff=None if charging is Charging.CHOOSING else tariff,
        choices=((PLACE, tariff),) if charging is Charging.CHOOSING else (),
        issuer_id="I1",
        id_token="TAG1",
        remote_start_id=7,
        terminal_serial="P1" if origin is Origin.CARD else None,
        arm_id="A1" if origin is Origin.CARD else None,
        card=CARD if origin is Origin.CARD else None,
        hold_minor=HOLD if origin is Origin.CARD else 0,
        held_minor=HOLD if held else 0,
        held_at=T0 if held else None,
        hold_number=1 if held else 0,
        authorisation=Authorisation(payment_ref="P-1") if held else Authorisation(),
        transaction_id="TX1" if running else None,
        started_at=T0 if running else None,
    )
    if running:
        meter = begin(made.meter, register_wh=Decimal(0), station_time=T0, seen_at=T0, parked=False)
        made = replace(made, meter=meter)
    if charging in OVER and charging is not Charging.NOT_STARTED:
        made = replace(made, ended_at=T0)
    return replace(made, **changes)


def after(start: Session, *steps: Fact, policy: Policy = POLICY) -> tuple[Session, list[Command]]:
    """The session after the facts, each decided when it was seen, and all commands."""
    commands: list[Command] = []
    for fact in steps:
        decision = decide(start, fact, fact.at, policy)
        start = decision.session
        commands += decision.commands
    return start, commands


def decided(start: Session, fact: Fact, policy: Policy = POLICY) -> Decision:
    """The decision on one fact when it was seen."""
    return decide(start, fact, fact.at, policy)


def of_kind(commands: Any, kind: type[Any]) -> list[Any]:
    """The commands of one class."""
    return [command for command in commands if isinstance(command, kind)]


# --- facts ------------------------------------------------------------------------------------------------------------


def card(*, session_id: str = "S1", arm_id: str = "A1", seconds: float = 0, who: Card = CARD) -> facts.CardPresented:
    return facts.CardPresented(
        key=f"card:{arm_id}", at=at(seconds), serial="P1", arm_id=arm_id, card=who, session_id=session_id,
        id_token="TAG1", remote_start_id=7, receipt_token="R1",
    )  # fmt: skip


def held(amount: int = HOLD, *, ref: str = "P-1", seconds: float = 3) -> facts.PaymentHeld:
    return facts.PaymentHeld(
        key=f"S1:held:{ref}", at=at(seconds), session_id="S1", payment_ref=ref, amount_minor=amount,
        authorisation_code="123456",
    )  # fmt: skip


def fact(kind: type[Any], *, seconds: float = 4, **values: Any) -> Any:
    """A fact of the session itself."""
    return kind(key=f"{kind.__name__}:{seconds}", at=at(seconds), session_id="S1", **values)


def deadline(timer: str, seconds: float) -> facts.DeadlineReached:
    return facts.DeadlineReached(key=f"S1:timer:{timer}:{seconds}", at=at(seconds), session_id="S1", timer=timer)


def sample(wh: float | str | None, seconds: float, **values: Any) -> Sample:
    """A register sample; ``wh`` in whatever ``unit`` says."""
    return Sample(station_time=at(seconds), value=None if wh is None else Decimal(str(wh)), **values)


def started(seconds: float = 10, *, register: int | None = 0, evse_id: int = 1, **values: Any) -> Any:
    said: dict[str, Any] = {"transaction_id": "TX1", "id_token": "TAG1", "station_time": at(seconds)} | values
    return facts.TransactionStarted(
        key=f"started:{seconds}", at=at(seconds), station_id="CS1", evse_id=evse_id,
        register_wh=None if register is None else Decimal(register), **said,
    )  # fmt: skip


def updated(seconds: float, *samples: Sample, state: ChargingState | None = None, **values: Any) -> Any:
    said: dict[str, Any] = {"transaction_id": "TX1", "station_time": at(seconds)} | values
    return facts.TransactionUpdated(
        key=f"updated:{seconds}", at=at(seconds), station_id="CS1", evse_id=1, samples=samples,
        charging_state=state, **said,
    )  # fmt: skip


def metered(seconds: float, *samples: Sample, **values: Any) -> facts.EnergyMetered:
    return facts.EnergyMetered(
        key=f"metered:{seconds}", at=at(seconds), station_id="CS1", evse_id=1, samples=samples, **values
    )


def ended(seconds: float = 3600, *, register: int | None = 20_000, **values: Any) -> Any:
    said: dict[str, Any] = {"transaction_id": "TX1", "station_time": at(seconds), "reason": "Local"} | values
    return facts.TransactionEnded(
        key=f"ended:{seconds}:{register}", at=at(seconds), station_id="CS1", evse_id=1,
        register_wh=None if register is None else Decimal(register), **said,
    )  # fmt: skip
