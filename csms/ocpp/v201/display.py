"""OCPP 2.0.1 O. Display message."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, StationContext, moment, obj, objects, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.display_messages import (
    AllDisplayMessagesAsked,
    DisplayMessage,
    DisplayMessageCleared,
    DisplayMessageSet,
    DisplayMessagesReported,
    NoDisplayMessages,
)
from sessions.facts import Fact

messages = Messages("O. Display message")


@messages.answer("NotifyDisplayMessages")
async def notify_display_messages(ctx: StationContext, payload: Payload) -> Payload:
    """O03, O04. Keeps the messages the station says it has."""
    reported = [_message(info) for info in objects(payload, "messageInfo")]
    await ctx.submit(
        DisplayMessagesReported(
            key=ctx.unique_key("display-messages"),
            at=ctx.now(),
            station_id=ctx.station_id,
            request_id=whole(payload, "requestId") or 0,
            messages=tuple(message for message in reported if message is not None),
            last=payload.get("tbc") is not True,
        )
    )
    return {}


@messages.ask("SetDisplayMessage")
def set_display_message(asked: Asked) -> Iterator[Fact]:
    """O01, O02, O06. Puts a message on the display; an accepted one replaces the one of its id."""
    message = _message(obj(asked.request, "message"))
    if text(asked.response, "status") == "Accepted" and message is not None:
        yield DisplayMessageSet(
            key=asked.key("display-set"), at=asked.now, station_id=asked.station_id, message=message
        )


@messages.ask("ClearDisplayMessage")
def clear_display_message(asked: Asked) -> Iterator[Fact]:
    """O05. Removes a message from the display; one the station does not know is forgotten as well."""
    if text(asked.response, "status") in {"Accepted", "Unknown"}:
        yield DisplayMessageCleared(
            key=asked.key("display-cleared"), at=asked.now, station_id=asked.station_id, message_id=asked.request["id"]
        )


@messages.ask("GetDisplayMessages")
def get_display_messages(asked: Asked) -> Iterator[Fact]:
    """O03, O04. Asks for the configured messages; they come as NotifyDisplayMessages."""
    unfiltered = not {"id", "priority", "state"} & set(asked.request)
    if unfiltered and text(asked.response, "status") == "Accepted":
        yield AllDisplayMessagesAsked(
            key=asked.key("display-asked"),
            at=asked.now,
            station_id=asked.station_id,
            request_id=asked.request["requestId"],
        )
    if unfiltered and text(asked.response, "status") == "Unknown":
        yield NoDisplayMessages(key=asked.key("display-none"), at=asked.now, station_id=asked.station_id)


def _message(info: Payload) -> DisplayMessage | None:
    message_id = whole(info, "id")
    if message_id is None:
        return None
    return DisplayMessage(
        message_id=message_id,
        priority=text(info, "priority", 12),
        state=text(info, "state", 20) or None,
        starts_at=moment(info.get("startDateTime")),
        ends_at=moment(info.get("endDateTime")),
        transaction_id=text(info, "transactionId", 36) or None,
        body=info,
    )
