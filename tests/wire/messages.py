"""Every message a station may send, of all versions: a valid one, and what becomes of broken ones."""

from __future__ import annotations

from dataclasses import replace

from tests.wire.messages_21 import CENTRAL_ONLY_21, V21
from tests.wire.messages_shape import AT, Example, strict


def _status(action: str, *states: str) -> Example:
    return Example(
        action,
        {"status": states[0]},
        facts=("TransferProgressed",),
        broken=(
            ("wrong type", {"status": 5}, "TypeConstraintViolation"),
            ("not of the list", {"status": "Sideways"}, "PropertyConstraintViolation"),
            ("missing", {}, "OccurrenceConstraintViolation"),
            ("extra field", {"status": states[0], "colour": "red"}, "FormatViolation"),
        ),
    )


_SAMPLED_16 = {"timestamp": AT, "sampledValue": [{"value": "1250", "measurand": "Energy.Active.Import.Register"}]}
_START_16 = {"connectorId": 1, "idTag": "ABCDEF", "meterStart": 1000, "timestamp": AT}
_STOP_16 = {"transactionId": 101, "meterStop": 2000, "timestamp": AT}
_STATUS_16 = {"connectorId": 1, "errorCode": "NoError", "status": "Preparing", "timestamp": AT}
_BOOT_16 = {"chargePointVendor": "Maker", "chargePointModel": "Box"}

V16 = (
    Example(
        "Authorize",
        {"idTag": "ABCDEF"},
        facts=(),
        answer={"idTagInfo": {"status": "Accepted"}},
        broken=(
            ("missing", {}, "OccurrenceConstraintViolation"),
            ("wrong type", {"idTag": 5}, "TypeConstraintViolation"),
            ("too long", {"idTag": "A" * 30}, None),
            ("extra field", {"idTag": "ABCDEF", "colour": "red"}, None),
        ),
    ),
    Example(
        "BootNotification",
        _BOOT_16,
        facts=("StationBooted",),
        answer={"status": "Accepted", "currentTime": "2026-11-23T12:00:00.000Z", "interval": 300},
        broken=(
            ("missing", {}, None),
            ("wrong type", {**_BOOT_16, "chargePointModel": 5}, None),
            ("too long", {**_BOOT_16, "chargePointModel": "B" * 300}, None),
            ("extra field", {**_BOOT_16, "colour": "red"}, None),
        ),
    ),
    Example(
        "DataTransfer",
        {"vendorId": "org.example", "messageId": "Hello", "data": "text"},
        answer={"status": "UnknownVendorId"},
        broken=(
            ("missing", {"messageId": "Hello"}, "OccurrenceConstraintViolation"),
            ("wrong type", {"vendorId": 5}, "TypeConstraintViolation"),
            ("too long", {"vendorId": "v" * 300}, "PropertyConstraintViolation"),
            ("extra field", {"vendorId": "v", "colour": "red"}, "FormatViolation"),
        ),
    ),
    _status("DiagnosticsStatusNotification", "Uploaded", "Idle"),
    _status("FirmwareStatusNotification", "Installed", "Idle"),
    Example(
        "Heartbeat",
        {},
        facts=(),
        answer={"currentTime": "2026-11-23T12:00:00.000Z"},
        broken=(("extra field", {"colour": "red"}, None),),
    ),
    _status("LogStatusNotification", "Uploaded"),
    Example(
        "MeterValues",
        {"connectorId": 1, "transactionId": 101, "meterValue": [_SAMPLED_16]},
        facts=("EnergyMetered",),
        answer={},
        broken=(
            ("missing", {"meterValue": [_SAMPLED_16]}, None),
            ("wrong type", {"connectorId": "1", "meterValue": [_SAMPLED_16]}, None),
            ("not an array", {"connectorId": 1, "meterValue": _SAMPLED_16}, None),
            ("extra field", {"connectorId": 1, "meterValue": [_SAMPLED_16], "colour": "red"}, None),
        ),
    ),
    Example(
        "SecurityEventNotification",
        {"type": "TamperDetectionActivated", "timestamp": AT},
        facts=("SecurityEventReported",),
        answer={},
        broken=(
            ("missing", {"timestamp": AT}, "OccurrenceConstraintViolation"),
            ("wrong type", {"type": 5, "timestamp": AT}, "TypeConstraintViolation"),
            ("too long", {"type": "t" * 60, "timestamp": AT}, "PropertyConstraintViolation"),
            ("extra field", {"type": "t", "timestamp": AT, "colour": "red"}, "FormatViolation"),
        ),
    ),
    Example(
        "SignCertificate",
        {"csr": "-----BEGIN CERTIFICATE REQUEST-----"},
        facts=(),
        answer={"status": "Rejected"},
        broken=(
            ("missing", {}, "OccurrenceConstraintViolation"),
            ("wrong type", {"csr": 5}, "TypeConstraintViolation"),
            ("too long", {"csr": "c" * 6000}, "PropertyConstraintViolation"),
            ("extra field", {"csr": "c", "colour": "red"}, "FormatViolation"),
        ),
    ),
    _status("SignedFirmwareStatusNotification", "Installed", "Idle"),
    Example(
        "StartTransaction",
        _START_16,
        facts=("TransactionStarted",),
        answer={"transactionId": 101, "idTagInfo": {"status": "Accepted"}},
        broken=(
            ("no idTag", {key: _START_16[key] for key in _START_16 if key != "idTag"}, "OccurrenceConstraintViolation"),
            ("no connector", {**_START_16, "connectorId": 0}, "PropertyConstraintViolation"),
            ("no register", {key: _START_16[key] for key in _START_16 if key != "meterStart"}, None),
            ("register as text", {**_START_16, "meterStart": "1000"}, None),
            ("connector as text", {**_START_16, "connectorId": "1"}, None),
            ("idTag too long", {**_START_16, "idTag": "A" * 30}, None),
            ("extra field", {**_START_16, "colour": "red"}, None),
        ),
    ),
    Example(
        "StatusNotification",
        _STATUS_16,
        facts=("EvseStatusReported",),
        answer={},
        broken=(
            ("missing", {"connectorId": 1, "errorCode": "NoError"}, "OccurrenceConstraintViolation"),
            ("wrong type", {**_STATUS_16, "connectorId": []}, "TypeConstraintViolation"),
            ("unknown status", {**_STATUS_16, "status": "Sideways"}, "PropertyConstraintViolation"),
            ("no error code", {"connectorId": 1, "status": "Available"}, None),
            ("vendor's error code", {**_STATUS_16, "errorCode": "Bees"}, None),
            ("info too long", {**_STATUS_16, "info": "i" * 80}, None),
        ),
    ),
    Example(
        "StopTransaction",
        _STOP_16,
        facts=("TransactionEnded",),
        answer={},
        broken=(
            ("nothing at all", {}, None),
            ("id as text", {**_STOP_16, "transactionId": "101"}, None),
            ("register as a broken number", {**_STOP_16, "meterStop": 2000.5}, None),
            ("vendor's reason", {**_STOP_16, "reason": "Bees"}, None),
            ("samples of wrong shape", {**_STOP_16, "transactionData": [5, {"sampledValue": "x"}]}, None),
        ),
    ),
)

_TOKEN = {"idToken": "ABCDEF", "type": "ISO14443"}
_SAMPLED_201 = {"timestamp": AT, "sampledValue": [{"value": 1250}]}
_EVENT = {
    "eventType": "Started",
    "timestamp": AT,
    "triggerReason": "Authorized",
    "seqNo": 0,
    "transactionInfo": {"transactionId": "tx-1", "chargingState": "Charging", "remoteStartId": 7},
    "idToken": _TOKEN,
    "evse": {"id": 1, "connectorId": 1},
    "meterValue": [_SAMPLED_201],
}
_STATUS_201 = {"timestamp": AT, "connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}
_BOOT_201 = {"reason": "PowerUp", "chargingStation": {"model": "Box", "vendorName": "Maker"}}
_LIMIT = {"chargingLimitSource": "EMS"}
_OCSP = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "a1",
    "issuerKeyHash": "b2",
    "serialNumber": "c3",
    "responderURL": "http://ocsp.example",
}
_SCHEDULE = {
    "id": 1,
    "chargingRateUnit": "W",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11000.0}],
}
_PROFILE = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [_SCHEDULE],
}
_VARIABLE = {"component": {"name": "EVSE"}, "variable": {"name": "AvailabilityState"}}
_NOTIFY_EVENT = {
    "eventId": 1,
    "timestamp": AT,
    "trigger": "Delta",
    "actualValue": "Available",
    "eventNotificationType": "CustomMonitor",
    **_VARIABLE,
}

V201 = (
    Example(
        "Authorize",
        {"idToken": _TOKEN},
        facts=(),
        answer={"idTokenInfo": {"status": "Accepted"}},
        broken=(
            ("missing", {}, "OccurrenceConstraintViolation"),
            ("wrong type", {"idToken": 5}, "TypeConstraintViolation"),
            ("too long", {"idToken": {"idToken": "A" * 300, "type": "ISO14443"}}, None),
            ("no type", {"idToken": {"idToken": "ABCDEF"}}, None),
            ("extra field", {"idToken": _TOKEN, "colour": "red"}, None),
        ),
    ),
    Example(
        "BootNotification",
        _BOOT_201,
        facts=("StationBooted",),
        answer={"status": "Accepted", "currentTime": "2026-11-23T12:00:00.000Z", "interval": 300},
        broken=(
            ("missing", {}, None),
            ("wrong type", {"reason": "PowerUp", "chargingStation": "Box"}, None),
            ("vendor's reason", {**_BOOT_201, "reason": "Bees"}, None),
            ("extra field", {**_BOOT_201, "colour": "red"}, None),
        ),
    ),
    strict(
        "ClearedChargingLimit",
        {"chargingLimitSource": "EMS"},
        "chargingLimitSource",
        {"chargingLimitSource": 5},
        facts=("ChargingLimitCleared",),
    ),
    strict(
        "DataTransfer",
        {"vendorId": "org.example", "data": {"any": ["thing"]}},
        "vendorId",
        {"vendorId": 5},
        {"status": "UnknownVendorId"},
        {"vendorId": "v" * 300},
    ),
    strict(
        "FirmwareStatusNotification",
        {"status": "Installed", "requestId": 1},
        "status",
        {"status": 5},
        facts=("TransferProgressed",),
    ),
    strict(
        "Get15118EVCertificate",
        {"iso15118SchemaVersion": "urn:iso:15118:2", "action": "Install", "exiRequest": "ZXhp"},
        "action",
        {"exiRequest": 5},
        {
            "status": "Failed",
            "exiResponse": "",
            "statusInfo": {
                "reasonCode": "NoProvider",
                "additionalInfo": "no provider of contract certificates is known here",
            },
        },
        {"iso15118SchemaVersion": "u" * 60},
    ),
    strict(
        "GetCertificateStatus",
        {"ocspRequestData": _OCSP},
        "ocspRequestData",
        {"ocspRequestData": "c3"},
        {
            "status": "Failed",
            "statusInfo": {
                "reasonCode": "NoOCSPAnswer",
                "additionalInfo": "the certificate's hashes or its serial number are no hexadecimal of that length",
            },
        },
        {"ocspRequestData": {**_OCSP, "serialNumber": "c" * 50}},
    ),
    Example(
        "Heartbeat",
        {},
        facts=(),
        answer={"currentTime": "2026-11-23T12:00:00.000Z"},
        broken=(("extra field", {"colour": "red"}, None),),
    ),
    strict(
        "LogStatusNotification",
        {"status": "Uploaded", "requestId": 1},
        "status",
        {"requestId": "1"},
        facts=("TransferProgressed",),
    ),
    Example(
        "MeterValues",
        {"evseId": 1, "meterValue": [_SAMPLED_201]},
        facts=("EnergyMetered",),
        answer={},
        broken=(
            ("missing", {"meterValue": [_SAMPLED_201]}, None),
            ("wrong type", {"evseId": "1", "meterValue": [_SAMPLED_201]}, None),
            ("not an array", {"evseId": 1, "meterValue": _SAMPLED_201}, None),
            ("extra field", {"evseId": 1, "meterValue": [_SAMPLED_201], "colour": "red"}, None),
        ),
    ),
    strict(
        "NotifyChargingLimit",
        {"chargingLimit": _LIMIT, "evseId": 1},
        "chargingLimit",
        {"chargingLimit": "EMS"},
        facts=("ChargingLimitSet",),
    ),
    strict(
        "NotifyCustomerInformation",
        {"data": "none", "seqNo": 0, "generatedAt": AT, "requestId": 1},
        "requestId",
        {"seqNo": "0"},
        None,
        {"data": "d" * 600},
        ("CustomerInformationReported",),
    ),
    strict(
        "NotifyDisplayMessages",
        {"requestId": 1, "tbc": False},
        "requestId",
        {"tbc": "no"},
        facts=("DisplayMessagesReported",),
    ),
    replace(
        strict(
            "NotifyEVChargingNeeds",
            {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "AC_three_phase"}},
            "chargingNeeds",
            {"evseId": "1"},
            {"status": "Rejected"},
            facts=("EvChargingNeedsTold",),
        ),
        answer=None,  # Rejected, or 2.1's NoChargingProfile
    ),
    strict(
        "NotifyEVChargingSchedule",
        {"timeBase": AT, "evseId": 1, "chargingSchedule": _SCHEDULE},
        "evseId",
        {"evseId": "1"},
        {"status": "Accepted"},
        facts=("EvChargingScheduleTold",),
    ),
    strict(
        "NotifyEvent",
        {"generatedAt": AT, "seqNo": 0, "eventData": [_NOTIFY_EVENT]},
        "eventData",
        {"seqNo": "0"},
        None,
        {"eventData": [{**_NOTIFY_EVENT, "techInfo": "t" * 600}]},
        ("EventsNotified",),
    ),
    strict(
        "NotifyMonitoringReport",
        {"requestId": 1, "seqNo": 0, "generatedAt": AT},
        "requestId",
        {"requestId": "1"},
        facts=("MonitorsReported",),
    ),
    strict(
        "NotifyReport",
        {
            "requestId": 1,
            "seqNo": 0,
            "generatedAt": AT,
            "reportData": [{**_VARIABLE, "variableAttribute": [{"value": "Available"}]}],
        },
        "requestId",
        {"tbc": "no"},
        None,
        {"reportData": [{**_VARIABLE, "variableAttribute": [{"value": "v" * 2600}]}]},
        facts=("ReportPartTold",),
    ),
    strict(
        "PublishFirmwareStatusNotification",
        {"status": "Published"},
        "status",
        {"status": 5},
        facts=("TransferProgressed",),
    ),
    strict(
        "ReportChargingProfiles",
        {"requestId": 1, "chargingLimitSource": "CSO", "evseId": 1, "chargingProfile": [_PROFILE]},
        "chargingProfile",
        {"evseId": "1"},
        facts=("ChargingProfilesReported",),
    ),
    strict(
        "ReservationStatusUpdate",
        {"reservationId": 1, "reservationUpdateStatus": "Expired"},
        "reservationId",
        {"reservationId": "1"},
        facts=("ReservationEnded",),
    ),
    strict(
        "SecurityEventNotification",
        {"type": "SettingSystemTime", "timestamp": AT},
        "type",
        {"type": 5},
        None,
        {"techInfo": "t" * 300},
        facts=("SecurityEventReported",),
    ),
    strict(
        "SignCertificate",
        {"csr": "-----BEGIN CERTIFICATE REQUEST-----"},
        "csr",
        {"csr": 5},
        {
            "status": "Rejected",
            "statusInfo": {
                "reasonCode": "NotSigned",
                "additionalInfo": "this system has no certificate authority",
            },
        },
        {"csr": "c" * 6000},
        facts=(),
    ),
    Example(
        "StatusNotification",
        _STATUS_201,
        facts=("EvseStatusReported",),
        answer={},
        broken=(
            ("missing", {"timestamp": AT, "connectorStatus": "Occupied"}, "OccurrenceConstraintViolation"),
            ("wrong type", {**_STATUS_201, "evseId": []}, "TypeConstraintViolation"),
            ("unknown status", {**_STATUS_201, "connectorStatus": "Sideways"}, "PropertyConstraintViolation"),
            ("no time", {"connectorStatus": "Occupied", "evseId": 1, "connectorId": 1}, None),
            ("no connector", {"timestamp": AT, "connectorStatus": "Occupied", "evseId": 1}, None),
        ),
    ),
    Example(
        "TransactionEvent",
        _EVENT,
        facts=("TransactionStarted",),
        answer={"idTokenInfo": {"status": "Accepted"}},
        broken=(
            ("no transaction id", {**_EVENT, "transactionInfo": {}}, "OccurrenceConstraintViolation"),
            ("unknown type", {**_EVENT, "eventType": "Sideways"}, "PropertyConstraintViolation"),
            ("transaction id too long", {**_EVENT, "transactionInfo": {"transactionId": "t" * 40}}, None),
            ("no seqNo", {key: _EVENT[key] for key in _EVENT if key != "seqNo"}, None),
            ("seqNo as text", {**_EVENT, "seqNo": "0"}, None),
            ("vendor's trigger", {**_EVENT, "triggerReason": "Bees"}, None),
            ("no time", {key: _EVENT[key] for key in _EVENT if key != "timestamp"}, None),
            ("samples of wrong shape", {**_EVENT, "meterValue": [5, {"sampledValue": {}}]}, None),
            ("extra field", {**_EVENT, "colour": "red"}, None),
        ),
    ),
)

#: What only a central system sends; everything else is a station's to send.
CENTRAL_ONLY = {
    "ocpp1.6": frozenset(
        """CancelReservation CertificateSigned ChangeAvailability ChangeConfiguration ClearCache ClearChargingProfile
        DeleteCertificate ExtendedTriggerMessage GetCompositeSchedule GetConfiguration GetDiagnostics
        GetInstalledCertificateIds GetLocalListVersion GetLog InstallCertificate RemoteStartTransaction
        RemoteStopTransaction ReserveNow Reset SendLocalList SetChargingProfile SignedUpdateFirmware TriggerMessage
        UnlockConnector UpdateFirmware""".split()  # noqa: SIM905
    ),
    "ocpp2.0.1": frozenset(
        """CancelReservation CertificateSigned ChangeAvailability ClearCache ClearChargingProfile ClearDisplayMessage
        ClearVariableMonitoring CostUpdated CustomerInformation DeleteCertificate GetBaseReport GetChargingProfiles
        GetCompositeSchedule GetDisplayMessages GetInstalledCertificateIds GetLocalListVersion GetLog
        GetMonitoringReport GetReport GetTransactionStatus GetVariables InstallCertificate PublishFirmware
        RequestStartTransaction RequestStopTransaction ReserveNow Reset SendLocalList SetChargingProfile
        SetDisplayMessage SetMonitoringBase SetMonitoringLevel SetNetworkProfile SetVariableMonitoring SetVariables
        TriggerMessage UnlockConnector UnpublishFirmware UpdateFirmware""".split()  # noqa: SIM905
    ),
}

CENTRAL_ONLY["ocpp2.1"] = CENTRAL_ONLY["ocpp2.0.1"] | CENTRAL_ONLY_21

EXAMPLES = {"ocpp1.6": V16, "ocpp2.0.1": V201, "ocpp2.1": (*V201, *V21)}
