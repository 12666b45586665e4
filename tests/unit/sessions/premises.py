"""What routing and taps are tried on: stations, EVSEs and terminals in memory, and the loop around them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.tariff import simple_tariff
from sessions import facts as f
from sessions.commands import Command, Message, ShowOnTerminal
from sessions.decide import decide
from sessions.directory import Admission, ArmState
from sessions.facts import TokenStatus
from sessions.routing import Route, route
from sessions.session import Policy, Session
from sessions.tokens import TokenRecord
from sessions.working_set import ArmRow, EvseRow, StationRow, TerminalRow, WorkingSet
from tests.unit.sessions.examples import HOLD, T0, TARIFF, at

POLICY = Policy()
KRONER = simple_tariff("nok", "NOK", hold_minor=50_000, per_kwh=Decimal(5))


class Premises:
    """Stations CS1 and CS2 with two EVSEs each; terminal P1 serves CS1's, unless a test says otherwise."""

    def __init__(self, *, touch_screen: bool = False, serves: tuple[tuple[str, int], ...] = (("CS1", 1),)) -> None:
        self.ws = WorkingSet(issuer_id="I1")
        self.ws.tariffs = {"kwh": TARIFF, "nok": KRONER}
        for name in ("CS1", "CS2"):
            self.ws.stations[name] = StationRow(station_id=name, admission=Admission.ACCEPTED, connected=True, epoch=1)
            for n in (1, 2):
                self.ws.evses[name, n] = EvseRow(
                    station_id=name, evse_id=n, label=f"{name}-{n}", tariff_id="kwh", max_power_w=150_000
                )
        self.ws.tokens = {
            "GOOD": TokenRecord(status=TokenStatus.ACCEPTED),
            "BLOCKED": TokenRecord(status=TokenStatus.BLOCKED),
        }
        self.terminal("P1", serves, touch_screen=touch_screen)
        self.commands: list[Command] = []

    def terminal(self, serial: str, serves: tuple[tuple[str, int], ...], *, touch_screen: bool = False) -> None:
        self.ws.terminals[serial] = TerminalRow(
            serial=serial, currency="EUR", language="en", touch_screen=touch_screen, evses=serves
        )

    def evse(self, station_id: str, evse_id: int, **changes: Any) -> None:
        self.ws.put_evse(replace(self.ws.evse(station_id, evse_id), **changes))

    def station(self, station_id: str, **changes: Any) -> None:
        self.ws.put_station(replace(self.ws.stations[station_id], **changes))

    def see(self, fact: f.Fact) -> Route:
        """Route a fact and decide what it is for, as the service does."""
        result = route(self.ws, fact, fact.at, POLICY, "node-a")
        self.commands += result.commands
        for routed in result.routed:
            decision = decide(routed.session, routed.fact, fact.at, POLICY)
            self.ws.put_session(decision.session)
            self.commands += decision.commands
        return result

    def tap(self, arm: str, *, who: str = "card-a", serial: str = "P1", seconds: float = 0) -> Session | None:
        """Arm, tap; return the session that the tap is for."""
        self.ws.put_arm(
            ArmRow(
                arm_id=arm, serial=serial, state=ArmState.OPEN, hold_minor=HOLD, currency="EUR", opened_at=at(seconds)
            )
        )
        result = self.see(tapped(arm, who=who, serial=serial, when=at(seconds)))
        return self.ws.sessions[result.routed[-1].session.session_id] if result.routed else None

    def charge(self, arm: str, transaction_id: str = "1", *, seconds: float = 0, **more: Any) -> Session:
        """Tap, hold, start."""
        opened = self.tap(arm, seconds=seconds, **more)
        assert opened is not None
        assert opened.place is not None
        self.see(
            f.PaymentHeld(
                key=f"held:{arm}", at=at(seconds + 1), session_id=opened.session_id, payment_ref=f"PAY-{arm}",
                amount_minor=HOLD,
            )
        )  # fmt: skip
        self.see(
            began(
                opened.place.station_id,
                opened.place.evse_id,
                transaction_id,
                token=opened.id_token,
                seconds=seconds + 2,
            )
        )
        return self.ws.sessions[opened.session_id]

    @property
    def last_message(self) -> Message | None:
        shown = [command.message for command in self.commands if isinstance(command, ShowOnTerminal)]
        return shown[-1] if shown else None


def tapped(arm: str, *, who: str = "card-a", serial: str = "P1", when: datetime = T0) -> f.CardPresented:
    return f.CardPresented(
        key=f"card:{arm}", at=when, serial=serial, arm_id=arm, card=f.Card(card_ref=who), session_id=f"S-{arm}",
        id_token=f"TAG-{arm}", remote_start_id=int.from_bytes(arm.encode()), receipt_token=f"R-{arm}",
    )  # fmt: skip


def began(
    station_id: str, evse_id: int | None, transaction_id: str | None, *, token: str | None = None, seconds: float = 0,
    register: int = 0, **more: Any,
) -> f.TransactionStarted:  # fmt: skip
    said: dict[str, Any] = {"station_time": at(seconds)} | more
    return f.TransactionStarted(
        key=f"began:{station_id}:{evse_id}:{transaction_id}:{token}:{seconds}", at=at(seconds), station_id=station_id,
        evse_id=evse_id, transaction_id=transaction_id, id_token=token, register_wh=Decimal(register), **said,
    )  # fmt: skip


def over(
    station_id: str, transaction_id: str | None, *, seconds: float = 3600, register: int | None = 10_000, **more: Any
) -> f.TransactionEnded:
    said: dict[str, Any] = {"station_time": at(seconds)} | more
    return f.TransactionEnded(
        key=f"over:{station_id}:{transaction_id}:{seconds}:{register}", at=at(seconds), station_id=station_id,
        transaction_id=transaction_id, register_wh=None if register is None else Decimal(register), **said,
    )  # fmt: skip
