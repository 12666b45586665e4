"""Settings of what is done for site owners and their terminals."""

from __future__ import annotations

import re
from datetime import time
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator

from csms.ocpp_settings import Section
from csms.terminals.vault import HOW_TO_MAKE_A_KEY, is_key
from sessions.families import FAMILIES


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


class OnboardingSettings(Section):
    """Setting terminals live: what is verified, and how long it counts."""

    test_amount: Decimal = Field(
        Decimal("1.00"),
        gt=0,
        le=1000,
        max_digits=8,
        description="What a test transaction holds and releases, major units of the terminal's currency.",
    )
    card_wait_s: int = Field(180, ge=15, le=3600, description="Seconds to present a card for a test transaction.")
    checks_valid_h: float = Field(
        24, gt=0, le=8760, description="Hours a verification counts; an older one is made again at finishing."
    )
    test_valid_h: float = Field(
        168, gt=0, le=8760, description="Hours a test transaction counts; after that another one is asked for."
    )
    max_attachment_bytes: int = Field(10_485_760, ge=1024, le=104_857_600, description="Largest attachment, bytes.")
    max_import_rows: int = Field(1000, ge=1, le=5000, description="Largest number of rows of an import.")


class InventorySettings(Section):
    """The inventory of terminals."""

    serial_patterns: dict[str, str] = Field(
        {},
        description=(
            "Regular expressions by terminal family, instead of the built-in ones: what serial numbers entered by API "
            "or import list look like, in capitals and without spaces. Those in this file are taken as they are."
        ),
    )

    @field_validator("serial_patterns")
    @classmethod
    def _patterns(cls, value: dict[str, str]) -> dict[str, str]:
        for family, pattern in value.items():
            if family not in FAMILIES:
                raise ValueError(f"{family!r} is not a known terminal family; use one of {', '.join(FAMILIES)}")
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"the pattern of {family} is no regular expression: {error}") from None
        return value


class LicenceSettings(Section):
    """Licences of terminals."""

    grace_days: int = Field(
        14,
        ge=0,
        le=365,
        description=(
            "How long a terminal takes cards after the end of its plan, days. Changing it holds for plans that are "
            "assigned from then on."
        ),
    )


class VaultSettings(Section):
    """Keys of the vault, in which owners' credentials are kept. Without one, credentials cannot be entered."""

    keys: tuple[SecretStr, ...] = Field(
        (),
        description=(
            "The first one seals; the others still open what they sealed, until the next start has sealed it anew. "
            "To change the key, put a new one in front. Lost keys mean lost credentials. Secret."
        ),
    )

    @field_validator("keys")
    @classmethod
    def _keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(is_key(key.get_secret_value()) for key in value):
            raise ValueError(f"must be 32 random bytes in URL-safe base64, each; {HOW_TO_MAKE_A_KEY}")
        return value


class ProcessorSettings(Section):
    """Owners' own processors."""

    hosts: tuple[str, ...] = Field(
        ("mypayter.com",),
        description=(
            "Hosts, and with them all below, at which an own processor may be. It is reached by https alone: owners "
            "enter addresses, and this system calls them."
        ),
    )
    loopback: bool = Field(
        False, description="Development only: http to this machine is allowed too, where a simulator plays the cloud."
    )
