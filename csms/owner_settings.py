"""Settings of what is done for site owners and their terminals."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from csms.ocpp_settings import Section


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
    max_attachment_bytes: int = Field(10_485_760, ge=1024, le=1_073_741_824, description="Largest attachment, bytes.")
    max_import_bytes: int = Field(5_242_880, ge=1024, le=104_857_600, description="Largest file of an import, bytes.")
    max_import_rows: int = Field(1000, ge=1, le=100_000, description="Largest number of rows of an import.")
