"""1.6's configuration keys, and the 2.0.1 variables they correspond to. The others keep their names."""

from __future__ import annotations

from csms.ocpp.dialect import Payload, objects, text
from csms.stations.device_model import Attribute, VariableId

#: The component of keys without a counterpart.
OWN = "ConfigurationKey"

_NAMES = {
    "AdditionalRootCertificateCheck": "SecurityCtrlr.AdditionalRootCertificateCheck",
    "AllowOfflineTxForUnknownId": "AuthCtrlr.OfflineTxForUnknownIdEnabled",
    "AuthorizationCacheEnabled": "AuthCacheCtrlr.Enabled",
    "AuthorizationKey": "SecurityCtrlr.BasicAuthPassword",
    "AuthorizeRemoteTxRequests": "AuthCtrlr.AuthorizeRemoteStart",
    "ChargeProfileMaxStackLevel": "SmartChargingCtrlr.ProfileStackLevel",
    "ChargingScheduleAllowedChargingRateUnit": "SmartChargingCtrlr.RateUnit",
    "ChargingScheduleMaxPeriods": "SmartChargingCtrlr.PeriodsPerSchedule",
    "ClockAlignedDataInterval": "AlignedDataCtrlr.Interval",
    "ConnectionTimeOut": "TxCtrlr.EVConnectionTimeOut",
    "ConnectorSwitch3to1PhaseSupported": "SmartChargingCtrlr.Phases3to1",
    "CpoName": "SecurityCtrlr.OrganizationName",
    "GetConfigurationMaxKeys": "DeviceDataCtrlr.ItemsPerMessage.GetVariables",
    "HeartbeatInterval": "OCPPCommCtrlr.HeartbeatInterval",
    "LocalAuthListEnabled": "LocalAuthListCtrlr.Enabled",
    "LocalAuthorizeOffline": "AuthCtrlr.LocalAuthorizeOffline",
    "LocalPreAuthorize": "AuthCtrlr.LocalPreAuthorize",
    "MaxChargingProfilesInstalled": "SmartChargingCtrlr.Entries.ChargingProfiles",
    "MaxEnergyOnInvalidId": "TxCtrlr.MaxEnergyOnInvalidId",
    "MeterValueSampleInterval": "SampledDataCtrlr.TxUpdatedInterval",
    "MeterValuesAlignedData": "AlignedDataCtrlr.Measurands",
    "MeterValuesSampledData": "SampledDataCtrlr.TxUpdatedMeasurands",
    "ReserveConnectorZeroSupported": "ReservationCtrlr.NonEvseSpecific",
    "SecurityProfile": "SecurityCtrlr.SecurityProfile",
    "SendLocalListMaxLength": "LocalAuthListCtrlr.ItemsPerMessage",
    "StopTransactionOnEVSideDisconnect": "TxCtrlr.StopTxOnEVSideDisconnect",
    "StopTransactionOnInvalidId": "TxCtrlr.StopTxOnInvalidId",
    "StopTxnAlignedData": "AlignedDataCtrlr.TxEndedMeasurands",
    "StopTxnSampledData": "SampledDataCtrlr.TxEndedMeasurands",
    "TransactionMessageAttempts": "OCPPCommCtrlr.MessageAttempts.TransactionEvent",
    "TransactionMessageRetryInterval": "OCPPCommCtrlr.MessageAttemptInterval.TransactionEvent",
    "UnlockConnectorOnEVSideDisconnect": "OCPPCommCtrlr.UnlockOnEVSideDisconnect",
    "WebSocketPingInterval": "OCPPCommCtrlr.WebSocketPingInterval",
}


def _id(name: str) -> VariableId:
    component, variable, *instance = name.split(".")
    return VariableId(component=component, variable=variable, variable_instance=instance[0] if instance else "")


_VARIABLES = {key.lower(): _id(name) for key, name in _NAMES.items()}
_KEYS = {_id(name): key for key, name in _NAMES.items()}


def variable_of(key: str) -> VariableId:
    """The variable that a key stands for; keys are compared without case (1.6 §9)."""
    return _VARIABLES.get(key.lower()) or VariableId(component=OWN, variable=key[:50])


def key_of(variable: VariableId) -> str | None:
    """The key of a variable; None where 1.6 has none."""
    return variable.variable if variable.component == OWN else _KEYS.get(variable)


def read(response: Payload) -> list[Attribute]:
    """What GetConfiguration's answer told."""
    told = []
    for entry in objects(response, "configurationKey"):
        key = text(entry, "key", 50)
        if not key:
            continue
        value = entry.get("value")
        told.append(
            Attribute(
                id=variable_of(key),
                value=text(entry, "value", 2500) if isinstance(value, str) else None,
                mutability="ReadOnly" if entry.get("readonly") is True else "ReadWrite",
            )
        )
    return told
