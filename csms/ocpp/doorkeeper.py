"""Who may come in: the identity in the path, what proves it, and the security profile it came with.

Profile 1 and 2 prove it with HTTP Basic, profile 3 with a certificate (OCPP 2.0.1 part 2 A00, the whitepaper for 1.6).
A refusal is a sentence with a status; it says nothing that the station could not know.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from urllib.parse import unquote

from websockets.datastructures import Headers

from csms.ocpp.credentials import hash_password, verify_password
from csms.ocpp.options import OcppOptions
from csms.ocpp.throttle import Throttle
from csms.ocpp.versions import DIALECTS
from csms.stations.certificate import CertificateUnusable, certificate_problem, read_der
from sessions.directory import Admission, StationDirectory, StationRecord

log = logging.getLogger(__name__)

_IDENTITY = re.compile(r"[A-Za-z0-9*\-_=:+|@.]{1,48}")  # identifierString, OCPP-J 2.0.1 part 4 §3.1.1

PLAIN, TLS, MUTUAL_TLS = 1, 2, 3
REFUSED = "this station is refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a station brought. ``certificate``: DER, verified by TLS against the trusted CAs; profile 3 has one."""

    path: str
    headers: Headers
    address: str
    profile: int
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """It may come in, as this station."""

    identity: str
    held: bool


class Refusal(Exception):
    """It may not come in. ``guess``: whoever it is might be trying names, passwords or certificates."""

    def __init__(self, status: HTTPStatus, reason: str, *, guess: bool = False) -> None:
        super().__init__(reason)
        self.status, self.reason, self.guess = status, reason, guess


class Doorkeeper:
    """Judges handshakes. ``now``: the clock."""

    def __init__(self, options: OcppOptions, directory: StationDirectory, now: Callable[[], datetime]) -> None:
        self._options = options
        self._directory = directory
        self._now = now
        self._throttle = Throttle(
            failures=options.password_failures,
            address_failures=options.address_failures,
            wait_s=options.password_wait_s,
            forgive_s=options.address_forgive_s,
        )

    async def judge(self, shake: Handshake) -> Admitted:
        """Let it in. Raises `Refusal`."""
        identity = self._identity(shake.path)
        if identity is None:
            raise Refusal(HTTPStatus.NOT_FOUND, f"connect to {self._options.path}/<station id>")
        offered = [p.strip() for value in shake.headers.get_all("Sec-WebSocket-Protocol") for p in value.split(",")]
        if not any(version in offered for version in DIALECTS):
            spoken = ", ".join(DIALECTS)
            raise Refusal(HTTPStatus.BAD_REQUEST, f"no OCPP version in common; this system speaks {spoken}")
        if self._throttle.must_wait(identity, shake.address):
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong passwords; try again later")
        try:
            station = await self._prove(identity, shake, await self._directory.station(identity))
        except Refusal as refusal:
            if refusal.guess:
                self._throttle.failed(identity, shake.address)
            raise
        self._throttle.passed(identity, shake.address)
        if station is None or station.admission is Admission.REFUSED:
            raise Refusal(HTTPStatus.FORBIDDEN, REFUSED)
        return Admitted(identity=identity, held=station.admission is Admission.HELD)

    async def _prove(self, identity: str, shake: Handshake, station: StationRecord | None) -> StationRecord | None:
        if station is not None and shake.profile < station.security_profile:
            log.warning("station %s: came with security profile %s again", identity, shake.profile)
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                f"this station has to use security profile {station.security_profile} or higher: change its profile, "
                "or have the operator allow a lower one",
            )
        if shake.profile == MUTUAL_TLS:
            self._prove_by_certificate(identity, shake, station)
            return station if station is not None else (await self._introduce(identity, shake, None))[0]
        basic = _basic(shake.headers)
        password = basic[1] if basic is not None and basic[0] == identity else None
        if station is None:
            # Trust on first use: the password it came with is its password from now on.
            station, introduced = await self._introduce(identity, shake, password)
            if introduced:
                return station
        if station is not None:
            await self._prove_by_password(password, station)
        return station

    async def _introduce(
        self, identity: str, shake: Handshake, password: str | None
    ) -> tuple[StationRecord | None, bool]:
        """Write down a station that nobody configured; whether it was this one that did."""
        if self._options.unknown_stations == "refuse":
            raise Refusal(HTTPStatus.NOT_FOUND, "this station is not known here", guess=True)
        self._throttle.strange(shake.address)
        hashed = await hash_password(password) if password is not None else None
        accept = self._options.unknown_stations == "accept"
        await self._directory.register_station(identity, Admission.ACCEPTED if accept else Admission.HELD, hashed)
        station = await self._directory.station(identity)
        # Of two that come first at once, one set the password; the other has to know it.
        return station, station is not None and station.password_hash == hashed

    async def _prove_by_password(self, password: str | None, station: StationRecord) -> None:
        if password is not None:
            if station.password_hash is not None and await verify_password(password, station.password_hash):
                return
            for pending in (one for forms in reversed(station.pending_hashes) for one in forms):
                if await verify_password(password, pending):
                    await self._directory.adopt_password(station.station_id, pending)
                    log.info("station %s: has its new password; the old one is void", station.station_id)
                    return
        if station.password_hash is None:
            return  # none was ever set
        log.warning("station %s: wrong or missing password", station.station_id)
        raise Refusal(HTTPStatus.UNAUTHORIZED, "wrong or missing password for this station", guess=True)

    def _prove_by_certificate(self, identity: str, shake: Handshake, station: StationRecord | None) -> None:
        names = {identity, (station.serial_number if station is not None else None) or identity}
        problem: str | None = "the certificate is missing"
        if shake.certificate is not None:
            try:
                problem = certificate_problem(
                    read_der(shake.certificate),
                    names=names,
                    organisation=self._options.organisation or None,
                    now=self._now(),
                )
            except CertificateUnusable as error:
                problem = str(error)
        if problem is not None:
            log.warning("station %s: %s", identity, problem)
            raise Refusal(HTTPStatus.FORBIDDEN, problem, guess=True)

    def _identity(self, path: str) -> str | None:
        prefix = self._options.path.rstrip("/") + "/"
        bare = path.split("?", maxsplit=1)[0]
        if not bare.startswith(prefix):
            return None
        identity = unquote(bare[len(prefix) :])
        return identity if _IDENTITY.fullmatch(identity) else None


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
