"""`sessions.ports.TerminalPort` over Payter: what to ask before, and what to make of the answer.

There are no idempotency keys: after a silence the truth is asked for (GET), nothing is repeated blindly. A repeated
authorise is the dangerous one, so it happens only while the reader still holds the very card of the interaction.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from bridge import screens
from bridge.cards import card_ref
from bridge.options import PayterOptions
from bridge.payter_objects import PaymentSession, PaymentState, ReadCard, TerminalState, TerminalStatus
from bridge.payter_wire import Done, Failure, NotSent, PayterWire, Refusal
from bridge.redaction import where
from bridge.texts import held_words, words
from bridge.wires import Wires
from sessions.commands import (
    AuthoriseHold,
    CaptureHold,
    LookUpHold,
    Message,
    ReleaseHold,
    ShowOnTerminal,
    ShowSelection,
)
from sessions.directory import ArmRecord, ArmState, Inbox, TerminalDirectory
from sessions.facts import ArmClosed
from sessions.families import family_of
from sessions.ports import (
    Captured,
    CaptureOutcome,
    Declined,
    Failed,
    Held,
    HoldOutcome,
    NotFound,
    Released,
    ReleaseOutcome,
    Unknown,
)

log = logging.getLogger(__name__)


class PayterTerminals:
    """The doers' door to Payter's terminals. ``wake`` tells a terminal's keeper that its interaction is over.

    Money is moved through the processor that the command names, which is the one its session was armed at; screens are
    shown through the one at which the reader is armed now.
    """

    def __init__(
        self,
        options: PayterOptions,
        wires: Wires,
        inbox: Inbox,
        terminals: TerminalDirectory,
        *,
        clock: Callable[[], datetime],
        wake: Callable[[str], None],
    ) -> None:
        self._options = options
        self._wires = wires
        self._inbox = inbox
        self._terminals = terminals
        self._clock = clock
        self._wake = wake

    # --- holds ----------------------------------------------------------------------------------------------------

    async def authorise(self, command: AuthoriseHold, *, attempt: int, known_refs: frozenset[str]) -> HoldOutcome:
        """Turn the card of the interaction into a hold. Above attempt 1: look first whether one stands already."""
        wire = await self._wires.of(command.account_id)
        live = await self._live(command.serial, command.arm_id)
        if attempt <= 1:
            if live is None:  # the card was forgotten: authorising now could take the next driver's
                return Declined("interaction over")
            return await self._authorise(command, live, known_refs, wire)
        # The state is read before the list: a hold that comes about in between is then in the list.
        status = None if live is None else await wire.terminal(command.serial)
        arm = live or await self._terminals.arm(command.arm_id)
        found = await self._find(command, arm, known_refs, wire)
        if not isinstance(found, NotFound):
            return await self._concluded(command.serial, command.arm_id, found)
        if live is None:
            return found
        if _reader(status) is TerminalState.CARD:
            card = await wire.card(command.serial, 0)
            if not isinstance(card, ReadCard):
                return Unknown("no card to be seen")
            if self._same_card(card.card_id, command.card_ref):
                return await self._authorise(command, live, known_refs, wire)
        elif _reader(status) not in (TerminalState.IDLE, TerminalState.READING):
            return Unknown("terminal busy or offline")
        return await self._concluded(command.serial, command.arm_id, found)

    async def look_up(self, command: LookUpHold, *, known_refs: frozenset[str]) -> HoldOutcome:
        """Whether a hold stands for the tap. NotFound is final: a card still in the reader is forgotten first."""
        wire = await self._wires.of(command.account_id)
        live = await self._live(command.serial, command.arm_id)
        settled = live is None
        if live is not None:
            status = await wire.terminal(command.serial)
            match _reader(status):
                case TerminalState.IDLE | TerminalState.READING:
                    settled = True
                case TerminalState.CARD:  # an authorise on its way could still succeed: stop it from doing so
                    settled = isinstance(await wire.stop(command.serial), Done)
        arm = live or await self._terminals.arm(command.arm_id)
        found = await self._find(command, arm, known_refs, wire)
        if isinstance(found, NotFound) and not settled:
            return Unknown("terminal busy or offline")
        return await self._concluded(command.serial, command.arm_id, found) if live else found

    async def _authorise(
        self, command: AuthoriseHold, arm: ArmRecord, known_refs: frozenset[str], wire: PayterWire
    ) -> HoldOutcome:
        text = held_words(command.language, arm.hold_minor, command.currency).line(self._options.message_separator)
        reply = await wire.authorize(command.serial, text)
        outcome: HoldOutcome
        match reply:
            case PaymentSession(state=PaymentState.AUTHORIZED) if reply.session_id:
                outcome = await self._held_or_not_ours(command, reply, wire)
            case PaymentSession(state=PaymentState.DECLINED | PaymentState.FAILED | PaymentState.CANCELLED):
                outcome = Declined(f"declined {reply.response_code}".strip())
            case NotSent():
                outcome = Declined("payment service unreachable")
            case Refusal(status=409):  # no card in the reader: gone, or authorised already
                found = await self._find(command, arm, known_refs, wire)
                outcome = Declined("no card in the reader") if isinstance(found, NotFound) else found
            case Refusal(credible=True):
                outcome = Declined(f"payment service said {reply.status}")
            case Done() | PaymentSession():
                outcome = Unknown("answered without a result")
            case _:
                outcome = Unknown(_reason(reply))
        return await self._concluded(command.serial, command.arm_id, outcome)

    async def _held_or_not_ours(self, command: AuthoriseHold, session: PaymentSession, wire: PayterWire) -> HoldOutcome:
        """The hold, unless it was taken from another card than the one that was read: that one is given back."""
        if session.card_id and not self._same_card(session.card_id, command.card_ref):
            log.error("terminal %s: authorised another card than was read; cancelling", command.serial)
            reply = await wire.cancel(command.serial, session.session_id)
            if isinstance(reply, PaymentSession) and reply.state is PaymentState.CANCELLED:
                return Declined("another card was authorised")
            # Not confirmed: it must stand in the books, or nobody would ever give it back.
        return _held(session, command.hold_minor)

    async def _find(
        self, asked: AuthoriseHold | LookUpHold, arm: ArmRecord | None, known_refs: frozenset[str], wire: PayterWire
    ) -> Held | NotFound | Unknown:
        """The newest hold of this card that nobody knows of and that is not older than the interaction."""
        sessions = await wire.sessions(asked.serial)
        if not isinstance(sessions, list):
            return Unknown(_reason(sessions))
        since = arm.opened_at - timedelta(seconds=self._options.clock_tolerance_s) if arm else None
        holds = [
            session
            for session in sessions
            if session.state is PaymentState.AUTHORIZED
            and session.session_id
            and session.session_id not in known_refs
            and session.card_id
            and self._same_card(session.card_id, asked.card_ref)
            # A hold without a time is taken: better in the books than forgotten.
            and (session.at is None or since is None or session.at >= since)
        ]
        if not holds:
            return NotFound()
        if len(holds) > 1:
            log.error("terminal %s: %d unknown holds of one card; taking the newest", asked.serial, len(holds))
        newest = max(holds, key=lambda session: session.at.timestamp() if session.at else 0.0)
        return _held(newest, arm.hold_minor if arm else 0)

    async def _concluded(self, serial: str, arm_id: str, outcome: HoldOutcome) -> HoldOutcome:
        """The same outcome; unless it is unknown, the interaction is over and the reader may be armed again."""
        if not isinstance(outcome, Unknown):
            await self._close(serial, arm_id, type(outcome).__name__.lower())
        return outcome

    # --- capture and release --------------------------------------------------------------------------------------

    async def capture(self, command: CaptureHold, *, attempt: int) -> CaptureOutcome:
        """Capture once. Above attempt 1 the truth is asked for first. Raises ``ValueError`` above the hold or at 0."""
        if not 0 < command.amount_minor <= command.held_minor:
            raise ValueError("a capture must be above 0 and not above the hold")
        wire = await self._wires.of(command.account_id)
        if attempt > 1:
            session = await _session(wire, command)
            if not isinstance(session, PaymentSession):
                return session
            if session.state is not PaymentState.AUTHORIZED:
                return _captured(session, command.amount_minor)
        parameters = {"amount_minor": str(command.amount_minor), "currency": command.currency}
        text = await self._parting(command.serial, Message.FINISHED, command.language, parameters, attempt)
        reply = await wire.commit(command.serial, command.payment_ref, command.amount_minor, text)
        match reply:
            case PaymentSession():
                return _captured(reply, command.amount_minor)
            case Done() | Refusal(status=409):
                session = await _session(wire, command)
                return _captured(session, command.amount_minor) if isinstance(session, PaymentSession) else session
            case _:
                return _not_done(reply)

    async def release(self, command: ReleaseHold, *, attempt: int) -> ReleaseOutcome:
        """Release the whole hold. Above attempt 1 the truth is asked for first."""
        wire = await self._wires.of(command.account_id)
        if attempt > 1:
            session = await _session(wire, command)
            if not isinstance(session, PaymentSession):
                return session
            if session.state is not PaymentState.AUTHORIZED:
                return _released(session)
        text = await self._parting(command.serial, Message.NOT_CHARGED, command.language, {}, attempt)
        reply = await wire.cancel(command.serial, command.payment_ref, text)
        match reply:
            case PaymentSession():
                return _released(reply)
            case Done() | Refusal(status=409):
                session = await _session(wire, command)
                return _released(session) if isinstance(session, PaymentSession) else session
            case _:
                return _not_done(reply)

    async def _parting(
        self, serial: str, message: Message, language: str, parameters: dict[str, str], attempt: int
    ) -> str:
        """The message that rides on commit and cancel: not while another driver uses the screen, nor hours later."""
        arm = await self._terminals.latest_arm(serial)
        if attempt > 1 or (arm is not None and arm.state is ArmState.PRESENTED):
            return ""
        return words(message, language, parameters).line(self._options.message_separator)

    # --- screens --------------------------------------------------------------------------------------------------

    async def show(self, command: ShowOnTerminal) -> bool:
        """Show a message if there is a way to; with ``ends_interaction`` also forget the card. False: not shown."""
        text = words(command.message, command.language, command.parameters)
        latest = await self._terminals.latest_arm(command.serial)
        if latest is not None and latest.state is ArmState.PRESENTED and command.arm_id != latest.arm_id:
            return False  # somebody else stands at the terminal now
        if command.ends_interaction and _is_live(latest, command.arm_id):
            wire = await self._wires.of(latest.account_id if latest else command.account_id)
            reply = await wire.stop(command.serial, text.line(self._options.message_separator))
            if isinstance(reply, Done) and latest is not None:
                await self._close(command.serial, latest.arm_id, command.message.value)
                return True
            return False  # the keeper clears the reader once nobody needs the card
        record = await self._terminals.terminal(command.serial)
        if record is None or not family_of(record.family).screens:
            return False
        screen_id = screens.screen_id(command.session_id or "", command.key)
        if command.receipt_url_token:
            url = self._options.receipt_url(command.receipt_url_token)
            screen = screens.with_receipt(screen_id, text, url, self._options)
        else:
            screen = screens.notification(screen_id, command.message, text)
        # The reader's newest interaction says in which domain it is now; a session's own may be the one before.
        account_id = latest.account_id if latest else record.account_id
        wire, callback_url = await self._wires.of(account_id), self._options.ui_callback_url(latest, account_id)
        return isinstance(await wire.show(command.serial, screen, callback_url), Done)

    async def select(self, command: ShowSelection) -> bool:
        """Ask on the screen which EVSE; the answer is a UI callback. False: no screen, or the interaction is over."""
        record = await self._terminals.terminal(command.serial)
        latest = await self._terminals.latest_arm(command.serial)
        if record is None or not family_of(record.family).screens or not command.session_id:
            return False
        if latest is None or latest.state is not ArmState.PRESENTED:
            return False
        title = words(Message.CHOOSE_EVSE, command.language, {}).message
        screen_id = screens.screen_id(command.session_id, command.key)
        screen = screens.selection(screen_id, title, command.items, self._options)
        callback_url = self._options.ui_callback_url(latest, latest.account_id)
        wire = await self._wires.of(latest.account_id)
        return isinstance(await wire.show(command.serial, screen, callback_url), Done)

    # --- interactions ---------------------------------------------------------------------------------------------

    async def _live(self, serial: str, arm_id: str) -> ArmRecord | None:
        """The interaction, if it is the terminal's newest and not over: only then is the reader's card its card."""
        latest = await self._terminals.latest_arm(serial)
        return latest if _is_live(latest, arm_id) else None

    async def _close(self, serial: str, arm_id: str, reason: str) -> None:
        fact = ArmClosed(key=f"arm-closed:{arm_id}", at=self._clock(), serial=serial, arm_id=arm_id, reason=reason)
        try:
            await self._inbox.submit(fact)
        except Exception as exc:  # the outcome that was just learnt must not be lost; the keeper closes it later
            log.error("terminal %s: an interaction could not be closed: %s", serial, where(exc))
        self._wake(serial)

    def _same_card(self, card_id: str, ref: str) -> bool:
        return hmac.compare_digest(card_ref(self._options.card_hash_key, card_id), ref)


async def _session(wire: PayterWire, command: CaptureHold | ReleaseHold) -> PaymentSession | NotFound | Unknown:
    session = await wire.session(command.serial, command.payment_ref)
    return session if isinstance(session, PaymentSession) else _not_done(session)


def _is_live(latest: ArmRecord | None, arm_id: str | None) -> bool:
    return latest is not None and latest.arm_id == arm_id and latest.state is not ArmState.CLOSED


def _reader(status: TerminalStatus | Failure | None) -> TerminalState | None:
    """What the reader does; None if nobody can say, or if the terminal is offline."""
    return status.state if isinstance(status, TerminalStatus) and status.online else None


def _held(session: PaymentSession, armed_minor: int) -> Held:
    """The hold as the provider tells it; where it gives no credible amount, the armed one."""
    return Held(
        payment_ref=session.session_id,
        amount_minor=session.authorized_minor or armed_minor,
        authorisation_code=session.authorisation_code,
        host_reference=session.host_reference,
        merchant_reference=session.merchant_reference,
        terminal_transaction_id=session.terminal_transaction_id,
        aid=session.aid,
        held_at=session.at,
    )


def _captured(session: PaymentSession, asked_minor: int) -> CaptureOutcome:
    """What a payment's state says about its capture; another amount than ours is reported as theirs."""
    match session.state:
        case PaymentState.COMMITTED:
            amount = asked_minor if session.final_minor is None else session.final_minor
            return Captured(amount_minor=amount, captured_at=session.committed_at)
        case PaymentState.CANCELLED:
            return Released()
        case PaymentState.FAILED | PaymentState.DECLINED:
            return Failed(f"failed {session.response_code}".strip())
        case PaymentState.EXPIRED:
            return Failed("expired")
        case _:
            return Unknown(f"state {session.state.lower()}")


def _released(session: PaymentSession) -> ReleaseOutcome:
    """What a payment's state says about its release."""
    match session.state:
        case PaymentState.CANCELLED | PaymentState.EXPIRED:
            return Released()
        case PaymentState.COMMITTED:
            amount = session.final_minor if session.final_minor is not None else session.authorized_minor
            return Captured(amount_minor=amount or 0, captured_at=session.committed_at)
        case PaymentState.FAILED | PaymentState.DECLINED:
            return Failed(f"failed {session.response_code}".strip())
        case _:
            return Unknown(f"state {session.state.lower()}")


def _not_done(reply: Failure) -> NotFound | Unknown:
    """A call about a known payment that came to nothing: not known there, or to be asked again."""
    if isinstance(reply, Refusal) and reply.status == 404 and reply.credible:
        return NotFound()
    return Unknown(_reason(reply))


def _reason(reply: Failure) -> str:
    return f"HTTP {reply.status}" if isinstance(reply, Refusal) else reply.reason
