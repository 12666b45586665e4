"""What a message is: one decorated function in its version's module of its functional block.

A module makes a `Messages` table for its block and decorates with it:

- ``@messages.answer("Heartbeat")``: the station asks. The handler turns the payload into facts, waits for their commit
  and returns the answer's payload.
- ``@messages.ask("GetVariables")``: we ask. The function is pure: it turns what was asked and what the station answered
  into facts; they are committed together with the answer.
- ``messages.plain("ClearCache", …)``: we ask, and nothing but the answer itself is worth keeping.
- ``@messages.unanswered("NotifyPeriodicEventStream")``: 2.1's SEND: the station tells, and hears nothing.

The first line of each docstring is what `docs/messages.md` says of the message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from csms.ocpp.dialect import Handler, Payload, StationContext
from sessions.facts import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call of ours that the station answered with a CALLRESULT. ``response`` is as hostile as any payload."""

    station_id: str
    version: str
    action: str
    request: Payload
    response: Payload
    now: datetime
    command_id: str
    requested_by: str = ""

    def key(self, what: str) -> str:
        """A fact's key: one per command and ``what``."""
        return f"{what}:{self.command_id}"


Learn = Callable[[Asked], Iterable[Fact]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A message that stations send. ``tolerant``: the handler picks what it needs, whatever else breaks the schema."""

    action: str
    block: str
    does: str
    handler: Handler
    tolerant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A message that this system sends. ``learn``: what the answer means; None if it means nothing beyond itself."""

    action: str
    block: str
    does: str
    learn: Learn | None = None


Taker = Callable[[StationContext, Payload], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A message that stations send and nobody answers (2.1 part 4, SEND)."""

    action: str
    block: str
    does: str
    taker: Taker


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages of one functional block, as one version says them."""

    block: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asks: dict[str, Ask] = field(default_factory=dict)
    sends: dict[str, Send] = field(default_factory=dict)

    def answer(self, action: str, *, tolerant: bool = False) -> Callable[[Handler], Handler]:
        """Enter the handler of a station's message."""

        def enter(handler: Handler) -> Handler:
            self._new(action, self.answers)
            self.answers[action] = Answer(
                action=action, block=self.block, does=_does(handler), handler=handler, tolerant=tolerant
            )
            return handler

        return enter

    def ask(self, action: str) -> Callable[[Learn], Learn]:
        """Enter what an answer to our message means."""

        def enter(learn: Learn) -> Learn:
            self._new(action, self.asks)
            self.asks[action] = Ask(action=action, block=self.block, does=_does(learn), learn=learn)
            return learn

        return enter

    def unanswered(self, action: str) -> Callable[[Taker], Taker]:
        """Enter what is done with a station's SEND."""

        def enter(taker: Taker) -> Taker:
            self._new(action, self.sends)
            self.sends[action] = Send(action=action, block=self.block, does=_does(taker), taker=taker)
            return taker

        return enter

    def plain(self, action: str, does: str) -> None:
        """Enter a message of ours whose answer means nothing beyond itself."""
        self._new(action, self.asks)
        self.asks[action] = Ask(action=action, block=self.block, does=does)

    def _new(self, action: str, table: Mapping[str, object]) -> None:
        if action in table:
            raise ValueError(f"{action} is entered twice in {self.block}")


def _does(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").strip()
