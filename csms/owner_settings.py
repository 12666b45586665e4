"""Settings of what is done for site owners and their terminals."""

from __future__ import annotations

import ssl
from datetime import time, timedelta
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator

from csms.ocpp_settings import Section
from csms.terminals.alarms import Thresholds
from csms.terminals.letters import Recipient, is_address
from csms.terminals.mail import MailOptions, Security


class RoundSettings(Section):
    """The daily round: licences, inspections, reminders, statements; whatever happens by the calendar."""

    time_zone: str = Field("Europe/Oslo", description="IANA zone of the operator: what a day, a week and a month are.")
    at: time = Field(time(4, 0), description="Time of day in that zone. Rounds that were missed are made up for.")

    @field_validator("time_zone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is no IANA time zone; write one such as Europe/Oslo") from None
        return value


_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class MailSettings(Section):
    """The mail server through which reminders go out. Without this section they are read over the API."""

    host: str = Field(min_length=1, max_length=253, description="The mail server (SMTP submission).")
    port: int = Field(587, ge=1, le=65535, description="Its port: 587 with STARTTLS, 465 with TLS.")
    security: Security = Field(
        Security.STARTTLS,
        description="starttls, tls, or plain. Plain is for a server on this machine; see allow_plain.",
    )
    allow_plain: bool = Field(False, description="Allow plain to another machine: anybody between reads the mails.")
    ca_file: Path | None = Field(None, description="PEM file of the CA of the server's certificate. None: public CAs.")
    user: str = Field("", description="User name at the server. Empty: it wants none.")
    password: SecretStr = Field(SecretStr(""), description="Its password. Secret.")
    sender: str = Field(description="The address from which reminders come, such as care@example.org.")
    sender_name: str = Field("", max_length=80, description="The name beside it.")
    platform_recipients: tuple[str, ...] = Field((), description="Addresses of the platform's own people.")
    timeout_s: float = Field(30, gt=0, le=300, description="Seconds to wait for the server at each step.")

    @field_validator("sender")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if not is_address(value):
            raise ValueError("is no e-mail address; write one such as care@example.org")
        return value

    @field_validator("platform_recipients")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = sum(not is_address(one) for one in value)
        if wrong:
            raise ValueError(f"has {wrong} that are no e-mail addresses; write them such as care@example.org")
        return value

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.security is Security.PLAIN and self.host not in _LOOPBACK and not self.allow_plain:
            raise ValueError(
                "security is plain, and the server is another machine: use starttls or tls, or set allow_plain"
            )
        if bool(self.user) != bool(self.password.get_secret_value()):
            raise ValueError("user and password go together: give both, or neither")
        return self

    def options(self) -> MailOptions:
        """As `csms.terminals.mail` knows it. Raises OSError, ssl.SSLError for a ca_file that cannot be read."""
        return MailOptions(
            host=self.host,
            port=self.port,
            security=self.security,
            tls=ssl.create_default_context(cafile=self.ca_file),
            user=self.user,
            password=self.password.get_secret_value(),
            sender=Recipient(name=self.sender_name, address=self.sender),
            platform=tuple(Recipient(name="", address=one) for one in self.platform_recipients),
            timeout_s=self.timeout_s,
        )


class CareSettings(Section):
    """Reminders, and when something about a terminal or a station is an alarm."""

    reminder_days: int = Field(
        14, ge=1, le=365, description="A reminder that could not be sent for so many days is not sent any more."
    )
    watch_s: int = Field(300, ge=1, le=86_400, description="Seconds between looks for alarms.")
    offline_min: int = Field(60, ge=1, description="A terminal that is offline for longer is an alarm, minutes.")
    station_offline_min: int = Field(60, ge=1, description="A station that is away for longer is an alarm, minutes.")
    failure_percent: int = Field(
        50, ge=1, le=100, description="An alarm where this share of taps or more failed, today and yesterday, percent."
    )
    failure_taps: int = Field(10, ge=1, description="So few taps or fewer prove no failure rate.")
    silent_days: int = Field(14, ge=1, description="A live terminal without a tap for so many days is an alarm.")
    release_h: int = Field(24, ge=1, description="A release of a hold unconfirmed for so many hours is an alarm.")
    capture_h: int = Field(72, ge=1, description="A capture unconfirmed for so many hours is an alarm.")
    photo_bytes: int = Field(8_388_608, ge=1024, le=67_108_864, description="Largest photo taken, bytes.")

    def thresholds(self) -> Thresholds:
        """As `csms.terminals.alarms` knows them."""
        return Thresholds(
            every=timedelta(seconds=self.watch_s),
            terminal_offline=timedelta(minutes=self.offline_min),
            station_offline=timedelta(minutes=self.station_offline_min),
            failure_percent=self.failure_percent,
            failure_taps=self.failure_taps,
            silent=timedelta(days=self.silent_days),
            release=timedelta(hours=self.release_h),
            capture=timedelta(hours=self.capture_h),
        )
