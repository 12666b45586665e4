"""What Payter calls back: unsigned, possibly twice, out of order, late or never.

The path carries a secret, one for each processor, and the interaction's id; it is compared in constant time, answered
with the same 404 whatever is wrong with it, and never logged. A callback is answered after the commit of its fact;
nothing waits for money. What moves money is asked from the service itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

import orjson
from aiohttp import web

from billing.pan import contains_pan
from bridge.cards import card_presented
from bridge.options import PayterOptions
from bridge.payter_objects import parse_card
from bridge.redaction import where
from bridge.screens import choice_of, session_of
from sessions.directory import ArmRecord, ArmState, Inbox, TerminalDirectory
from sessions.facts import EvseChosen
from sessions.verification import TrialAt

log = logging.getLogger(__name__)

BODY_LIMIT = 64 * 1024  # bytes
BODY_TIMEOUT_S = 5.0
KINDS = ("card", "ui", "session")


class _BadBodyError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class TrialCallbacks(Protocol):
    """Whoever makes test transactions, whose interactions the directory does not know."""

    async def trial(self, arm_id: str) -> TrialAt | None:
        """The test transaction of this interaction, None if there is none."""
        ...

    async def called_back(self, test_id: str) -> None:
        """The terminals' cloud called its address; written down on return."""
        ...


class PayterCallbacks:
    """The routes that Payter calls. ``wake`` tells a keeper to look; ``heard`` takes a terminal's online state."""

    def __init__(
        self,
        options: PayterOptions,
        inbox: Inbox,
        terminals: TerminalDirectory,
        *,
        clock: Callable[[], datetime],
        wake: Callable[[str], None],
        heard: Callable[[str, bool, str], Awaitable[None]],
    ) -> None:
        self._options = options
        self._inbox = inbox
        self._terminals = terminals
        self._clock = clock
        self._wake = wake
        self._heard = heard
        self.trials: TrialCallbacks | None = None

    def routes(self) -> list[web.RouteDef]:
        """The routes, for the application to add. Log their requests with `RedactingAccessLogger` or not at all."""
        return [
            web.post("/callbacks/payter/{secret}/terminal", self.on_terminal),
            web.post("/callbacks/payter/{secret}/{arm_id}/{kind}", self.on_interaction),
        ]

    async def on_interaction(self, request: web.Request) -> web.Response:
        """A card was read, an item was touched, or a payment changed, in one interaction."""
        arm_id, kind = request.match_info["arm_id"], request.match_info["kind"]
        try:
            # Looked up even for a wrong secret: neither the answer nor its time says which of the two was wrong.
            arm = await self._terminals.arm(arm_id) if len(arm_id) <= 64 else None
            trial = await self.trials.trial(arm_id) if self.trials and arm is None and len(arm_id) <= 64 else None
            account_id = arm.account_id if arm else trial.account_id if trial else ""
            genuine = self._genuine(request, account_id)
            if genuine and self.trials and trial is not None and kind in KINDS:
                await self.trials.called_back(trial.test_id)
                return web.Response()
            if not genuine or arm is None or kind not in KINDS:
                return _not_found()
            body = await _json_object(request)
            match kind:
                case "card":
                    return await self._card(arm, body)
                case "ui":
                    return await self._choice(arm, body)
                case _:
                    self._wake(arm.serial)  # says nothing that is not asked for anyway
                    return web.Response()
        except _BadBodyError as exc:
            return web.Response(status=exc.status)
        except Exception as exc:
            log.error("a callback (%s) could not be stored: %s", kind if kind in KINDS else "?", where(exc))
            return web.Response(status=503)

    async def on_terminal(self, request: web.Request) -> web.Response:
        """The account-wide terminal-state hook. Terminals that are not ours are answered and forgotten."""
        account_id, dot, _ = request.match_info["secret"].partition(".")
        if not self._genuine(request, account_id[:64] if dot else ""):
            return _not_found()
        try:
            body = await _json_object(request)
            serial = body.get("serialNumber")
            record = await self._terminals.terminal(serial) if isinstance(serial, str) and len(serial) <= 64 else None
            if record is not None and record.account_id == (account_id if dot else ""):
                online, state = body.get("online"), body.get("state")
                if isinstance(online, bool):
                    await self._heard(record.serial, online, state[:32] if isinstance(state, str) else "")
                self._wake(record.serial)
        except _BadBodyError as exc:
            return web.Response(status=exc.status)
        except Exception as exc:
            log.error("a terminal's state could not be stored: %s", where(exc))
            return web.Response(status=503)
        return web.Response()

    async def _card(self, arm: ArmRecord, body: dict[str, Any]) -> web.Response:
        serial = body.get("serialNumber")
        if isinstance(serial, str) and serial and serial != arm.serial:
            return _not_found()
        if arm.state is ArmState.CLOSED:  # too late: the reader has forgotten this card
            return web.Response()
        card = parse_card(body)
        if card is not None:
            fact = card_presented(
                card,
                card_hash_key=self._options.card_hash_key,
                serial=arm.serial,
                arm_id=arm.arm_id,
                now=self._clock(),
            )
            await self._inbox.submit(fact)
        self._wake(arm.serial)  # without a card id the keeper asks for the card
        return web.Response()

    async def _choice(self, arm: ArmRecord, body: dict[str, Any]) -> web.Response:
        screen, response = body.get("screenId"), body.get("response")
        if arm.state is ArmState.CLOSED or not isinstance(screen, str) or not isinstance(response, str):
            return web.Response()
        session_id, choice = session_of(screen), choice_of(response)
        if not session_id or not choice or len(screen) > 128 or len(choice) > 256 or contains_pan(choice):
            return web.Response()
        await self._inbox.submit(
            EvseChosen(
                key=f"choice:{screen}", at=self._clock(), serial=arm.serial, session_id=session_id, choice=choice
            )
        )
        return web.Response()

    def _genuine(self, request: web.Request, account_id: str) -> bool:
        secret = self._options.secret_of(account_id)
        return hmac.compare_digest(_digest(request.match_info["secret"]), _digest(secret))


def _digest(text: str) -> bytes:
    """Of equal length for all, so that comparing tells nothing of the secret's own."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _not_found() -> web.Response:
    """Word for word what aiohttp answers where there is no route."""
    return web.Response(status=404, text="404: Not Found")


async def _json_object(request: web.Request) -> dict[str, Any]:
    """The body, a JSON object of limited size; an empty body is an empty object."""
    if (request.content_length or 0) > BODY_LIMIT:
        raise _BadBodyError(413)
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.content.iter_chunked(8192):
                raw += chunk
                if len(raw) > BODY_LIMIT:
                    raise _BadBodyError(413)
    except TimeoutError:
        raise _BadBodyError(408) from None
    if not raw.strip():
        return {}
    try:
        body = orjson.loads(bytes(raw))
    except orjson.JSONDecodeError:
        raise _BadBodyError(400) from None
    if not isinstance(body, dict):
        raise _BadBodyError(400)
    return body
