"""OCPP 1.6 (edition 2, with the security whitepaper): translates, nothing else.

1.6's words (`chargePoint`, `idTag`, `connectorId`) end here: connector n is EVSE n.
"""

from csms.ocpp.v16 import core, firmware, local_list, remote_trigger, reservation, security, smart_charging

BLOCKS = (
    core.messages,
    firmware.messages,
    local_list.messages,
    reservation.messages,
    smart_charging.messages,
    remote_trigger.messages,
    security.messages,
)

#: OCPP-J 1.6 table 7, its spelling included.
ERROR_CODES = {
    "FormatViolation": "FormationViolation",
    "RpcFrameworkError": "ProtocolError",
    "MessageTypeNotSupported": "ProtocolError",
    "OccurrenceConstraintViolation": "OccurenceConstraintViolation",
}
