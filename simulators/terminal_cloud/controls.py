"""``/_sim``: what a person at the terminal, and the weather, can do; JSON in, JSON out. Simulator only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulators.terminal_cloud.model import WireError

if TYPE_CHECKING:
    from simulators.terminal_cloud.cloud import TerminalCloud

_PAGE = Path(__file__).with_name("page.html")
Body = dict[str, Any]


def control_routes(cloud: TerminalCloud) -> list[web.RouteDef]:
    """The routes of the controls."""

    def verb(action: Callable[[Body], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            try:
                body = await request.json() if request.can_read_body else {}
                if not isinstance(body, dict):
                    raise TypeError("send a JSON object")
                result = await action(body)
            except KeyError as missing:
                return web.json_response({"error": f"{missing} is missing"}, status=400)
            except (ValueError, TypeError) as error:
                return web.json_response({"error": str(error)}, status=400)
            except WireError as error:
                return web.json_response({"error": error.message}, status=error.status)
            return web.json_response(result if result is not None else {"ok": True})

        return handler

    async def terminals(_: Body) -> Any:
        return [state_of(cloud, serial) for serial in cloud.terminals]

    async def add(body: Body) -> Any:
        cloud.add_terminal(body["serial"], body.get("family", "Apollo"), body.get("currency", "NOK"))
        return state_of(cloud, body["serial"])

    async def tap(body: Body) -> Any:
        return {"read": await cloud.tap(body["serial"], body.get("card", "visa-1"), body.get("kind", "plastic"))}

    async def choose(body: Body) -> Any:
        return {"chosen": await cloud.choose(body["serial"], body["choice"])}

    async def decline(body: Body) -> Any:
        if "card" in body:
            cloud.decline_card(body["card"], body.get("kind", "plastic"))
        else:
            cloud.decline_next(body["serial"], int(body.get("times", 1)))

    async def online(body: Body) -> Any:
        await cloud.set_online(body["serial"], bool(body["online"]))

    async def reboot(body: Body) -> Any:
        await cloud.reboot(body["serial"])

    async def fault(body: Body) -> Any:
        cloud.fault(body["call"], body["fault"], int(body.get("times", 1)), float(body.get("delay_s", 0)))

    async def clear(_: Body) -> Any:
        cloud.faults.clear()

    async def expire(body: Body) -> Any:
        await cloud.expire_hold(body["serial"], body["session_id"])

    async def calls(_: Body) -> Any:
        return [asdict(call) | {"at": call.at.isoformat()} for call in cloud.calls]

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE.read_text(encoding="utf-8"), content_type="text/html")

    return [
        web.get("/_sim/", page),
        web.get("/_sim/terminals", verb(terminals)),
        web.post("/_sim/terminals", verb(add)),
        web.post("/_sim/tap", verb(tap)),
        web.post("/_sim/choose", verb(choose)),
        web.post("/_sim/decline", verb(decline)),
        web.post("/_sim/online", verb(online)),
        web.post("/_sim/reboot", verb(reboot)),
        web.post("/_sim/fault", verb(fault)),
        web.delete("/_sim/fault", verb(clear)),
        web.post("/_sim/expire", verb(expire)),
        web.get("/_sim/calls", verb(calls)),
    ]


def state_of(cloud: TerminalCloud, serial: str) -> dict[str, Any]:
    """A terminal with its screen and its payments."""
    terminal = cloud.terminal(serial)
    payments = [
        {
            "session_id": payment.session_id,
            "card": payment.card.name,
            "authorized_amount": payment.authorized_amount,
            "final_amount": payment.final_amount,
            "state": payment.state,
            "history": payment.history,
        }
        for payment in terminal.payments.values()
    ]
    known = {"serial": serial, "family": terminal.family, "currency": terminal.currency, "online": terminal.online}
    return known | {"state": terminal.state, "screen": terminal.screen(), "sessions": payments}
