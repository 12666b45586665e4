"""The messages that stations may send on OCPP 2.1 and not before: a valid one each, and what becomes of broken ones."""

from __future__ import annotations

from tests.wire.messages_shape import AT, Example, strict

_TOKEN = {"idToken": "PSP-1", "type": "DirectPayment"}
_BATTERY = {"evseId": 1, "serialNumber": "B-1", "soC": 80.5, "soH": 97}
_HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "a1", "issuerKeyHash": "b2", "serialNumber": "c3"}
_CHAIN = {"certificateHashData": _HASH, "source": "OCSP", "urls": ["http://ocsp.example"]}
_STREAM = {"id": 1, "params": {"interval": 60, "values": 10}, "variableMonitoringId": 7}
_SETTLED = {"pspRef": "PSP-1", "status": "Settled", "settlementAmount": 12.5, "settlementTime": AT}

V21: tuple[Example, ...] = (
    strict(
        "BatterySwap",
        {"batteryData": [_BATTERY], "eventType": "BatteryIn", "idToken": _TOKEN, "requestId": 1},
        "batteryData",
        {"requestId": "1"},
        None,
        {"batteryData": [{**_BATTERY, "serialNumber": "b" * 60}]},
        facts=("BatterySwapped",),
    ),
    strict("ClosePeriodicEventStream", {"id": 1}, "id", {"id": "1"}, facts=("EventStreamClosed",)),
    strict(
        "GetCertificateChainStatus",
        {"certificateStatusRequests": [_CHAIN]},
        "certificateStatusRequests",
        {"certificateStatusRequests": "c3"},
        {
            "certificateStatus": [
                {
                    "certificateHashData": _HASH,
                    "source": "OCSP",
                    "status": "Failed",
                    "nextUpdate": "2026-11-23T12:00:00.000Z",
                }
            ]
        },
    ),
    strict(
        "NotifyDERAlarm",
        {"controlType": "VoltVar", "timestamp": AT},
        "controlType",
        {"alarmEnded": "no"},
        facts=("DerAlarmRaised",),
    ),
    strict(
        "NotifyDERStartStop",
        {"controlId": "c", "started": True, "timestamp": AT},
        "controlId",
        {"started": 1},
        facts=("DerControlSwitched",),
    ),
    strict(
        "NotifyPriorityCharging",
        {"transactionId": "t", "activated": True},
        "activated",
        {"activated": "yes"},
        facts=("PriorityChargingTold",),
    ),
    strict(
        "NotifySettlement",
        _SETTLED,
        "pspRef",
        {"settlementAmount": "12.5"},
        None,
        {"pspRef": "p" * 256},
        ("SettlementNotified", "ConformanceFound"),
    ),
    strict(
        "OpenPeriodicEventStream",
        {"constantStreamData": _STREAM},
        "constantStreamData",
        {"constantStreamData": 1},
        {"status": "Accepted"},
        facts=("EventStreamOpened",),
    ),
    strict(
        "PullDynamicScheduleUpdate",
        {"chargingProfileId": 1},
        "chargingProfileId",
        {"chargingProfileId": "1"},
        {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownProfile"}},
        facts=("DynamicLimitsPulled",),
    ),
    strict("ReportDERControl", {"requestId": 1}, "requestId", {"tbc": "no"}, facts=("DerControlsTold",)),
    strict(
        "VatNumberValidation",
        {"vatNumber": "NO 987 654 325 MVA", "evseId": 1},
        "vatNumber",
        {"evseId": "1"},
        {
            "vatNumber": "NO 987 654 325 MVA",
            "evseId": 1,
            "status": "Accepted",
            "statusInfo": {
                "reasonCode": "FormatOnly",
                "additionalInfo": "It has the form of a VAT number; it was not looked up in any register.",
            },
        },
        {"vatNumber": "v" * 21},
        ("VatNumberChecked",),
    ),
)

#: What only a central system sends on 2.1, besides what it sends on 2.0.1.
CENTRAL_ONLY_21 = frozenset(
    """AFRRSignal AdjustPeriodicEventStream ChangeTransactionTariff ClearDERControl ClearTariffs GetDERControl
    GetPeriodicEventStream GetTariffs NotifyAllowedEnergyTransfer NotifyWebPaymentStarted RequestBatterySwap
    SetDERControl SetDefaultTariff UpdateDynamicSchedule UsePriorityCharging""".split()  # noqa: SIM905
)
