"""OCPP 2.0.1 F. Remote control."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from csms.ocpp.dialect import Payload
from csms.ocpp.limit import schedule, tx_profile
from csms.ocpp.message import Asked, Messages
from csms.ocpp.v201.smart_charging import started_with
from sessions.commands import StartCharging
from sessions.facts import Fact

messages = Messages("F. Remote control")


def request_start(command: StartCharging, now: datetime) -> Payload:
    """C03, F01, F02. A token of ours has the type Central: the station must neither authorise nor cache it."""
    payload: Payload = {
        "idToken": {"idToken": command.id_token, "type": command.id_token_type},
        "remoteStartId": command.remote_start_id,
        "evseId": command.evse_id,
    }
    profile = tx_profile(command, now)
    if profile is not None:
        own = {"id": command.remote_start_id, "chargingSchedule": [{"id": 1} | schedule(command)]}
        payload["chargingProfile"] = profile | own
    return payload


@messages.ask("RequestStartTransaction")
def request_start_transaction(asked: Asked) -> Iterator[Fact]:
    """F01, F02. Asks the station to start a transaction, with a TxProfile that is kept if there is one."""
    yield from started_with(asked)


messages.plain("RequestStopTransaction", "F03. Asks the station to stop a transaction.")
messages.plain("TriggerMessage", "F06. Asks the station to send a message now.")
messages.plain("UnlockConnector", "F05. Unlocks a connector without a transaction.")
