"""``/_sim``: what a person at the terminal, and the weather, can do; JSON in, JSON out. Simulator only, no login."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulators.terminal_cloud.faults import CALL_FAULTS, CALLBACK_FAULTS, CALLS
from simulators.terminal_cloud.model import DOMAIN, FAMILIES, WireError

if TYPE_CHECKING:
    from simulators.terminal_cloud.cloud import TerminalCloud

_PAGE = Path(__file__).with_name("page.html")
Body = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def control_routes(cloud: TerminalCloud) -> list[web.RouteDef]:
    """The routes of the controls."""
    controls = Controls(cloud)
    return [
        web.get("/_sim", _to_page),
        web.get("/_sim/", _page),
        web.get("/_sim/terminals", _verb(controls.terminals)),
        web.post("/_sim/terminals", _verb(controls.add)),
        web.get("/_sim/terminals/{serial}", _verb(controls.terminal)),
        web.get("/_sim/domains", _verb(controls.domains)),
        web.post("/_sim/domains", _verb(controls.open_domain)),
        web.get("/_sim/move", _verb(controls.moves)),
        web.post("/_sim/move", _verb(controls.move)),
        web.post("/_sim/tap", _verb(controls.tap)),
        web.post("/_sim/decline", _verb(controls.decline)),
        web.post("/_sim/choose", _verb(controls.choose)),
        web.post("/_sim/online", _verb(controls.online)),
        web.post("/_sim/reboot", _verb(controls.reboot)),
        web.post("/_sim/expire", _verb(controls.expire)),
        web.get("/_sim/fault", _verb(controls.faults)),
        web.post("/_sim/fault", _verb(controls.fault)),
        web.delete("/_sim/fault", _verb(controls.clear)),
        web.get("/_sim/calls", _verb(controls.calls)),
    ]


class Controls:
    """The verbs. Each takes a JSON object and gives what is to be answered; KeyError for a field that is missing."""

    def __init__(self, cloud: TerminalCloud) -> None:
        self._cloud = cloud

    async def terminals(self, _: Body) -> Any:
        """All of them."""
        return [state_of(self._cloud, serial) for serial in self._cloud.terminals]

    async def terminal(self, body: Body) -> Any:
        """One, with its screen and payments."""
        return state_of(self._cloud, body["serial"])

    async def add(self, body: Body) -> Any:
        """A new terminal: serial, family, currency, domain."""
        family, currency = body.get("family", "Apollo"), body.get("currency", "NOK")
        self._cloud.add_terminal(body["serial"], family, currency, body.get("domain", DOMAIN))
        await self._cloud.changed()
        return state_of(self._cloud, body["serial"])

    async def domains(self, _: Body) -> Any:
        """The domains, without their secrets, and the terminals in each."""
        found = [(each.domain, serial) for serial, each in self._cloud.terminals.items()]
        return [{"name": name, "terminals": [s for d, s in found if d == name]} for name in self._cloud.domains]

    async def open_domain(self, body: Body) -> Any:
        """A new domain: name, API key, and the Data API's user and password, where it asks for them."""
        self._cloud.add_domain(body["name"], body["api_key"], body.get("user", ""), body.get("password", ""))
        await self._cloud.changed()

    async def moves(self, _: Body) -> Any:
        """Every transfer so far."""
        return [asdict(transfer) | {"at": transfer.at.isoformat()} for transfer in self._cloud.transfers]

    async def move(self, body: Body) -> Any:
        """A terminal to another domain, by a TT number."""
        await self._cloud.move_terminal(body["serial"], body["domain"], body["tt_number"])
        return state_of(self._cloud, body["serial"])

    async def tap(self, body: Body) -> Any:
        """Card and kind, held to the reader."""
        read = await self._cloud.tap(body["serial"], body.get("card", "visa-1"), body.get("kind", "plastic"))
        return {"read": read}

    async def decline(self, body: Body) -> Any:
        """With a card: always that one; else the next ``times`` at the terminal."""
        if "card" in body:
            self._cloud.decline_card(body["card"], body.get("kind", "plastic"))
        else:
            self._cloud.decline_next(body["serial"], int(body.get("times", 1)))
        await self._cloud.changed()

    async def choose(self, body: Body) -> Any:
        """An item or button, by name or label."""
        return {"chosen": await self._cloud.choose(body["serial"], body["choice"])}

    async def online(self, body: Body) -> Any:
        """Cut off or brought back."""
        if not isinstance(body["online"], bool):
            raise TypeError("online is true or false")
        await self._cloud.set_online(body["serial"], body["online"])

    async def reboot(self, body: Body) -> Any:
        """Off, and ``down_s`` later on."""
        await self._cloud.reboot(body["serial"], float(body.get("down_s", 0)))

    async def expire(self, body: Body) -> Any:
        """The hold of one payment."""
        await self._cloud.expire_hold(body["serial"], body["session_id"])

    async def faults(self, _: Body) -> Any:
        """What is waiting, and what can be ordered."""
        known = {"calls": [*CALLS, "callback"], "call_faults": CALL_FAULTS, "callback_faults": CALLBACK_FAULTS}
        return {"waiting": self._cloud.faults.waiting(), **known, "families": FAMILIES}

    async def fault(self, body: Body) -> Any:
        """Order one."""
        times, delay_s = int(body.get("times", 1)), float(body.get("delay_s", 0))
        self._cloud.fault(body["call"], body["fault"], times, delay_s)
        await self._cloud.changed()

    async def clear(self, _: Body) -> Any:
        """No more faults."""
        self._cloud.faults.clear()

    async def calls(self, _: Body) -> Any:
        """Every call of the wire so far."""
        return [asdict(call) | {"at": call.at.isoformat()} for call in self._cloud.calls]


def state_of(cloud: TerminalCloud, serial: str) -> dict[str, Any]:
    """A terminal with its screen and its payments; each payment with its history and its calls."""
    terminal = cloud.terminal(serial)
    calls: dict[str, list[str]] = {}
    for call in cloud.calls:
        if call.session_id:
            calls.setdefault(call.session_id, []).append(f"{call.call} {call.outcome}")
    payments = [
        {
            "session_id": payment.session_id,
            "card": payment.card.name,
            "kind": payment.card.kind,
            "card_id": payment.card_id,
            "masked_pan": payment.card.masked_pan,
            "authorized_amount": payment.authorized_amount,
            "final_amount": payment.final_amount,
            "state": payment.state,
            "domain": payment.domain,
            "history": payment.history,
            "calls": calls.get(payment.session_id, []),
            "receipt_lines": payment.receipt_lines,
        }
        for payment in terminal.payments.values()
    ]
    known = {"serial": serial, "family": terminal.family, "currency": terminal.currency, "online": terminal.online}
    return known | {
        "domain": terminal.domain,
        "state": terminal.state,
        "screen": terminal.screen(),
        "sessions": payments,
    }


def _verb(action: Callable[[Body], Awaitable[Any]]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json() if request.can_read_body else {}
            if not isinstance(body, dict):
                raise TypeError("send a JSON object")
            result = await action(body | dict(request.match_info))
        except KeyError as missing:
            return web.json_response({"error": f"{missing} is missing"}, status=400)
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        except WireError as error:
            return web.json_response({"error": error.message}, status=error.status)
        return web.json_response(result if result is not None else {"ok": True})

    return handler


async def _page(_: web.Request) -> web.StreamResponse:
    return web.Response(text=_PAGE.read_text(encoding="utf-8"), content_type="text/html")


async def _to_page(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/_sim/")
