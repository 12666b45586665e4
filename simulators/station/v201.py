"""OCPP 2.0.1 as a station speaks it. Each EVSE has one connector, number 1."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ocpp.v201.enums import Action

from simulators.station.dialect import Answer, Dialect
from simulators.station.evse import Evse, EvseState
from simulators.station.meter import Reading
from simulators.station.outbox import Payload, Urgency
from simulators.station.profile import Profile, parse_profile
from simulators.station.sampling import sampled_values
from simulators.station.transaction import Authorization, StopCause, Transaction
from simulators.station.variables import Variables

if TYPE_CHECKING:
    from simulators.station.station import Station

REPORT_PART = 10


class V201(Dialect):
    """The 2.0.1 dialect."""

    subprotocol = "ocpp2.0.1"
    known_actions = frozenset(str(action.value) for action in Action)
    malformed = "FormatViolation"
    while_rejected = "SecurityError"  # B03.FR.06

    def __init__(self, station: Station) -> None:
        super().__init__(station)
        self.variables = Variables(station.settings, station.evses)
        self.handlers = {
            "ChangeAvailability": lambda p: self.change_availability(
                p.get("evse", {}).get("id"), operative=p["operationalStatus"] == "Operative"
            ),
            "ClearCache": self.clear_cache,
            "ClearChargingProfile": self._clear_profile,
            "CostUpdated": self._cost_updated,
            "DataTransfer": self.data_transfer,
            "GetBaseReport": self._get_base_report,
            "GetTransactionStatus": self._get_transaction_status,
            "GetVariables": lambda p: Answer(
                {"getVariableResult": [self.variables.get(q) for q in p["getVariableData"]]}
            ),
            "RequestStartTransaction": self._request_start,
            "RequestStopTransaction": self._request_stop,
            "Reset": self._reset,
            "SetChargingProfile": self._set_profile,
            "SetVariables": self._set_variables,
            "TriggerMessage": self._trigger,
            "UnlockConnector": self._unlock,
        }

    # Calls of the station.

    def boot(self, reason: str) -> Payload:
        """A BootNotification request."""
        config = self.station.config
        about = {
            "vendorName": config.vendor[:50],
            "model": config.model[:20],
            "serialNumber": config.identity[:25],
            "firmwareVersion": "1.0",
        }
        return {"reason": reason, "chargingStation": about}

    def authorize(self, id_token: str, token_type: str) -> Payload:
        """An Authorize request."""
        return {"idToken": {"idToken": id_token, "type": token_type}}

    def token_info(self, answer: Payload) -> dict[str, Any] | None:
        """The answer's ``idTokenInfo``."""
        info = answer.get("idTokenInfo")
        return info if isinstance(info, dict) else None

    def group(self, info: dict[str, Any]) -> str | None:
        """The group id token."""
        group = info.get("groupIdToken")
        return group.get("idToken") if isinstance(group, dict) else None

    def status(self, evse: Evse, moment: datetime) -> None:
        """StatusNotification, when the state is another in 2.0.1's fewer words."""
        if self.station.last_status.get(evse.evse_id) != connector_status(evse):
            self._post_status(evse, moment)

    def all_statuses(self, urgency: Urgency = Urgency.ORDINARY) -> None:
        """StatusNotification of each connector."""
        now = self.station.clock.true_now()
        for evse in self.station.evses.values():
            evse.reported = str(evse.state)
            self._post_status(evse, now, urgency)

    def _post_status(self, evse: Evse, moment: datetime, urgency: Urgency = Urgency.ORDINARY) -> None:
        status = connector_status(evse)
        self.station.last_status[evse.evse_id] = status
        payload = {
            "timestamp": self.station.stamp(moment),
            "connectorStatus": status,
            "evseId": evse.evse_id,
            "connectorId": 1,
        }
        self.station.post("StatusNotification", payload, urgency=urgency)

    def started(self, transaction: Transaction, trigger: str) -> None:
        """TransactionEvent Started."""
        extra: Payload = {"evse": {"id": transaction.evse_id, "connectorId": 1}}
        if (values := self._meter_value(transaction.begin, "started_sampled")) is not None:
            extra["meterValue"] = [values]
        if transaction.authorization is not None:
            extra["idToken"] = id_token_of(transaction.authorization)
        self._event(transaction, "Started", trigger, transaction.began_at, extra)

    def updated(
        self,
        transaction: Transaction,
        trigger: str,
        moment: datetime,
        reading: Reading | None = None,
        authorization: Authorization | None = None,
    ) -> None:
        """TransactionEvent Updated."""
        extra: Payload = {}
        if reading is not None:
            values = self._meter_value(reading, "aligned" if reading.context == "Sample.Clock" else "sampled")
            if values is None:
                return
            if self.quirks.omit_transaction_id:
                payload = {"evseId": transaction.evse_id, "meterValue": [values]}
                self.station.post_transaction("MeterValues", lambda: payload, transaction)
                return
            extra["meterValue"] = [values]
        if authorization is not None:
            extra["idToken"] = id_token_of(authorization)
        self._event(transaction, "Updated", trigger, moment, extra)

    def ended(self, transaction: Transaction, trigger: str) -> None:
        """TransactionEvent Ended, with the readings that TxEndedMeasurands asks for."""
        end, cause = transaction.end, transaction.cause
        if end is None or cause is None:
            raise ValueError("the transaction has not ended")
        evse = self.station.evses[transaction.evse_id]
        transaction.charging_state = "EVConnected" if evse.plugged else "Idle"
        readings = [transaction.begin, *transaction.samples, end]
        extra: Payload = {}
        if values := [v for r in readings if (v := self._meter_value(r, "ended_sampled")) is not None]:
            extra["meterValue"] = values
        if transaction.stop_token is not None:
            extra["idToken"] = id_token_of(transaction.stop_token)
        self._event(transaction, "Ended", trigger, end.moment, extra, stopped_reason=cause.stopped_reason)

    def _event(
        self,
        transaction: Transaction,
        event_type: str,
        trigger: str,
        moment: datetime,
        extra: Payload,
        *,
        stopped_reason: str | None = None,
    ) -> None:
        info: Payload = {"transactionId": transaction.transaction_id, "chargingState": transaction.charging_state}
        omit = self.quirks.omit_remote_start_id
        omitted = omit == "always" or (omit == "after_started" and event_type != "Started")
        if transaction.remote_start_id is not None and not omitted:
            info["remoteStartId"] = transaction.remote_start_id
        if stopped_reason is not None:
            info["stoppedReason"] = stopped_reason
        payload: Payload = {
            "eventType": event_type,
            "timestamp": self.station.stamp(moment),
            "triggerReason": trigger,
            "seqNo": 0 if self.quirks.seq_no_zero else transaction.seq_no,
            "offline": not self.station.online,
            "transactionInfo": info,
            **extra,
        }
        transaction.seq_no += 1

        def answered(answer: Payload) -> None:
            if "totalCost" in answer or "updatedPersonalMessage" in answer:
                self.station.show("TransactionEvent", answer)
            self.station.judge_token(transaction, answer)

        self.station.post_transaction("TransactionEvent", lambda: payload, transaction, answered)

    def idle_sample(self, evse: Evse, reading: Reading) -> None:
        """MeterValues outside a transaction."""
        values = self._meter_value(reading, "aligned" if reading.context == "Sample.Clock" else "sampled")
        if values is not None:
            self.station.post("MeterValues", {"evseId": evse.evse_id, "meterValue": [values]})

    def early_sample(self, evse: Evse) -> None:
        """A meter value before the boot, with whatever time the clock shows."""
        if (values := self._meter_value(evse.read("Sample.Clock"), "aligned")) is not None:
            payload = {"evseId": evse.evse_id, "meterValue": [values]}
            self.station.post("MeterValues", payload, urgency=Urgency.EARLY)

    def _meter_value(self, reading: Reading, measurands: str) -> dict[str, Any] | None:
        values = sampled_values(reading, self.settings.members(measurands), self.quirks, "2.0.1")
        return {"timestamp": self.station.stamp(reading.moment), "sampledValue": values} if values else None

    # Calls of the CSMS.

    def _request_start(self, payload: Payload) -> Answer:
        rejected: Payload = {"status": "Rejected"}
        profile = None
        if "chargingProfile" in payload:
            profile = self._parse(payload["chargingProfile"])
            if profile is None or profile.purpose != "TxProfile" or profile.transaction_id is not None:
                return Answer(rejected)
        token = payload["idToken"]
        authorization = Authorization(
            token["idToken"], token["type"], remote=True, remote_start_id=payload["remoteStartId"], profile=profile
        )
        evse = self.choose_evse(payload.get("evseId"))
        accepted: Payload = {"status": "Accepted"}
        if evse is not None and evse.transaction is not None:
            accepted["transactionId"] = evse.transaction.transaction_id
        return self.remote_start(evse, authorization, rejected, accepted)

    def _request_stop(self, payload: Payload) -> Answer:
        found = self.transaction_by(lambda transaction: transaction.transaction_id == payload["transactionId"])
        if found is None or found[1].cause is not None:
            return Answer({"status": "Rejected"})
        evse, transaction = found
        return Answer({"status": "Accepted"}, lambda: self.station.stop_if_running(evse, transaction, StopCause.REMOTE))

    def _get_transaction_status(self, payload: Payload) -> Answer:
        transaction_id = payload.get("transactionId")
        if transaction_id is None:
            return Answer({"messagesInQueue": self.station.outbox.transactions_waiting() > 0})
        evses = self.station.evses.values()
        known = [t for e in evses for t in (e.transaction, e.last_transaction) if t is not None]
        transaction = next((t for t in known if t.transaction_id == transaction_id), None)
        if transaction is None:
            return Answer({"ongoingIndicator": False, "messagesInQueue": False})
        waiting = self.station.outbox.holds(transaction)
        return Answer({"ongoingIndicator": transaction.end is None, "messagesInQueue": waiting})

    def _cost_updated(self, payload: Payload) -> Answer:
        return Answer({}, lambda: self.station.show("CostUpdated", payload))

    def _set_variables(self, payload: Payload) -> Answer:
        results, changes = [], []
        for request in payload["setVariableData"]:
            result, setting = self.variables.check(request)
            results.append(result)
            if setting is not None:
                changes.append((setting.name, request["attributeValue"]))

        def apply() -> None:
            for name, value in changes:
                self.station.change_setting(name, value)

        return Answer({"setVariableResult": results}, apply)

    def _get_base_report(self, payload: Payload) -> Answer:
        report = self.variables.report(payload["reportBase"])

        def notify() -> None:
            parts = [report[i : i + REPORT_PART] for i in range(0, len(report), REPORT_PART)]
            for seq_no, part in enumerate(parts):
                request = {
                    "requestId": payload["requestId"],
                    "generatedAt": self.station.stamp(self.station.clock.true_now()),
                    "seqNo": seq_no,
                    "tbc": seq_no + 1 < len(parts),
                    "reportData": part,
                }
                self.station.post("NotifyReport", request, urgency=Urgency.EARLY)

        return Answer({"status": "Accepted"}, notify)

    def _reset(self, payload: Payload) -> Answer:
        on_idle = payload["type"] == "OnIdle"
        evse_id = payload.get("evseId")
        evses = self.named_evses(evse_id)
        if evses is None:
            return Answer({"status": "Rejected"})
        busy = any(evse.transaction is not None for evse in evses)
        if on_idle and busy:  # an EVSE alone has nothing to restart: the end of its transaction is all
            wait = None if evse_id is not None else self.station.power.reset_when_idle
            return Answer({"status": "Scheduled"}, wait)
        if evse_id is not None:
            return Answer({"status": "Accepted"}, lambda: self.station.charging.stop(evses[0], StopCause.HARD_RESET))
        return Answer(
            {"status": "Accepted"},
            lambda: self.station.reboot_later(StopCause.HARD_RESET, "RemoteReset", hard=False),
        )

    def _trigger(self, payload: Payload) -> Answer:
        message = payload["requestedMessage"]
        evses = self.named_evses(payload.get("evse", {}).get("id"))
        if evses is None:
            return Answer({"status": "Rejected"})
        if message == "BootNotification":
            if self.station.registered:  # F06.FR.17: one that was accepted is not repeated
                return Answer({"status": "Rejected"})
            return Answer({"status": "Accepted"}, lambda: self.station.registration.announce("Triggered"))
        if message == "Heartbeat":
            return Answer({"status": "Accepted"}, lambda: self.station.post("Heartbeat", {}, urgency=Urgency.EARLY))
        if message in ("LogStatusNotification", "FirmwareStatusNotification"):
            idle: Payload = {"status": "Idle"}
            return Answer({"status": "Accepted"}, lambda: self.station.post(message, idle, urgency=Urgency.EARLY))
        if message == "StatusNotification":
            return Answer({"status": "Accepted"}, lambda: self._post_statuses(evses))
        if message == "MeterValues":
            return Answer({"status": "Accepted"}, lambda: self._idle_samples(evses))
        if message == "TransactionEvent":
            if all(evse.transaction is None for evse in evses):
                return Answer({"status": "Rejected"})
            return Answer({"status": "Accepted"}, lambda: self.station.sample(evses, "Trigger"))
        return Answer({"status": "NotImplemented"})

    def _post_statuses(self, evses: list[Evse]) -> None:
        for evse in evses:
            self._post_status(evse, self.station.clock.true_now())

    def _idle_samples(self, evses: list[Evse]) -> None:
        for evse in evses:
            self.idle_sample(evse, evse.read("Trigger"))

    def _unlock(self, payload: Payload) -> Answer:
        evse = self.station.evses.get(payload["evseId"])
        if evse is None or payload["connectorId"] != 1:
            return Answer({"status": "UnknownConnector"})
        if evse.transaction is not None and evse.authorization is not None:
            return Answer({"status": "OngoingAuthorizedTransaction"})
        return Answer({"status": "UnlockFailed" if self.station.config.fixed_cable else "Unlocked"})

    def _set_profile(self, payload: Payload) -> Answer:
        profile = self._parse(payload["chargingProfile"])
        if profile is None or (profile.purpose == "TxProfile" and profile.transaction_id is None):
            return Answer({"status": "Rejected"})
        return self.set_profile(payload["evseId"], profile, lambda transaction: transaction.transaction_id)

    def _clear_profile(self, payload: Payload) -> Answer:
        profile_id, criteria = payload.get("chargingProfileId"), payload.get("chargingProfileCriteria", {})

        def match(profile: Profile) -> bool:
            if profile_id is not None:
                return bool(profile.profile_id == profile_id)
            same_purpose = criteria.get("chargingProfilePurpose") in (None, profile.purpose)
            return same_purpose and criteria.get("stackLevel") in (None, profile.stack_level)

        return self.clear_profiles(criteria.get("evseId"), match)

    def _parse(self, payload: dict[str, Any]) -> Profile | None:
        try:
            return parse_profile(payload, self.station.clock.true_now())
        except ValueError:
            return None


def connector_status(evse: Evse) -> str:
    """2.0.1 ConnectorStatusEnumType: Occupied is whatever has a cable in it, free or not."""
    if evse.fault_code is not None:
        return "Faulted"
    if evse.plugged:
        return "Occupied"
    return "Unavailable" if evse.state is EvseState.UNAVAILABLE else "Available"


def id_token_of(authorization: Authorization) -> dict[str, str]:
    """An IdTokenType."""
    return {"idToken": authorization.id_token, "type": authorization.token_type}
