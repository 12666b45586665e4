"""Settings of what is done for site owners and their terminals."""

from __future__ import annotations

from datetime import time
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator
from schwifty import BIC, IBAN
from schwifty.exceptions import SchwiftyException

from billing.money import exponent
from csms.ocpp_settings import Section
from csms.payouts.payment_file import BankAccount, Debtor


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


class BankAccountSettings(Section):
    """An account of the platform that owners are paid from."""

    currency: str = Field(description="ISO 4217 code: what is owed in this currency is paid from this account.")
    iban: str = Field(description="Its IBAN.")
    bic: str | None = Field(None, description="BIC of its bank, where the bank wants it.")

    @field_validator("currency")
    @classmethod
    def _a_currency(cls, value: str) -> str:
        exponent(value)
        return value

    @field_validator("iban")
    @classmethod
    def _an_iban(cls, value: str) -> str:
        try:
            return IBAN(value).compact
        except SchwiftyException:
            raise ValueError("is no IBAN: check its length and check digits") from None

    @field_validator("bic")
    @classmethod
    def _a_bic(cls, value: str | None) -> str | None:
        try:
            return BIC(value).compact if value else None
        except SchwiftyException:
            raise ValueError("is no BIC: it has 8 or 11 characters, such as DNBANOKK") from None


class PayoutSettings(Section):
    """Payouts to site owners: payment files for the bank, as ISO 20022 pain.001."""

    name: str = Field("", max_length=70, description="Name of the account's holder. Empty: the issuer's.")
    accounts: tuple[BankAccountSettings, ...] = Field((), description="One account a currency. None: no payment files.")
    message: Literal["pain.001.001.03", "pain.001.001.09", "pain.001.001.10", "pain.001.001.11"] = Field(
        "pain.001.001.09", description="Version of the message, as the bank takes it."
    )
    four_eyes: bool = Field(
        True, description="Whether a payment file has to be released with another token than it was proposed with."
    )

    @model_validator(mode="after")
    def _one_account_a_currency(self) -> PayoutSettings:
        currencies = [account.currency for account in self.accounts]
        if len(set(currencies)) != len(currencies):
            raise ValueError("names several accounts of one currency; payouts are made from one")
        return self

    def debtor(self, name: str) -> Debtor:
        """Who pays. ``name``: the issuer's."""
        accounts = {a.currency: BankAccount(iban=a.iban, bic=a.bic) for a in self.accounts}
        return Debtor(name=self.name or name, accounts=accounts, message=self.message, four_eyes=self.four_eyes)
