"""A transaction as the station keeps it, and why one stops."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from simulators.station.meter import Reading
from simulators.station.profile import Profile


@dataclass(frozen=True, slots=True)
class Authorization:
    """Who may charge: an id token and how it came. ``remote_start_id`` is 2.0.1's; 1.6 has none."""

    id_token: str
    token_type: str
    remote: bool
    remote_start_id: int | None = None
    profile: Profile | None = None
    group: str | None = None


class StopCause(Enum):
    """Why charging stops: 2.0.1's trigger and stopped reason, 1.6's reason."""

    LOCAL = ("StopAuthorized", "Local", "Local")
    REMOTE = ("RemoteStop", "Remote", "Remote")
    EV_DISCONNECTED = ("EVCommunicationLost", "EVDisconnected", "EVDisconnected")
    DEAUTHORIZED = ("Deauthorized", "DeAuthorized", "DeAuthorized")
    EMERGENCY_STOP = ("AbnormalCondition", "EmergencyStop", "EmergencyStop")
    FAULT = ("AbnormalCondition", "Other", "Other")
    GROUND_FAULT = ("AbnormalCondition", "GroundFault", "Other")
    POWER_LOSS = ("AbnormalCondition", "PowerLoss", "PowerLoss")
    SOFT_RESET = ("ResetCommand", "ImmediateReset", "SoftReset")
    HARD_RESET = ("ResetCommand", "ImmediateReset", "HardReset")
    REBOOT = ("AbnormalCondition", "Reboot", "Reboot")
    UNLOCK = ("UnlockCommand", "Other", "UnlockCommand")
    EV_CONNECT_TIMEOUT = ("EVConnectTimeout", "Timeout", "Other")

    @property
    def trigger(self) -> str:
        """2.0.1 TriggerReasonEnumType."""
        return self.value[0]

    @property
    def stopped_reason(self) -> str:
        """2.0.1 ReasonEnumType."""
        return self.value[1]

    @property
    def reason_16(self) -> str:
        """1.6 Reason."""
        return self.value[2]

    @property
    def ends_at_once(self) -> bool:
        """Whether the transaction ends whatever TxStopPoint says: nothing could go on."""
        return self not in (StopCause.LOCAL, StopCause.REMOTE, StopCause.DEAUTHORIZED, StopCause.EV_DISCONNECTED)


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction. ``transaction_id`` is the station's own (2.0.1), ``central_id`` comes in 1.6's answer."""

    transaction_id: str
    evse_id: int
    begin: Reading
    authorization: Authorization | None
    charging_state: str
    central_id: int | None = None
    remote_start_id: int | None = None
    seq_no: int = 0
    next_sample_at: datetime | None = None
    next_ended_sample_at: datetime | None = None
    samples: list[Reading] = field(default_factory=list)
    end: Reading | None = None
    cause: StopCause | None = None
    stop_token: Authorization | None = None
    refused: bool = False

    @property
    def began_at(self) -> datetime:
        """When it began (true simulated time)."""
        return self.begin.moment
