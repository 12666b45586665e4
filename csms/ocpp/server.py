"""The stations' doors, one per security profile: which version they speak, which socket is theirs."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import Callable
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from csms.ocpp.connection import Connection, Note, nobody
from csms.ocpp.dialect import StationContext
from csms.ocpp.doorkeeper import MUTUAL_TLS, PLAIN, REFUSED, TLS, Doorkeeper, Handshake, Refusal
from csms.ocpp.options import OcppOptions
from csms.ocpp.tls import TlsDoor
from csms.ocpp.versions import DIALECTS
from sessions import facts
from sessions.directory import Inbox, StationDirectory

log = logging.getLogger(__name__)


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
        self._doorkeeper = Doorkeeper(options, directory, clock)
        self._doors: dict[int, Server] = {}
        #: The doors with TLS, by security profile, once started.
        self.tls: dict[int, TlsDoor] = {}
        #: This system's own CA, PEM: trusted at the door with mutual TLS. To be set before the start.
        self.own_ca_pem = ""
        self.connections: dict[str, Connection] = {}
        self._sockets: dict[str, ServerConnection] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port for stations without TLS (security profile 1); the one of the settings while it is closed."""
        return self.ports.get(PLAIN, self.options.port)

    @property
    def ports(self) -> dict[int, int]:
        """The ports that are open, by security profile."""
        return {profile: int(next(iter(door.sockets)).getsockname()[1]) for profile, door in self._doors.items()}

    async def start(self) -> None:
        """Listen. OSError if a port is taken, `TlsError` if the certificates cannot be used."""
        o = self.options
        if o.tls_port is not None:
            self.tls[TLS] = TlsDoor(o.certificates)
        if o.mutual_tls_port is not None:
            self.tls[MUTUAL_TLS] = TlsDoor(o.certificates, o.trusted, self.own_ca_pem)
        ports = {PLAIN: o.port if o.plain else None, TLS: o.tls_port, MUTUAL_TLS: o.mutual_tls_port}
        try:
            for profile, port in ports.items():
                if port is not None:
                    self._doors[profile] = await self._open(profile, port)
        except BaseException:
            await self.stop()
            raise

    async def _open(self, profile: int, port: int) -> Server:
        door = self.tls.get(profile)
        handshake: dict[str, Any] = {"ssl_handshake_timeout": 10, "ssl_shutdown_timeout": 2} if door is not None else {}
        return await serve(
            self._serve,
            self.options.host,
            port,
            ssl=door.context if door is not None else None,
            process_request=partial(self._admit, profile),
            select_subprotocol=self._negotiate,
            compression=None,  # costs a third of the CPU and 35 KiB a connection
            max_size=self.options.max_frame_bytes,
            ping_interval=self.options.ping_interval_s,
            ping_timeout=self.options.ping_timeout_s,
            close_timeout=2,
            server_header=None,
            logger=_Discreet(logging.getLogger("tapvolt.websockets")),
            **handshake,
        )

    async def stop(self) -> None:
        """Close every line and the ports."""
        for line in self.connections.values():
            line.close()
        for door in self._doors.values():
            door.close(close_connections=True)
        for door in self._doors.values():
            await door.wait_closed()

    def dismiss(self, station_id: str) -> None:
        """Hang up on a station that an operator has refused; nothing more is taken from it."""
        line, socket = self.connections.get(station_id), self._sockets.get(station_id)
        if line is not None and socket is not None:
            line.close()
            task = asyncio.create_task(socket.close(1008, REFUSED))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    # --- the handshake ------------------------------------------------------------------------------------------------

    async def _admit(self, profile: int, connection: ServerConnection, request: Request) -> Response | None:
        """None to let it in; a refusal says why."""
        tls: ssl.SSLObject | None = connection.transport.get_extra_info("ssl_object")
        shake = Handshake(
            path=request.path,
            headers=request.headers,
            address=str(connection.remote_address[0]) if connection.remote_address else "",
            profile=profile,
            certificate=tls.getpeercert(binary_form=True) if tls is not None else None,
        )
        try:
            admitted = await self._doorkeeper.judge(shake)
        except Refusal as refusal:
            return _refuse(refusal.status, refusal.reason)
        except Exception:
            log.exception("a station's handshake could not be judged")
            reason = "stations cannot be looked up now; try again later"
            return _refuse(HTTPStatus.SERVICE_UNAVAILABLE, reason)
        connection.username = admitted.identity
        connection.held = admitted.held  # type: ignore[attr-defined]
        connection.profile = profile  # type: ignore[attr-defined]
        return None

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
            options=self.options,
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
                security_profile=int(getattr(socket, "profile", 0)),
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


def _refuse(status: HTTPStatus, reason: str) -> Response:
    body = f"{reason}\n".encode()
    headers = Headers(
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), ("Connection", "close")]
    )
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="OCPP", charset="UTF-8"'
    return Response(int(status), status.phrase, headers, body)
