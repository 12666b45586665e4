"""What the operator sets for the OCPP shell."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from csms.ocpp.tls import KeyPair
from csms.stations.contract_certificates import ContractOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppOptions:
    """Seconds, bytes, messages a second. See `csms.ocpp_settings.OcppSettings` for what each one does."""

    host: str = "127.0.0.1"
    plain: bool = True
    port: int = 0
    tls_port: int | None = None
    mutual_tls_port: int | None = None
    certificates: tuple[KeyPair, ...] = ()
    trusted: tuple[Path, ...] = ()
    organisation: str = ""  # what a station's certificate must have as O at the door with mutual TLS; empty: any
    signing_organisation: str | None = None  # what a station's request must have; None: nothing is signed
    ocsp_private: bool = False
    contracts: ContractOptions = field(default_factory=ContractOptions)
    path: str = "/ocpp"
    unknown_stations: Literal["accept", "hold", "refuse"] = "hold"
    call_timeout_s: float = 30
    ping_interval_s: float = 20
    ping_timeout_s: float = 20
    max_frame_bytes: int = 262_144
    messages_per_s: float = 50
    burst: int = 200  # messages taken at once before `messages_per_s` slows a station down
    bad_frames: int = 20  # frames that are no OCPP-J before the line is closed
    heartbeat_interval_s: int = 300
    held_retry_s: int = 60  # a held station asks again after this
    password_failures: int = 5  # wrong passwords for one station from one address before it has to wait
    password_wait_s: float = 30
    address_failures: int = 50  # of all stations from one address, before that address has to wait
    address_forgive_s: float = 5  # one of them is forgiven after this: a site whose one station fails for ever goes on
