"""Customer information: what a station knows of a customer, reported or cleared (2.0.1 N09, N10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from csms.stations import calls
from csms.stations.parts import Parted
from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from storage import authorization_schema
from storage import diagnostics_schema as t

reports = Parted(t.customer_information, t.customer_information_parts)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerInformationAsked(StationFact):
    """The station answered whether it reports or clears. ``customer``: whose, as it was asked."""

    request_id: int
    status: str
    report: bool
    clear: bool
    customer: dict[str, Any]
    requested_by: str


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerInformationReported(StationFact):
    """One part of what the station knows."""

    request_id: int
    seq_no: int
    text: str
    last: bool


async def keep_asked(
    connection: AsyncConnection, found: Sequence[CustomerInformationAsked], now: datetime
) -> list[Command]:
    """Write the request. A cleared id token leaves the station's local list too (N10)."""
    removals = []
    for fact in found:
        await reports.asked(
            connection,
            {
                "station_id": fact.station_id,
                "request_id": fact.request_id,
                "status": fact.status[:20],
                "report": fact.report,
                "clear": fact.clear,
                "customer": orjson.dumps(fact.customer).decode(),
                "requested_by": fact.requested_by[:80],
                "requested_at": now,
            },
        )
        if fact.status == "Accepted" and not fact.report:
            mine = t.customer_information.c
            mine_too = (mine.station_id == fact.station_id, mine.request_id == fact.request_id)
            await connection.execute(update(t.customer_information).where(*mine_too).values(completed_at=now))
        await reports.complete(connection, fact.station_id, fact.request_id, now)
        token = fact.customer.get("idToken")
        if fact.status == "Accepted" and fact.clear and isinstance(token, dict):
            version = await _listed_in(connection, fact.station_id, token)
            if version is not None:
                removals.append(_removal(fact, token, version + 1, now))
    return await calls.keep_requests(connection, removals, now) if removals else []


def _removal(fact: CustomerInformationAsked, token: dict[str, Any], version: int, now: datetime) -> calls.CallRequested:
    payload = {"versionNumber": version, "updateType": "Differential", "localAuthorizationList": [{"idToken": token}]}
    return calls.request(fact.station_id, "SendLocalList", payload, by=fact.requested_by, now=now)


async def _listed_in(connection: AsyncConnection, station_id: str, token: dict[str, Any]) -> int | None:
    """The version of the station's local list, if the token is in it."""
    lists, entries = authorization_schema.local_lists.c, authorization_schema.local_list_entries.c
    id_token = str(token.get("idToken")).upper()
    query = (
        select(lists.version, lists.told_version)
        .join_from(
            authorization_schema.local_lists,
            authorization_schema.local_list_entries,
            lists.station_id == entries.station_id,
        )
        .where(lists.station_id == station_id, entries.id_token == id_token)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else max(row.version, row.told_version or 0)


async def keep_reported(
    connection: AsyncConnection, found: Sequence[CustomerInformationReported], now: datetime
) -> list[Command]:
    """Write the parts."""
    unasked = {"report": True, "clear": False, "requested_at": now}
    for fact in found:
        part = {"station_id": fact.station_id, "request_id": fact.request_id, "seq_no": fact.seq_no}
        await reports.part(connection, part | {"last": fact.last, "body": fact.text}, unasked)
        await reports.complete(connection, fact.station_id, fact.request_id, now)
    return []


KEEPERS = {CustomerInformationAsked: (keep_asked,), CustomerInformationReported: (keep_reported,)}
