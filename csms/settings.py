"""Settings: one TOML file and the environment (``TAPVOLT_…``, nested with ``__``), checked before anything starts.

Every field says its unit, its default and what it does; `docs/settings.md` is generated from here (`csms.settings_doc`)
and a test fails when it is stale. A wrong setting stops the start with a sentence that names it.
"""

from __future__ import annotations

import os
import re
import tomllib
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from billing.money import exponent, to_minor
from billing.receipt import Issuer
from billing.tariff import Tariff, simple_tariff
from billing.tariff_json import tariff_from_json
from csms.ocpp_settings import AuthoritySection, ContractSettings, OcppSettings, Section
from csms.owner_settings import (
    CareSettings,
    InventorySettings,
    LicenceSettings,
    MailSettings,
    OnboardingSettings,
    PayoutSettings,
    ProcessorSettings,
    ReconciliationSettings,
    RoundSettings,
    VaultSettings,
)
from csms.payter_settings import PayterSettings
from sessions.facts import TokenStatus
from sessions.families import FAMILIES
from sessions.session import Policy
from storage.engine import DatabaseUrlError, async_url

ENV_PREFIX = "TAPVOLT_"
_EVSE = re.compile(r"^(?P<station>.+)/(?P<evse>\d+)$")


class SettingsError(Exception):
    """The settings cannot be used; the text says which and why, a line each."""


class HttpSettings(Section):
    """How browsers and terminal clouds reach this system."""

    host: str = Field("0.0.0.0", description="Address to listen on for HTTP.")  # noqa: S104 - drivers come from outside
    port: int = Field(8080, ge=0, le=65535, description="Port for HTTP. 0 takes a free one.")
    public_url: str = Field(
        "http://127.0.0.1:8080",
        description="How the outside reaches this HTTP server. Receipt links, QR codes and callbacks are made from it.",
    )

    @field_validator("public_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if not re.match(r"^https?://[^/]+", value):
            raise ValueError("must be a web address such as https://pay.example.org")
        return value.rstrip("/")


class FileSettings(Section):
    """Files: logs that stations upload, firmware that they download. Stations reach them under `http.public_url`."""

    folder: Path = Field(Path("var/files"), description="Where they lie; made when the first file comes.")
    max_bytes: int = Field(536_870_912, ge=1024, description="Largest file taken, bytes.")
    keep_days: int = Field(
        90, ge=1, le=36_500, description="How long uploads are kept, days. Firmware stays until it is deleted."
    )
    link_lifetime_h: float = Field(
        72,
        gt=0,
        le=87_600,
        description="Hours for which a station may use its link to upload or download.",
    )


class SessionSettings(Section):
    """Timings and bounds of sessions."""

    connection_timeout_s: int = Field(
        120, ge=5, description="Seconds a driver has to plug in after the tap; also set at the stations. Then released."
    )
    choice_timeout_s: int = Field(30, ge=5, description="Seconds to choose an EVSE on the terminal's screen.")
    payment_timeout_s: int = Field(60, ge=1, description="Seconds a driver waits while a hold's outcome is unknown.")
    fresh_cable_s: int = Field(180, ge=5, description="P6x: the cable plugged in last within these seconds is meant.")
    stop_retry_s: int = Field(60, ge=1, description="Seconds after which an unheeded remote stop is asked again.")
    lost_end_s: int = Field(
        300,
        ge=10,
        description=(
            "Seconds that a station's queue, or a sign of life, is waited for once evidence says that a charge is over "
            "whose end was never told. Then it is settled on its last proven register."
        ),
    )
    silence_h: float = Field(
        48,
        gt=0,
        description="Hours without a word of a charge that no card pays for; then it is looked into, or given up.",
    )
    hold_lifetime_h: float = Field(
        48, gt=2, description="Hours until an unfinished charge is settled on its last proven register (hold expiry)."
    )
    max_power_kw: float = Field(
        500,
        gt=0,
        description="No EVSE delivers more than this (kW) unless configured; implausible meter values are not billed.",
    )
    offline_limit: bool = Field(
        True,
        description="Send a charging profile that ends the charge when the hold is used up, where max_power_w is set.",
    )


class IssuerSettings(Section):
    """Who sells the energy: stands on every receipt."""

    issuer_id: str = Field(
        "platform", description="Key of the receipt number series. Never reuse one for another company."
    )
    name: str = Field("Unconfigured operator", description="Legal name.")
    address: tuple[str, ...] = Field((), description="Address lines.")
    country: str = Field("NO", min_length=2, max_length=2, description="ISO 3166-1 code.")
    organisation_number: str = Field("", description="Organisation number.")
    vat_number: str = Field("", description="VAT number.")
    email: str = Field("", description="For drivers' questions.")
    phone: str = Field("", description="For drivers' questions.")

    def issuer(self) -> Issuer:
        """As `billing.receipt` knows it."""
        return Issuer(**{k: v for k, v in self.model_dump().items() if k != "issuer_id"})


class TariffSettings(Section):
    """A price. Either the simple fields, or a whole OCPI tariff under `ocpi`."""

    tariff_id: str = Field(description="Name, as EVSEs refer to it. Never reuse one with other content.")
    currency: str = Field("NOK", description="ISO 4217 code.")
    hold: Decimal = Field(
        description="Amount reserved on the card, in major units. The charge stops before it is passed."
    )
    per_kwh: Decimal | None = Field(None, ge=0, description="Price per kWh, major units.")
    per_minute: Decimal | None = Field(None, ge=0, description="Price per minute of charging, major units.")
    per_session: Decimal | None = Field(None, ge=0, description="Price per session, major units.")
    idle_per_minute: Decimal | None = Field(
        None, ge=0, description="Price per minute while the car no longer asks for power, major units."
    )
    idle_grace_min: int = Field(0, ge=0, description="Minutes of that time which are free.")
    vat_percent: Decimal | None = Field(None, ge=0, description="VAT rate in percent.")
    tax_included: Literal["YES", "NO", "N/A"] = Field("YES", description="Whether the prices contain the VAT.")
    time_zone: str = Field("Europe/Oslo", description="IANA zone of the station; receipts show it.")
    ocpi: dict[str, Any] | None = Field(
        None, description="An OCPI 2.3.0 tariff with elements, instead of the fields above."
    )

    def tariff(self) -> Tariff:
        """As `billing.tariff` knows it. Raises ValueError with a sentence."""
        hold_minor = to_minor(self.hold, self.currency)
        if self.ocpi is not None:
            own = {
                "id": self.tariff_id,
                "currency": self.currency,
                "hold_minor": hold_minor,
                "time_zone": self.time_zone,
            }
            return tariff_from_json(self.ocpi | own)
        return simple_tariff(
            self.tariff_id,
            self.currency,
            hold_minor=hold_minor,
            per_kwh=self.per_kwh,
            per_minute=self.per_minute,
            per_session=self.per_session,
            idle_per_minute=self.idle_per_minute,
            idle_grace_s=self.idle_grace_min * 60,
            vat_percent=self.vat_percent,
            tax_included=self.tax_included,
            time_zone=self.time_zone,
        )


class EvseSettings(Section):
    """One EVSE of a station."""

    evse_id: int = Field(ge=1, description="Number at the station (1.6: the connector's).")
    label: str = Field("", max_length=60, description="What the driver reads on the charger, screens and receipts.")
    tariff_id: str | None = Field(None, description="Its price. Without one no card is taken there.")
    max_power_w: int | None = Field(
        None, gt=0, description="Its maximum power in W: bounds what meter values can be true."
    )


class StationSettings(Section):
    """A charging station that may connect."""

    station_id: str = Field(
        min_length=1, max_length=48, description="Its identity: the last part of its URL, its user name."
    )
    password: SecretStr | None = Field(
        None,
        description="HTTP Basic password, 16 or more characters; a rotated one stays until this one changes. Secret.",
    )
    security_profile: int = Field(
        0,
        ge=0,
        le=3,
        description="Number of the least security profile it may use, 1 to 3; 0: any. Never lowers what it has.",
    )
    evses: tuple[EvseSettings, ...] = Field((), description="Its EVSEs.")

    @field_validator("password")
    @classmethod
    def _strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("must have 16 characters or more (OCPP security whitepaper)")
        return value


class TerminalSettings(Section):
    """A payment terminal and the EVSEs it serves."""

    serial: str = Field(min_length=1, max_length=40, description="The terminal's serial number.")
    family: str = Field(description="P66, P66S, P68, Apollo, Apollo Max or Apollo Polar.")
    currency: str = Field("NOK", description="The currency Payter has configured for it.")
    language: Literal["en", "nb"] = Field("en", description="Language of its messages.")
    evses: tuple[str, ...] = Field(min_length=1, description='EVSEs it serves, as "station_id/evse_id".')

    @field_validator("family")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in FAMILIES:
            raise ValueError(f"{value!r} is not a known terminal family; use one of {', '.join(FAMILIES)}")
        return value


class IdTokenSettings(Section):
    """An RFID card that may charge. Written at each start, over what was changed by the API since."""

    id_token: str = Field(min_length=1, max_length=36, description="The token, as the station reads it.")
    status: TokenStatus = Field(TokenStatus.ACCEPTED, description="Accepted, Blocked, Expired or Invalid.")
    expires_at: AwareDatetime | None = Field(None, description="When it expires (with a zone).")
    token_type: str | None = Field(None, max_length=20, description="OCPP 2.0.1 type, such as ISO14443.")
    group_id: str | None = Field(
        None,
        min_length=1,
        max_length=36,
        description="Its group: members may stop each other's charges. 1.6: 20 at most.",
    )
    master_pass: bool = Field(False, description="It may stop any charge, and start none.")
    concurrent: bool = Field(True, description="It may charge at several EVSEs at once.")
    label: str | None = Field(None, max_length=80, description="Whose it is.")

    @field_validator("id_token", "group_id")
    @classmethod
    def _folded(cls, value: str | None) -> str | None:
        """Case does not matter: kept as it is compared."""
        return value.upper() if value is not None else None


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    database_url: str = Field(
        "sqlite:///var/tapvolt.sqlite3",
        description="`sqlite:///path` (embedded) or `postgresql://user:password@host/name`. May hold a secret.",
    )
    node: str = Field(
        "node-1", description="This process's name, a text: what it had in hand when it died is its own again."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="How much is logged.")
    clock_speed: float = Field(
        1.0, gt=0, description="Development only: time runs this many times faster, in step with the simulators."
    )
    clock_anchor: datetime | None = Field(
        None, description="Development only: the moment (with a zone) from which `clock_speed` counts."
    )
    ocpp: OcppSettings = OcppSettings()
    http: HttpSettings = HttpSettings()
    files: FileSettings = FileSettings()
    authority: AuthoritySection | None = None
    contracts: ContractSettings = ContractSettings()
    payter: PayterSettings | None = None
    sessions: SessionSettings = SessionSettings()
    rounds: RoundSettings = RoundSettings()
    mail: MailSettings | None = None
    care: CareSettings = CareSettings()
    inventory: InventorySettings = InventorySettings()
    licences: LicenceSettings = LicenceSettings()
    vault: VaultSettings = VaultSettings()
    processors: ProcessorSettings = ProcessorSettings()
    payouts: PayoutSettings = PayoutSettings()
    onboarding: OnboardingSettings = OnboardingSettings()
    reconciliation: ReconciliationSettings = ReconciliationSettings()
    issuer: IssuerSettings = IssuerSettings()
    tariffs: tuple[TariffSettings, ...] = ()
    stations: tuple[StationSettings, ...] = ()
    terminals: tuple[TerminalSettings, ...] = ()
    id_tokens: tuple[IdTokenSettings, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file (which arrives as init arguments)."""
        return env_settings, init_settings

    @field_validator("database_url")
    @classmethod
    def _a_database(cls, value: str) -> str:
        try:
            async_url(value)
        except DatabaseUrlError as error:
            raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [*_tariff_problems(self), *_terminal_problems(self)]
        if self.clock_speed != 1.0 and self.clock_anchor is None:
            problems.append("clock_speed needs clock_anchor: the moment from which the faster time counts")
        if self.terminals and self.payter is None:
            problems.append("terminals are configured but the payter section is missing: nobody could arm them")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def policy(self) -> Policy:
        """The sessions' policy."""
        s = self.sessions
        return Policy(
            connection_timeout_s=s.connection_timeout_s,
            choice_timeout_s=s.choice_timeout_s,
            payment_timeout_s=s.payment_timeout_s,
            stop_retry_s=s.stop_retry_s,
            lost_end_s=s.lost_end_s,
            silence_s=max(1, int(s.silence_h * 3600)),
            hold_lifetime_s=int(s.hold_lifetime_h * 3600),
            hold_margin_s=min(2 * 3600, int(s.hold_lifetime_h * 360)),
            max_power_w=int(s.max_power_kw * 1000),
            sample_interval_s=self.ocpp.meter_sample_interval_s,
            fresh_cable_s=s.fresh_cable_s,
            offline_limit=s.offline_limit,
        )


def _tariff_problems(settings: Settings) -> list[str]:
    problems = []
    for tariff in settings.tariffs:
        try:
            exponent(tariff.currency)
            tariff.tariff()
        except (ValueError, KeyError) as error:
            problems.append(f"tariff {tariff.tariff_id!r}: {error}")
    known = {tariff.tariff_id for tariff in settings.tariffs}
    problems += [
        f"station {station.station_id!r}, EVSE {evse.evse_id}: tariff {evse.tariff_id!r} is not configured"
        for station in settings.stations
        for evse in station.evses
        if evse.tariff_id is not None and evse.tariff_id not in known
    ]
    for name, keys in (
        ("tariff", [tariff.tariff_id for tariff in settings.tariffs]),
        ("station", [station.station_id for station in settings.stations]),
        ("terminal", [terminal.serial for terminal in settings.terminals]),
        ("id token", [token.id_token for token in settings.id_tokens]),
    ):
        problems += [f"{name} {key!r} is configured twice" for key in sorted({k for k in keys if keys.count(k) > 1})]
    return problems


def _terminal_problems(settings: Settings) -> list[str]:
    problems = []
    currency_of = {tariff.tariff_id: tariff.currency for tariff in settings.tariffs}
    tariff_of = {
        f"{station.station_id}/{evse.evse_id}": evse.tariff_id
        for station in settings.stations
        for evse in station.evses
    }
    for terminal in settings.terminals:
        for place in terminal.evses:
            where = f"terminal {terminal.serial!r}: EVSE {place!r}"
            tariff_id = tariff_of.get(place, "")
            if not _EVSE.match(place) or place not in tariff_of:
                problems.append(f"{where} is not configured under stations; write it as station_id/evse_id")
            elif not tariff_id:
                problems.append(f"{where} has no tariff_id: a card cannot be charged without a price")
            elif currency_of.get(tariff_id) not in {None, terminal.currency}:
                problems.append(
                    f"{where} is priced in {currency_of[tariff_id]}, the terminal takes {terminal.currency}; "
                    "a card can only be charged in one currency"
                )
    return problems


def evse_name(place: str) -> tuple[str, int]:
    """ "station_id/evse_id" in two. Raises ValueError."""
    match = _EVSE.match(place)
    if match is None:
        raise ValueError(f"{place!r} is not station_id/evse_id")
    return match["station"], int(match["evse"])


def load_settings(path: Path | None = None, **overrides: Any) -> Settings:
    """Read the file (if any) and the environment. Raises `SettingsError`, a line per problem."""
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingsError(f"There is no settings file {path}. Give another with --config.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} is not valid TOML: {error}") from None
    unknown = _unknown_in_environment()
    if unknown:
        raise SettingsError("\n".join(f"{name}: there is no such setting; see docs/settings.md." for name in unknown))
    try:
        return Settings(**(values | overrides))
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(problem) for problem in error.errors())) from None


#: What else is called TAPVOLT_…: the simulators' secrets, and the tests' fail points.
_NOT_SETTINGS = frozenset({"failpoint", "failpoint_log", "sim_api_key", "station_password"})


def _unknown_in_environment() -> list[str]:
    """A misspelt name in the environment would be passed over in silence."""
    names = (name for name in os.environ if name.upper().startswith(ENV_PREFIX))
    known = _NOT_SETTINGS | Settings.model_fields.keys()
    return sorted(name for name in names if name[len(ENV_PREFIX) :].lower().split("__")[0] not in known)


def _sentence(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"]) or "settings"
    env = ENV_PREFIX + "__".join(str(part) for part in problem["loc"]).upper()
    reason = str(problem["msg"]).removeprefix("Value error, ")
    hint = f" (in the environment: {env})" if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        return f"{name}: there is no such setting; see docs/settings.md or `tapvolt config show`."
    if problem["type"] == "missing":
        return f"{name}: is missing{hint}."
    return f"{name}: {reason}{hint}."
