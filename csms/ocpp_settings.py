"""Settings of how stations connect: ports, TLS, time-outs. Part of `csms.settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator


class Section(BaseModel):
    """A table of the settings file: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CertificateSettings(Section):
    """A server certificate for stations. Name an ECDSA and an RSA one: some stations know only one of the kinds."""

    certificate: Path = Field(description="PEM file: the certificate, then the CAs above it but the root.")
    key: Path = Field(description="PEM file of its private key. Changed files are noticed while it runs.")
    key_password: SecretStr | None = Field(None, description="Password of the key, where it is encrypted. Secret.")


class TlsSettings(Section):
    """The port for security profile 2: TLS, stations bring a password. Needs `ocpp.certificates`."""

    port: int = Field(9443, ge=0, le=65535, description="Port for stations (wss://). 0 takes a free one.")


class MutualTlsSettings(Section):
    """The port for security profile 3: TLS, stations bring a certificate. Needs `ocpp.certificates`."""

    port: int = Field(9444, ge=0, le=65535, description="Port for stations (wss://). 0 takes a free one.")
    trusted: tuple[Path, ...] = Field(
        (), description="PEM files of the CAs whose station certificates are taken. This system's own CA always is."
    )
    organisation: str = Field(
        "",
        max_length=64,
        description="The operator's name that a station's certificate must have as O. Empty: any. The own CA signs it.",
    )


class AuthoritySection(Section):
    """The operator's own certificate authority for stations. Without this section no certificate is signed."""

    passphrase: SecretStr = Field(
        description="Opens the authority's private keys, which are kept encrypted. 16 or more characters. Secret."
    )
    organisation: str = Field(
        min_length=1, max_length=64, description="The operator's name: O of the authority, and of every request."
    )
    key: Literal["EC", "RSA"] = Field(
        "EC", description="Kind of the authority's keys: P-256, or RSA of 3072 bits for stations that know no EC."
    )
    valid_days: int = Field(365, ge=1, le=3650, description="How long a station's certificate is valid, days.")
    renew_days: int = Field(30, ge=1, description="So long before its end a station is asked to renew it, days.")
    ocsp_private: bool = Field(
        False, description="Ask OCSP responders at addresses that are not public, when a station names one."
    )

    @field_validator("passphrase")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 16:
            raise ValueError("must have 16 characters or more")
        return value


class ContractSettings(Section):
    """Contract certificates of cars (ISO 15118, Plug & Charge). Without this section none is taken."""

    roots: tuple[Path, ...] = Field(
        (), description="PEM files of mobility operators' CAs: a contract certificate has to stand below one of them."
    )
    provider_url: str = Field(
        "",
        description="Who issues contract certificates: cars' requests are posted there as JSON (`action`, "
        "`exiRequest`, `iso15118SchemaVersion`, `stationId`); `exiResponse` is taken from the answer. Empty: nobody.",
    )
    provider_token: SecretStr | None = Field(None, description="Bearer token for the provider. Secret.")
    ocsp_private: bool = Field(False, description="Ask OCSP responders at addresses that are not public.")


class OcppSettings(Section):
    """How stations connect."""

    host: str = Field("0.0.0.0", description="Address to listen on for stations.")  # noqa: S104 - stations come from outside
    plain: bool = Field(
        True, description="Listen without TLS (security profile 1): only for networks that nobody else can reach."
    )
    port: int = Field(9000, ge=0, le=65535, description="Port without TLS (ws://). 0 takes a free one.")
    path: str = Field("/ocpp", description="Path prefix; a station connects to `{path}/{station id}`.")
    unknown_stations: Literal["accept", "hold", "refuse"] = Field(
        "hold",
        description=(
            "What to do with a station nobody configured: `accept` it (and remember the password it came with), "
            "`hold` it for approval (`tapvolt station approve`), or `refuse` the connection."
        ),
    )
    call_timeout_s: float = Field(
        30, gt=0, description="Seconds to wait for a station's answer. After that the outcome is unknown, not failed."
    )
    ping_interval_s: float = Field(20, gt=0, description="Seconds between websocket pings; an idle line is found dead.")
    ping_timeout_s: float = Field(20, gt=0, description="Seconds to wait for a pong before the connection is closed.")
    max_frame_bytes: int = Field(
        262_144, ge=4096, description="Largest frame taken, bytes. Larger ones close the line."
    )
    messages_per_s: float = Field(
        50,
        gt=0,
        description="Sustained messages a second from one station before it waits; a long one counts as one for each "
        "4 KiB.",
    )
    log_frames: bool = Field(
        True, description="Log every frame; `PATCH /api/v1/stations/{station_id}` says otherwise for one station."
    )
    log_frames_s: int = Field(604_800, ge=60, description="How long the frame log is kept, seconds.")
    configure_stations: bool = Field(
        True, description="Ask stations for what billing needs (sampling, registers, time-outs) when they boot."
    )
    configuration_check_s: int = Field(
        86_400, ge=60, description="Seconds between looks whether a station is still configured as it should be."
    )
    heartbeat_interval_s: int = Field(300, ge=1, description="Heartbeat interval told at boot, seconds.")
    meter_sample_interval_s: int = Field(
        60,
        ge=1,
        le=900,
        description="Sampling of the energy register asked of stations, seconds. Longer: earlier stops.",
    )
    certificates: tuple[CertificateSettings, ...] = ()
    tls: TlsSettings | None = None
    mutual_tls: MutualTlsSettings | None = None

    @model_validator(mode="after")
    def _a_door_is_open(self) -> Self:
        if (self.tls or self.mutual_tls) and not self.certificates:
            raise ValueError("tls and mutual_tls need a server certificate: name one under ocpp.certificates")
        if not (self.plain or self.tls or self.mutual_tls):
            raise ValueError("no station could connect: set plain, tls or mutual_tls")
        return self
