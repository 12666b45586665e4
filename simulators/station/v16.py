"""OCPP 1.6J as a station speaks it. EVSE n is connector n."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ocpp.v16.enums import Action

from simulators.station.dialect import Answer, Dialect
from simulators.station.evse import Evse
from simulators.station.meter import Reading
from simulators.station.outbox import Payload, Urgency
from simulators.station.profile import Profile, parse_profile
from simulators.station.sampling import sampled_values
from simulators.station.settings import Settings
from simulators.station.transaction import Authorization, StopCause, Transaction

if TYPE_CHECKING:
    from simulators.station.station import Station


class V16(Dialect):
    """The 1.6 dialect."""

    subprotocol = "ocpp1.6"
    known_actions = frozenset(str(action.value) for action in Action)
    malformed = "FormationViolation"
    while_rejected = None  # §4.2: it does not answer at all

    def __init__(self, station: Station) -> None:
        super().__init__(station)
        self.handlers = {
            "ChangeAvailability": lambda p: self.change_availability(
                p["connectorId"], operative=p["type"] == "Operative"
            ),
            "ChangeConfiguration": self._change_configuration,
            "ClearCache": self.clear_cache,
            "ClearChargingProfile": self._clear_profile,
            "DataTransfer": self.data_transfer,
            "GetConfiguration": self._get_configuration,
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "Reset": self._reset,
            "SetChargingProfile": self._set_profile,
            "TriggerMessage": self._trigger,
            "UnlockConnector": self._unlock,
        }

    # Calls of the station.

    def boot(self, reason: str) -> Payload:
        """1.6 has no boot reason."""
        config = self.station.config
        return {
            "chargePointVendor": config.vendor[:20],
            "chargePointModel": config.model[:20],
            "chargePointSerialNumber": config.identity[:25],
            "firmwareVersion": "1.0",
        }

    def authorize(self, id_token: str, token_type: str) -> Payload:
        """An Authorize request."""
        return {"idTag": id_token}

    def token_info(self, answer: Payload) -> dict[str, Any] | None:
        """The answer's ``idTagInfo``."""
        info = answer.get("idTagInfo")
        return info if isinstance(info, dict) else None

    def group(self, info: dict[str, Any]) -> str | None:
        """The parent id tag."""
        return info.get("parentIdTag")

    def status(self, evse: Evse, moment: datetime) -> None:
        """StatusNotification of one connector."""
        self._post_status(evse.evse_id, str(evse.state), evse.fault_code or "NoError", moment)

    def all_statuses(self, urgency: Urgency = Urgency.ORDINARY) -> None:
        """StatusNotification of connector 0, which is the station itself, and of each connector."""
        now = self.station.clock.true_now()
        operative = any(evse.operative for evse in self.station.evses.values())
        self._post_status(0, "Available" if operative else "Unavailable", "NoError", now, urgency)
        for evse in self.station.evses.values():
            evse.reported = str(evse.state)
            self._post_status(evse.evse_id, evse.reported, evse.fault_code or "NoError", now, urgency)

    def _post_status(
        self,
        connector_id: int,
        status: str,
        error_code: str,
        moment: datetime,
        urgency: Urgency = Urgency.ORDINARY,
    ) -> None:
        payload = {
            "connectorId": connector_id,
            "errorCode": error_code,
            "status": status,
            "timestamp": self.station.stamp(moment),
        }
        self.station.post("StatusNotification", payload, urgency=urgency)

    def started(self, transaction: Transaction, trigger: str) -> None:
        """StartTransaction. Its answer brings the transaction id, and perhaps the news that the tag is no good."""
        authorization = transaction.authorization
        payload = {
            "connectorId": transaction.evse_id,
            "idTag": authorization.id_token if authorization is not None else "",
            "meterStart": transaction.begin.register_wh,
            "timestamp": self.station.stamp(transaction.began_at),
        }

        def answered(answer: Payload) -> None:
            transaction.central_id = answer.get("transactionId")
            self.station.judge_token(transaction, answer)

        self.station.post_transaction("StartTransaction", lambda: payload, transaction, answered)

    def updated(
        self,
        transaction: Transaction,
        trigger: str,
        moment: datetime,
        reading: Reading | None = None,
        authorization: Authorization | None = None,
    ) -> None:
        """MeterValues for a reading; 1.6 has no message for anything else that happens in a transaction."""
        if reading is None:
            return
        measurands = "aligned" if reading.context == "Sample.Clock" else "sampled"
        if (values := self._meter_value(reading, measurands)) is None:
            return
        if reading.context == "Sample.Periodic":
            transaction.samples.append(reading)

        def build() -> Payload:
            payload: Payload = {"connectorId": transaction.evse_id, "meterValue": [values]}
            if transaction.central_id is not None and not self.quirks.omit_transaction_id:
                payload["transactionId"] = transaction.central_id
            return payload

        self.station.post_transaction("MeterValues", build, transaction)

    def ended(self, transaction: Transaction, trigger: str) -> None:
        """StopTransaction, with the samples that StopTxnSampledData asks for."""
        end, cause = transaction.end, transaction.cause
        if end is None or cause is None:
            raise ValueError("the transaction has not ended")
        readings = [transaction.begin, *transaction.samples, end]
        values = [v for reading in readings if (v := self._meter_value(reading, "ended_sampled")) is not None]
        payload: Payload = {
            "meterStop": end.register_wh,
            "timestamp": self.station.stamp(end.moment),
            "reason": cause.reason_16,
        }
        if values:
            payload["transactionData"] = values
        if transaction.stop_token is not None:
            payload["idTag"] = transaction.stop_token.id_token

        def build() -> Payload:
            return payload | {"transactionId": -1 if transaction.central_id is None else transaction.central_id}

        self.station.post_transaction("StopTransaction", build, transaction)

    def idle_sample(self, evse: Evse, reading: Reading) -> None:
        """MeterValues outside a transaction."""
        values = self._meter_value(reading, "aligned" if reading.context == "Sample.Clock" else "sampled")
        if values is not None:
            self.station.post("MeterValues", {"connectorId": evse.evse_id, "meterValue": [values]})

    def early_sample(self, evse: Evse) -> None:
        """A meter value before the boot, with whatever time the clock shows."""
        if (values := self._meter_value(evse.read("Sample.Clock"), "aligned")) is not None:
            payload = {"connectorId": evse.evse_id, "meterValue": [values]}
            self.station.post("MeterValues", payload, urgency=Urgency.EARLY)

    def _meter_value(self, reading: Reading, measurands: str) -> dict[str, Any] | None:
        values = sampled_values(reading, self.settings.members(measurands), self.quirks, "1.6")
        return {"timestamp": self.station.stamp(reading.moment), "sampledValue": values} if values else None

    # Calls of the central system.

    def _remote_start(self, payload: Payload) -> Answer:
        rejected: Payload = {"status": "Rejected"}
        profile = None
        if "chargingProfile" in payload:
            profile = self._parse(payload["chargingProfile"])
            if profile is None or profile.purpose != "TxProfile" or profile.transaction_id is not None:
                return Answer(rejected)
        authorization = Authorization(payload["idTag"], "Central", remote=True, profile=profile)
        evse = self.choose_evse(payload.get("connectorId"))
        return self.remote_start(evse, authorization, rejected, {"status": "Accepted"})

    def _remote_stop(self, payload: Payload) -> Answer:
        found = self.transaction_by(lambda transaction: transaction.central_id == payload["transactionId"])
        if found is None:
            return Answer({"status": "Rejected"})
        evse, transaction = found
        return Answer({"status": "Accepted"}, lambda: self.station.stop_if_running(evse, transaction, StopCause.REMOTE))

    def _get_configuration(self, payload: Payload) -> Answer:
        asked: list[str] = payload.get("key") or [key for key, _ in Settings.with_key()]
        known, unknown = [], []
        for key in asked:
            setting = self.settings.by_key(key)
            if setting is None or setting.key is None:
                unknown.append(key)
                continue
            entry: dict[str, Any] = {"key": setting.key, "readonly": setting.access == "ReadOnly"}
            if setting.access != "WriteOnly":
                entry["value"] = self.settings.values[setting.name]
            known.append(entry)
        answer: Payload = {"configurationKey": known}
        if unknown:
            answer["unknownKey"] = unknown
        return Answer(answer)

    def _change_configuration(self, payload: Payload) -> Answer:
        setting, value = self.settings.by_key(payload["key"]), payload["value"]
        if setting is None:
            return Answer({"status": "NotSupported"})
        if setting.access == "ReadOnly" or setting.refuses(value):
            return Answer({"status": "Rejected"})
        return Answer({"status": "Accepted"}, lambda: self.station.change_setting(setting.name, value))

    def _reset(self, payload: Payload) -> Answer:
        hard = payload["type"] == "Hard"
        cause = StopCause.HARD_RESET if hard else StopCause.SOFT_RESET
        return Answer({"status": "Accepted"}, lambda: self.station.reboot_later(cause, "RemoteReset", hard=hard))

    def _trigger(self, payload: Payload) -> Answer:
        message = payload["requestedMessage"]
        evses = self.named_evses(payload.get("connectorId"))
        if evses is None:
            return Answer({"status": "Rejected"})
        actions = {
            "BootNotification": lambda: self.station.registration.announce("Triggered"),
            "Heartbeat": lambda: self.station.post("Heartbeat", {}, urgency=Urgency.EARLY),
            "StatusNotification": lambda: self._triggered_status(payload.get("connectorId")),
            "MeterValues": lambda: self.station.sample(evses, "Trigger"),
            "DiagnosticsStatusNotification": lambda: self._idle("DiagnosticsStatusNotification"),
            "FirmwareStatusNotification": lambda: self._idle("FirmwareStatusNotification"),
        }
        return Answer({"status": "Accepted"}, actions[message])

    def _triggered_status(self, connector_id: int | None) -> None:
        evse = self.station.evses.get(connector_id) if connector_id else None
        if evse is None:
            self.all_statuses()
        else:
            self.status(evse, self.station.clock.true_now())

    def _idle(self, action: str) -> None:
        self.station.post(action, {"status": "Idle"}, urgency=Urgency.EARLY)

    def _unlock(self, payload: Payload) -> Answer:
        evse = self.station.evses.get(payload["connectorId"])
        if evse is None or self.station.config.fixed_cable:
            return Answer({"status": "NotSupported"})
        if evse.transaction is None:
            return Answer({"status": "Unlocked"})
        return Answer({"status": "Unlocked"}, lambda: self.station.charging.stop(evse, StopCause.UNLOCK))

    def _set_profile(self, payload: Payload) -> Answer:
        profile = self._parse(payload["csChargingProfiles"])
        if profile is None:
            return Answer({"status": "Rejected"})
        return self.set_profile(payload["connectorId"], profile, lambda transaction: str(transaction.central_id))

    def _clear_profile(self, payload: Payload) -> Answer:
        def match(profile: Profile) -> bool:
            return (
                payload.get("id") in (None, profile.profile_id)
                and payload.get("chargingProfilePurpose") in (None, profile.purpose)
                and payload.get("stackLevel") in (None, profile.stack_level)
            )

        return self.clear_profiles(payload.get("connectorId"), match)

    def _parse(self, payload: dict[str, Any]) -> Profile | None:
        try:
            return parse_profile(payload, self.station.clock.true_now())
        except ValueError:
            return None
