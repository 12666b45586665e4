"""Settings of what is done for site owners and their terminals."""

from __future__ import annotations

import re
import ssl
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator

from billing.bank_account import checked_bic, checked_iban
from billing.money import exponent
from billing.reconciliation import Rules
from csms.ocpp_settings import Section
from csms.payouts.payment_file import BankAccount, Debtor
from csms.terminals.alarms import Thresholds
from csms.terminals.letters import Recipient, is_address
from csms.terminals.mail import MailOptions, Security
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
    password: SecretStr | None = Field(None, description="Its password. Secret.")
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
        if bool(self.user) != bool(self.password and self.password.get_secret_value()):
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
            password=self.password.get_secret_value() if self.password else "",
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
    failure_taps: int = Field(10, ge=1, description="The least number of taps that make a failure rate.")
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
        return checked_iban(value)

    @field_validator("bic")
    @classmethod
    def _a_bic(cls, value: str | None) -> str | None:
        return checked_bic(value) if value else None


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
        8, ge=4, le=64, description="Number of characters that make a cut reference believed."
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
