"""OCPP 2.0.1 N. Diagnostics: logs and customer information."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, StationContext, text, whole
from csms.ocpp.message import Asked, Messages
from csms.ocpp.transfers import LogWanted, Request, get_log, log_answered, progressed
from csms.stations.customer_information import CustomerInformationAsked, CustomerInformationReported
from csms.stations.transfers import TransferKind
from sessions.facts import Fact

messages = Messages("N. Diagnostics")


@messages.answer("LogStatusNotification")
async def log_status_notification(ctx: StationContext, payload: Payload) -> Payload:
    """N01. Follows an upload of a log to its end."""
    return await progressed(ctx, TransferKind.LOG, payload)


@messages.answer("NotifyCustomerInformation")
async def notify_customer_information(ctx: StationContext, payload: Payload) -> Payload:
    """N09, N10. Keeps a part of what the station knows of a customer."""
    await ctx.submit(
        CustomerInformationReported(
            key=ctx.unique_key("customer-information"),
            at=ctx.now(),
            station_id=ctx.station_id,
            request_id=whole(payload, "requestId") or 0,
            seq_no=whole(payload, "seqNo") or 0,
            text=text(payload, "data", 512),
            last=payload.get("tbc") is not True,
        )
    )
    return {}


@messages.ask("CustomerInformation")
def customer_information(asked: Asked) -> Iterator[Fact]:
    """N09, N10. Asks for, or clears, what the station knows of a customer; a cleared id token leaves its local list."""
    request_id = whole(asked.request, "requestId")
    if request_id is not None:
        named = ("idToken", "customerIdentifier", "customerCertificate")
        yield CustomerInformationAsked(
            key=asked.key("customer-information-asked"),
            at=asked.now,
            station_id=asked.station_id,
            request_id=request_id,
            status=text(asked.response, "status", 20),
            report=asked.request.get("report") is True,
            clear=asked.request.get("clear") is True,
            customer={name: asked.request[name] for name in named if name in asked.request},
            requested_by=asked.requested_by,
        )


@messages.ask("GetLog")
def ask_for_log(asked: Asked) -> Iterator[Fact]:
    """N01. Asks the station to upload a log; an upload under way may give way to it."""
    yield from log_answered(asked)


def log_request(wanted: LogWanted) -> Request:
    """The call that asks for a log."""
    return "GetLog", get_log(wanted)
