"""The stations' door: who may come in, which version they speak, which socket is theirs."""

from __future__ import annotations

import asyncio
import base64
import http
import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from csms.ocpp.connection import Connection, Note, nobody
from csms.ocpp.credentials import hash_password, verify_password
from csms.ocpp.dialect import StationContext
from csms.ocpp.options import OcppOptions
from csms.ocpp.versions import DIALECTS
from sessions import facts
from sessions.directory import Admission, Inbox, StationDirectory

log = logging.getLogger(__name__)

_IDENTITY = re.compile(r"[A-Za-z0-9*\-_=:+|@.]{1,48}")  # identifierString, OCPP-J 2.0.1 part 4 §3.1.1


class _Discreet(logging.LoggerAdapter[logging.Logger]):
    """The log of `websockets`, warnings and worse, whatever the root says.

    Below them it writes every handshake's headers and every frame's beginning: passwords, id tokens. And its releases
    before 16 quote a handshake that is no HTTP in a traceback.
    """

    def isEnabledFor(self, level: int) -> bool:
        return level >= logging.WARNING and super().isEnabledFor(level)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if msg == "opening handshake failed":
            kwargs.pop("exc_info", None)
        super().log(level, msg, *args, **kwargs)


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0


class OcppServer:
    """Listens for stations; knows the live connection of each."""

    def __init__(
        self,
        options: OcppOptions,
        inbox: Inbox,
        directory: StationDirectory,
        clock: Callable[[], datetime],
        note: Note = nobody,
    ) -> None:
        self.options = options
        self._inbox = inbox
        self._directory = directory
        self._clock = clock
        self._note = note
        self._server: Server | None = None
        self.connections: dict[str, Connection] = {}
        self._sockets: dict[str, ServerConnection] = {}
        self._failures: dict[tuple[str, str], _Failures] = {}  # by station and address

    @property
    def port(self) -> int:
        """The port stations connect to."""
        if self._server is None:
            return self.options.port
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def start(self) -> None:
        """Listen. OSError if the port is taken."""
        self._server = await serve(
            self._serve,
            self.options.host,
            self.options.port,
            process_request=self._admit,
            select_subprotocol=self._negotiate,
            compression=None,  # costs a third of the CPU and 35 KiB a connection
            max_size=self.options.max_frame_bytes,
            ping_interval=self.options.ping_interval_s,
            ping_timeout=self.options.ping_timeout_s,
            close_timeout=2,
            server_header=None,
            logger=_Discreet(logging.getLogger("tapvolt.websockets")),
        )

    async def stop(self) -> None:
        """Close every line and the port."""
        if self._server is not None:
            for line in self.connections.values():
                line.close()
            self._server.close(close_connections=True)
            await self._server.wait_closed()

    # --- the handshake ------------------------------------------------------------------------------------------------

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """None to let it in; a refusal says why."""
        try:
            return await self._judge(connection, request)
        except Exception:
            log.exception("a station's handshake could not be judged")
            return _refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, "stations cannot be looked up now; try again later")

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        """Identity from the path, password from HTTP Basic (security profile 1)."""
        identity = self._identity(request.path)
        if identity is None:
            return _refuse(http.HTTPStatus.NOT_FOUND, f"connect to {self.options.path}/<station id>")
        offered = [p.strip() for value in request.headers.get_all("Sec-WebSocket-Protocol") for p in value.split(",")]
        if not any(version in offered for version in DIALECTS):
            spoken = ", ".join(DIALECTS)
            return _refuse(http.HTTPStatus.BAD_REQUEST, f"no OCPP version in common; this system speaks {spoken}")
        # By address too: whoever knows a station's name must not be able to lock that station out.
        guesser = (identity, str(connection.remote_address[0]) if connection.remote_address else "")
        if self._must_wait(guesser):
            return _refuse(http.HTTPStatus.TOO_MANY_REQUESTS, "too many wrong passwords; try again later")
        basic = _basic(request.headers)
        station, introduced = await self._directory.station(identity), False
        if station is None:
            if self.options.unknown_stations == "refuse":
                return _refuse(http.HTTPStatus.NOT_FOUND, "this station is not known here")
            accept = self.options.unknown_stations == "accept"
            # Trust on first use: the password it came with is its password from now on.
            hashed = await hash_password(basic[1]) if basic and basic[0] == identity else None
            await self._directory.register_station(identity, Admission.ACCEPTED if accept else Admission.HELD, hashed)
            station = await self._directory.station(identity)
            # Of two that come first at once, one set the password; the other has to know it.
            introduced = station is not None and station.password_hash == hashed
        if station is not None and station.password_hash is not None and not introduced:
            known = basic is not None and basic[0] == identity
            if not known or basic is None or not await verify_password(basic[1], station.password_hash):
                self._failed(guesser)
                log.warning("station %s: wrong or missing password", identity)
                return _refuse(http.HTTPStatus.UNAUTHORIZED, "wrong or missing password for this station")
            self._failures.pop(guesser, None)
        if station is None or station.admission is Admission.REFUSED:
            return _refuse(http.HTTPStatus.FORBIDDEN, "this station is refused")
        connection.username = identity
        connection.held = station.admission is Admission.HELD  # type: ignore[attr-defined]
        return None

    def _identity(self, path: str) -> str | None:
        prefix = self.options.path.rstrip("/") + "/"
        bare = path.split("?", maxsplit=1)[0]
        if not bare.startswith(prefix):
            return None
        identity = unquote(bare[len(prefix) :])
        return identity if _IDENTITY.fullmatch(identity) else None

    def _must_wait(self, guesser: tuple[str, str]) -> bool:
        failures = self._failures.get(guesser)
        return failures is not None and time.monotonic() < failures.until

    def _failed(self, guesser: tuple[str, str]) -> None:
        if len(self._failures) > 10_000:
            self._failures.clear()
        failures = self._failures.setdefault(guesser, _Failures())
        failures.count += 1
        if failures.count >= self.options.password_failures:
            failures.until = time.monotonic() + self.options.password_wait_s
            failures.count = 0

    def _negotiate(self, _: ServerConnection, offered: object) -> Subprotocol | None:
        names = list(offered) if isinstance(offered, list | tuple) else []
        for version in DIALECTS:
            if version in names:
                return Subprotocol(version)
        raise NegotiationError("no OCPP version in common")

    # --- the line -----------------------------------------------------------------------------------------------------

    async def _serve(self, socket: ServerConnection) -> None:
        identity = str(socket.username)
        dialect = DIALECTS[str(socket.subprotocol)]
        ctx = StationContext(
            station_id=identity,
            version=dialect.version,
            inbox=self._inbox,
            directory=self._directory,
            now=self._clock,
            held=bool(getattr(socket, "held", False)),
            heartbeat_interval_s=self.options.heartbeat_interval_s,
            held_retry_s=self.options.held_retry_s,
            connection_nonce=secrets.token_hex(8),
        )
        line = Connection(ctx, dialect, self.options, send=socket.send, close=socket.close, note=self._note)
        await self._replace(identity)
        remote = str(socket.remote_address[0]) if socket.remote_address else ""
        connected = await self._inbox.submit(
            facts.StationConnected(
                key=ctx.unique_key("connected"),
                at=self._clock(),
                station_id=identity,
                version=dialect.version,
                remote_address=remote,
            )
        )
        line.epoch = connected.epoch or 0
        newer = self.connections.get(identity)
        if newer is not None and newer.epoch > line.epoch:
            await socket.close(1000, "replaced by a newer connection")
            return
        await self._replace(identity)  # one that came at the same time, and whose commit returned first
        self.connections[identity], self._sockets[identity] = line, socket
        log.info("station %s connected with %s", identity, dialect.version)
        try:
            async for message in socket:
                if line.replaced:
                    break  # a stale line's messages are refused: the station sends them again on its new one
                await line.receive(message)
        except ConnectionClosed:
            pass
        finally:
            line.close()
            if self.connections.get(identity) is line:
                del self.connections[identity], self._sockets[identity]
            await self._farewell(ctx, line, socket)

    async def _replace(self, identity: str) -> None:
        """A station that reconnects replaces its old socket, which may be dead without knowing it."""
        old_line, old_socket = self.connections.pop(identity, None), self._sockets.pop(identity, None)
        if old_line is not None and old_socket is not None:
            old_line.replaced = True
            old_line.close()
            task = asyncio.create_task(old_socket.close(1000, "replaced by a newer connection"))
            task.add_done_callback(lambda done: done.exception())

    async def _farewell(self, ctx: StationContext, line: Connection, socket: ServerConnection) -> None:
        # Whoever closed first says why. Our own reason stands although the station never confirms it.
        protocol = socket.protocol
        closed = protocol.close_rcvd if protocol.close_rcvd_then_sent else protocol.close_sent or protocol.close_rcvd
        reason = f"{closed.code} {closed.reason}".strip() if closed is not None else ""
        log.info("station %s disconnected (%s)", ctx.station_id, reason)
        try:
            await self._inbox.submit(
                facts.StationDisconnected(
                    key=ctx.unique_key("disconnected"),
                    at=self._clock(),
                    station_id=ctx.station_id,
                    epoch=line.epoch,
                    reason=reason[:200],
                )
            )
        except Exception:
            log.exception("station %s: its disconnection could not be written", ctx.station_id)


def _basic(headers: Headers) -> tuple[str, str] | None:
    """User name and password of HTTP Basic; None if there are none that can be read."""
    given = headers.get_all("Authorization")
    scheme, _, encoded = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # no base64, no ASCII, no UTF-8
        return None
    return (user, password) if colon else None


def _refuse(status: http.HTTPStatus, reason: str) -> Response:
    body = f"{reason}\n".encode()
    headers = Headers(
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), ("Connection", "close")]
    )
    if status is http.HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="OCPP", charset="UTF-8"'
    return Response(int(status), status.phrase, headers, body)
