"""The station's settings: one table, read as 1.6 configuration keys and as 2.0.1 variables."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

MEASURANDS = (
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Power.Offered",
    "Current.Import",
    "Voltage",
    "SoC",
)
TX_POINTS = ("Authorized", "EVConnected", "PowerPathClosed")
REGISTER = "Energy.Active.Import.Register"

Kind = Literal["integer", "boolean", "string", "list"]
Access = Literal["ReadOnly", "ReadWrite", "WriteOnly"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: house name, 1.6 key, 2.0.1 (component, variable, instance); None where a version has none."""

    name: str
    key: str | None
    variable: tuple[str, str, str | None] | None
    kind: Kind
    default: str
    access: Access = "ReadWrite"
    choices: tuple[str, ...] = ()
    min_length: int = 0

    def refuses(self, value: str) -> bool:
        """Whether the value is not one that this setting can take."""
        if self.kind == "integer":
            return not (value.isascii() and value.isdigit() and len(value) < 10)
        if self.kind == "boolean":
            return value.lower() not in ("true", "false")
        if self.kind == "list":
            return any(item not in self.choices for item in split(value))
        return len(value) < self.min_length


def split(value: str) -> list[str]:
    """The members of a comma-separated list."""
    return [item.strip() for item in value.split(",") if item.strip()]


TX_ATTEMPTS = ("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent")
TX_RETRY = ("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent")

TABLE: tuple[Setting, ...] = (
    Setting("ev_connection_timeout_s", "ConnectionTimeOut", ("TxCtrlr", "EVConnectionTimeOut", None), "integer", "60"),
    Setting(
        "sample_interval_s",
        "MeterValueSampleInterval",
        ("SampledDataCtrlr", "TxUpdatedInterval", None),
        "integer",
        "60",
    ),
    Setting(
        "sampled",
        "MeterValuesSampledData",
        ("SampledDataCtrlr", "TxUpdatedMeasurands", None),
        "list",
        f"{REGISTER},Power.Active.Import",
        choices=MEASURANDS,
    ),
    Setting(
        "started_sampled", None, ("SampledDataCtrlr", "TxStartedMeasurands", None), "list", REGISTER, choices=MEASURANDS
    ),
    Setting(
        "ended_sampled",
        "StopTxnSampledData",
        ("SampledDataCtrlr", "TxEndedMeasurands", None),
        "list",
        REGISTER,
        choices=MEASURANDS,
    ),
    Setting("ended_interval_s", None, ("SampledDataCtrlr", "TxEndedInterval", None), "integer", "0"),
    Setting("aligned_interval_s", "ClockAlignedDataInterval", ("AlignedDataCtrlr", "Interval", None), "integer", "0"),
    Setting(
        "aligned",
        "MeterValuesAlignedData",
        ("AlignedDataCtrlr", "Measurands", None),
        "list",
        REGISTER,
        choices=MEASURANDS,
    ),
    Setting(
        "stop_on_ev_disconnect",
        "StopTransactionOnEVSideDisconnect",
        ("TxCtrlr", "StopTxOnEVSideDisconnect", None),
        "boolean",
        "true",
    ),
    Setting("unlock_on_ev_disconnect", "UnlockConnectorOnEVSideDisconnect", None, "boolean", "true"),
    Setting(
        "stop_on_invalid_id", "StopTransactionOnInvalidId", ("TxCtrlr", "StopTxOnInvalidId", None), "boolean", "true"
    ),
    Setting(
        "authorize_remote_start",
        "AuthorizeRemoteTxRequests",
        ("AuthCtrlr", "AuthorizeRemoteStart", None),
        "boolean",
        "false",
    ),
    Setting(
        "local_authorize_offline",
        "LocalAuthorizeOffline",
        ("AuthCtrlr", "LocalAuthorizeOffline", None),
        "boolean",
        "true",
    ),
    Setting(
        "offline_unknown_id",
        "AllowOfflineTxForUnknownId",
        ("AuthCtrlr", "OfflineTxForUnknownIdEnabled", None),
        "boolean",
        "false",
    ),
    Setting("auth_cache", "AuthorizationCacheEnabled", ("AuthCacheCtrlr", "Enabled", None), "boolean", "true"),
    Setting(
        "heartbeat_interval_s", "HeartbeatInterval", ("OCPPCommCtrlr", "HeartbeatInterval", None), "integer", "300"
    ),
    Setting("tx_message_attempts", "TransactionMessageAttempts", TX_ATTEMPTS, "integer", "3"),
    Setting("tx_message_retry_s", "TransactionMessageRetryInterval", TX_RETRY, "integer", "60"),
    Setting(
        "ping_interval_s", "WebSocketPingInterval", ("OCPPCommCtrlr", "WebSocketPingInterval", None), "integer", "20"
    ),
    Setting(
        "password",
        "AuthorizationKey",
        ("SecurityCtrlr", "BasicAuthPassword", None),
        "string",
        "",
        "WriteOnly",
        min_length=16,
    ),
    Setting("tx_start_point", None, ("TxCtrlr", "TxStartPoint", None), "list", "PowerPathClosed", choices=TX_POINTS),
    Setting(
        "tx_stop_point", None, ("TxCtrlr", "TxStopPoint", None), "list", "Authorized,EVConnected", choices=TX_POINTS
    ),
    Setting("price_display", "CustomDisplayCostAndPrice", None, "boolean", "true", "ReadOnly"),
    Setting("evses", "NumberOfConnectors", None, "integer", "1", "ReadOnly"),
    Setting("max_keys", "GetConfigurationMaxKeys", None, "integer", "50", "ReadOnly"),
    Setting("profiles", "SupportedFeatureProfiles", None, "string", "Core,RemoteTrigger,SmartCharging", "ReadOnly"),
    Setting(
        "profile_stack",
        "ChargeProfileMaxStackLevel",
        ("SmartChargingCtrlr", "ProfileStackLevel", None),
        "integer",
        "8",
        "ReadOnly",
    ),
    Setting("profile_units", "ChargingScheduleAllowedChargingRateUnit", None, "string", "Current,Power", "ReadOnly"),
    Setting("rate_units", None, ("SmartChargingCtrlr", "RateUnit", None), "string", "A,W", "ReadOnly"),
    Setting(
        "profile_periods",
        "ChargingScheduleMaxPeriods",
        ("SmartChargingCtrlr", "PeriodsPerSchedule", None),
        "integer",
        "24",
        "ReadOnly",
    ),
    Setting(
        "profiles_installed",
        "MaxChargingProfilesInstalled",
        ("SmartChargingCtrlr", "Entries", "ChargingProfiles"),
        "integer",
        "16",
        "ReadOnly",
    ),
    Setting("reset_retries", "ResetRetries", ("OCPPCommCtrlr", "ResetRetries", None), "integer", "0"),
)


class Settings:
    """The values, by house name; they survive a reboot."""

    def __init__(self, overrides: dict[str, str]) -> None:
        self.values = {setting.name: setting.default for setting in TABLE}
        for name, value in overrides.items():
            if name not in self.values:
                raise ValueError(f"unknown setting: {name}; known: {', '.join(self.values)}")
            self.values[name] = value

    def integer(self, name: str) -> int:
        """A whole number (seconds where the name ends in _s)."""
        return int(self.values[name])

    def boolean(self, name: str) -> bool:
        """A switch."""
        return self.values[name].lower() == "true"

    def members(self, name: str) -> list[str]:
        """A list's members."""
        return split(self.values[name])

    @staticmethod
    def by_key(key: str) -> Setting | None:
        """The setting behind a 1.6 key; keys are CiStrings, so case does not matter."""
        return next((s for s in TABLE if s.key is not None and s.key.lower() == key.lower()), None)

    @staticmethod
    def with_key() -> Iterator[tuple[str, Setting]]:
        """All 1.6 keys."""
        return ((s.key, s) for s in TABLE if s.key is not None)

    @staticmethod
    def with_variable() -> Iterator[tuple[tuple[str, str, str | None], Setting]]:
        """All 2.0.1 variables."""
        return ((s.variable, s) for s in TABLE if s.variable is not None)
