"""What became of payments at stations' own terminals (OCPP 2.1 C18–C23), and the VAT numbers that drivers gave there.

Every word of a station is kept, also about a payment that no session of ours knows; what it means for a session's money
is decided in `sessions.direct`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson
from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sessions.codec import register
from sessions.commands import Command
from sessions.facts import StationFact
from sessions.session import Origin
from sessions.settlement import SettlementNotified
from storage import payment_schema as t
from storage import schema

#: VAT numbers by the country they begin with: EU (Directive 2006/112/EC art. 215), Norway, Switzerland, Great Britain.
VAT_FORMATS = {
    "AT": r"U\d{8}",
    "BE": r"[01]\d{9}",
    "BG": r"\d{9,10}",
    "CH": r"E\d{9}(MWST|TVA|IVA)?",
    "CY": r"\d{8}[A-Z]",
    "CZ": r"\d{8,10}",
    "DE": r"\d{9}",
    "DK": r"\d{8}",
    "EE": r"\d{9}",
    "EL": r"\d{9}",
    "ES": r"[A-Z0-9]\d{7}[A-Z0-9]",
    "FI": r"\d{8}",
    "FR": r"[A-HJ-NP-Z0-9]{2}\d{9}",
    "GB": r"(\d{9}|\d{12}|(GD|HA)\d{3})",
    "HR": r"\d{11}",
    "HU": r"\d{8}",
    "IE": r"(\d{7}[A-W][A-I]?|\d[A-Z+*]\d{5}[A-W])",
    "IT": r"\d{11}",
    "LT": r"(\d{9}|\d{12})",
    "LU": r"\d{8}",
    "LV": r"\d{11}",
    "MT": r"\d{8}",
    "NL": r"[A-Z0-9+*]{10}\d{2}",
    "NO": r"\d{9}(MVA)?",
    "PL": r"\d{10}",
    "PT": r"\d{9}",
    "RO": r"\d{2,10}",
    "SE": r"\d{12}",
    "SI": r"\d{8}",
    "SK": r"\d{10}",
    "XI": r"(\d{9}|\d{12}|(GD|HA)\d{3})",
}


def looks_like_a_vat_number(text: str) -> bool:
    """Whether it has the form of its country's numbers. Blanks, dots and hyphens do not count. Nobody is asked."""
    plain = re.sub(r"[ .\-]", "", text.upper())
    form = VAT_FORMATS.get(plain[:2])
    return form is not None and re.fullmatch(form, plain[2:], re.ASCII) is not None


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class VatNumberChecked(StationFact):
    """A driver gave a VAT number at a station; ``accepted``: it has the form of one."""

    vat_number: str
    evse_id: int | None
    accepted: bool


async def keep_settlements(
    connection: AsyncConnection, found: Sequence[SettlementNotified], now: datetime
) -> list[Command]:
    """Write what stations said, with the session it is about, if there is one."""
    rows = [
        {
            "station_id": fact.station_id,
            "psp_ref": fact.psp_ref[:255],
            "transaction_id": fact.transaction_id,
            "session_id": await _session_of(connection, fact),
            "status": fact.status.value,
            "status_info": fact.status_info[:500] or None,
            "amount": str(fact.amount),
            "settled_at": fact.settled_at,
            "told_at": now,
            "receipt_id": fact.receipt_id[:50] or None,
            "receipt_url": fact.receipt_url[:2000] or None,
            "buyer": orjson.dumps(asdict(fact.buyer)).decode() if fact.buyer else None,
        }
        for fact in found
    ]
    await connection.execute(t.settlements.insert(), rows)
    return []


async def _session_of(connection: AsyncConnection, fact: SettlementNotified) -> str | None:
    s = schema.sessions.c
    paid = and_(s.origin == Origin.DIRECT.value, s.id_token == fact.psp_ref.upper()[:64])
    named = s.transaction_id == fact.transaction_id if fact.transaction_id is not None else paid
    query = select(s.session_id).where(s.station_id == fact.station_id, or_(named, paid))
    by_transaction_first = query.order_by(named.desc(), s.opened_at.desc())
    session_id: str | None = (await connection.execute(by_transaction_first.limit(1))).scalar()
    return session_id


async def keep_vat_checks(
    connection: AsyncConnection, found: Sequence[VatNumberChecked], now: datetime
) -> list[Command]:
    """Write the numbers that were given."""
    rows = [
        {
            "station_id": fact.station_id,
            "evse_id": fact.evse_id,
            "vat_number": fact.vat_number[:20],
            "accepted": fact.accepted,
            "checked_at": now,
        }
        for fact in found
    ]
    await connection.execute(t.vat_checks.insert(), rows)
    return []


KEEPERS = {SettlementNotified: (keep_settlements,), VatNumberChecked: (keep_vat_checks,)}
