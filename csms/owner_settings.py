"""Settings of what is done for site owners and their terminals."""

from __future__ import annotations

from datetime import time, timedelta
from decimal import Decimal
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator

from billing.reconciliation import Rules
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


class ReconciliationRuleSettings(Section):
    """What is let pass when payments are compared, and for how long a side is waited for."""

    account_id: str = Field("", max_length=40, description="Of which processor account; empty: of all without one.")
    late_commit_h: float = Field(24, gt=0, le=8760, description="Hours after which a provider's commit is late.")
    late_settlement_h: float = Field(
        72, gt=0, le=8760, description="Hours after which a settlement is late, or missed."
    )
    time_window_min: float = Field(
        10, gt=0, le=720, description="Minutes around a hold, for a provider's row that names no payment of ours."
    )
    fee_percent: Decimal = Field(
        Decimal(5), ge=0, lt=50, description="Percent that a settlement without a fee of its own may be lower by."
    )
    fee_fixed: int = Field(0, ge=0, le=100_000, description="And by this number of minor units.")
    shortest_reference: int = Field(
        8, ge=4, le=64, description="Number of characters of a cut reference that is believed."
    )

    def rules(self) -> Rules:
        """As `billing.reconciliation` knows them."""
        return Rules(
            late_commit=timedelta(hours=self.late_commit_h),
            late_settlement=timedelta(hours=self.late_settlement_h),
            time_window=timedelta(minutes=self.time_window_min),
            fee_percent=self.fee_percent,
            fee_fixed_minor=self.fee_fixed,
            shortest_reference=self.shortest_reference,
        )


class ReconciliationSettings(Section):
    """Reconciliation: ledger, provider and acquirer. The platform's MyPayter domain is read with these credentials."""

    data_api_url: str = Field(
        "https://api.mypayter.com/API", description="The MyPayter Data API; a simulator's ends in /API too."
    )
    data_api_username: str = Field("", description="User of the platform's domain. Empty: the provider is not read.")
    data_api_password: SecretStr | None = Field(None, description="The user's password. Secret.")
    data_api_domain: str = Field("", max_length=80, description="The platform's MyPayter domain.")
    page_rows: int = Field(500, ge=1, le=5000, description="Number of rows asked for at once.")
    provider_email: str = Field("", max_length=200, description="Where notices to the provider go. Empty: by hand.")
    max_bytes: int = Field(33_554_432, ge=1024, le=268_435_456, description="Largest settlement file taken, bytes.")
    rules: tuple[ReconciliationRuleSettings, ...] = Field((), description="Tolerances, by processor account.")

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        given = [self.data_api_username, self.data_api_password, self.data_api_domain]
        if any(given) and not all(given):
            raise ValueError("data_api_username, data_api_password and data_api_domain go together")
        accounts = [rule.account_id for rule in self.rules]
        if len(accounts) != len(set(accounts)):
            raise ValueError("rules: two are for the same account_id")
        return self

    def rules_for(self, account_id: str) -> Rules:
        """An account's rules: its own, else those for all, else the usual ones."""
        by_account = {rule.account_id: rule.rules() for rule in self.rules}
        return by_account.get(account_id) or by_account.get("") or Rules()
