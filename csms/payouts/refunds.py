"""Refunds: a proposal first, then a journalled decision by a named person, then the acquirer's word.

There is no refund call at the terminals' cloud: the operator asks the acquirer for it, with the host reference of the
authorisation. What is decided here is booked at once, with a credit note in the number series of the sale's issuer, in
one commit; the refund is then *asked*, and *confirmed* when the acquirer's settlement shows it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from billing import ledger, refund
from billing.cost import Cost
from billing.cost_json import cost_from_json, cost_to_json
from billing.ledger import Account
from billing.receipt import DocumentKind, SalesDocument
from billing.refund import Rate, RefundError
from billing.statement import REFUND_OWED
from sessions.books import Posting, post
from sessions.codec import decode_session, register
from sessions.commands import Command
from sessions.facts import SessionFact
from sessions.rows import next_number
from sessions.session import Origin, Session
from storage import payout_schema as t
from storage import schema as s

PROPOSED, ASKED, CONFIRMED, WITHDRAWN = "proposed", "asked", "confirmed", "withdrawn"
#: A refund that counts against what was sold.
DECIDED = (ASKED, CONFIRMED)


@register
@dataclass(frozen=True, slots=True, kw_only=True)
class RefundDecided(SessionFact):
    """A person decided that a proposed refund is carried out. ``receipt_token``: of the credit note to be issued."""

    refund_id: str
    by: str
    receipt_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """What a session sold, where it was collected, and its sales document (a contract's charge has none)."""

    session: Session
    cost: Cost
    receivable: Account
    document: SalesDocument | None
    issuer_id: str

    def postings(self, refund_id: str, back: Cost) -> list[Posting]:
        """What a refund of ``back`` writes into the ledger."""
        about = {"session_id": self.session.session_id, "book": self.session.book, "owner_id": self.session.owner_id}
        sets = [(f"refund:{refund_id}", ledger.refund(self.receivable, back))]
        if self.session.owed_to_owner:
            sets.append((f"{REFUND_OWED}:{refund_id}", ledger.owed_back(back)))
        return [Posting(set_key=f"{self.session.session_id}:{key}", entries=es, **about) for key, es in sets]


async def sold_by(connection: AsyncConnection, session_id: str) -> Sold:
    """What the session sold. Raises `RefundError` where nothing was collected, or nobody knows what for."""
    query = select(s.sessions.c.state).where(s.sessions.c.session_id == session_id)
    session = decode_session((await connection.execute(query)).scalar_one())
    r = s.receipts.c
    sale = select(r.document, r.issuer_id).where(r.session_id == session_id, r.kind == DocumentKind.SALE.value)
    receipt = (await connection.execute(sale)).first()
    if receipt is not None:
        document = SalesDocument.from_json(orjson.loads(receipt.document))
        at_station = session.origin is Origin.DIRECT
        receivable = Account.STATION_ACQUIRER if at_station else Account.ACQUIRER
        return Sold(
            session=session,
            cost=document.cost,
            receivable=receivable,
            document=document,
            issuer_id=receipt.issuer_id,
        )
    if session.contract is None or session.contract.total_minor == 0:
        raise RefundError("Nothing was collected for this session that a receipt explains, so nothing can be refunded.")
    return Sold(session=session, cost=session.contract, receivable=Account.CONTRACTS, document=None, issuer_id="")


async def refunds_of(connection: AsyncConnection, session_id: str) -> list[Cost]:
    """What was paid back of a session already."""
    query = select(t.refunds.c.cost).where(t.refunds.c.session_id == session_id, t.refunds.c.state.in_(DECIDED))
    return [cost_from_json(orjson.loads(text)) for text in (await connection.execute(query)).scalars()]


async def propose(
    connection: AsyncConnection,
    session_id: str,
    *,
    amount_minor: int | None,
    by_rate: dict[Rate, int] | None,
    reason: str,
    by: str,
    now: datetime,
) -> str:
    """Write a proposal down, and nothing else; return its id. Neither amount: all that is left. `RefundError`."""
    sold = await sold_by(connection, session_id)
    earlier = await refunds_of(connection, session_id)
    if by_rate is not None:
        back = refund.by_rate(sold.cost, earlier, by_rate)
    elif amount_minor is not None:
        back = refund.part(sold.cost, earlier, amount_minor)
    else:
        back = refund.whole(sold.cost, earlier)
    refund_id = f"rfd_{secrets.token_hex(12)}"
    await connection.execute(
        t.refunds.insert().values(
            refund_id=refund_id,
            session_id=session_id,
            owner_id=sold.session.owner_id,
            book=sold.session.book,
            state=PROPOSED,
            currency=back.currency,
            amount_minor=back.total_minor,
            receivable=sold.receivable.value,
            cost=orjson.dumps(cost_to_json(back)).decode(),
            reason=reason,
            host_reference=sold.session.authorisation.host_reference[:80],
            proposed_by=by,
            proposed_at=now,
        )
    )
    return refund_id


def decided(refund_id: str, session_id: str, by: str, now: datetime) -> RefundDecided:
    """The fact; the same decision told twice is one."""
    return RefundDecided(
        key=f"refund:{refund_id}",
        at=now,
        session_id=session_id,
        refund_id=refund_id,
        by=by,
        receipt_token=secrets.token_urlsafe(24),
    )


async def keep_decided(connection: AsyncConnection, found: Sequence[RefundDecided], now: datetime) -> list[Command]:
    """Carry refunds out, in the commit that journals the decision. Raises `RefundError`: nothing is written then."""
    for fact in found:
        await _carry_out(connection, fact, now)
    return []


KEEPERS = {RefundDecided: (keep_decided,)}


async def _carry_out(connection: AsyncConnection, fact: RefundDecided, now: datetime) -> None:
    row = await _locked(connection, fact.refund_id, PROPOSED)
    sold = await sold_by(connection, row.session_id)
    back = cost_from_json(orjson.loads(row.cost))
    wanted = {line.vat_percent: line.gross_minor for line in back.vat}
    if refund.by_rate(sold.cost, await refunds_of(connection, row.session_id), wanted) != back:
        raise RefundError("Another refund of this session was decided meanwhile: propose this one anew.")
    await post(connection, sold.postings(row.refund_id, back), now)
    decision: dict[str, Any] = {"state": ASKED, "decided_by": fact.by, "decided_at": now}
    if sold.document is not None:
        await _issue_credit_note(connection, sold.document, sold.issuer_id, back, fact.receipt_token, now)
        decision["receipt_token"] = fact.receipt_token
    await connection.execute(update(t.refunds).where(t.refunds.c.refund_id == row.refund_id).values(decision))


async def _issue_credit_note(
    connection: AsyncConnection, sale: SalesDocument, issuer_id: str, back: Cost, token: str, now: datetime
) -> None:
    """Number and store it, like a receipt (`sessions.service.Service`): they commit together."""
    number = await next_number(connection, f"receipt:{issuer_id}")
    note = credit_note(sale, back, token).issued(str(number), now)
    await connection.execute(
        s.receipts.insert().values(
            receipt_token=token,
            issuer_id=issuer_id,
            number=number,
            session_id=sale.session_id,
            issued_at=now,
            document=orjson.dumps(note.to_json()).decode(),
            kind=DocumentKind.CREDIT_NOTE.value,
        )
    )


def credit_note(sale: SalesDocument, back: Cost, token: str) -> SalesDocument:
    """The credit note of ``back``, not numbered yet: it refers to the sale, which stays as it is."""
    return replace(
        sale,
        kind=DocumentKind.CREDIT_NOTE,
        refers_to=sale.number,
        number=None,
        issued_at=None,
        cost=back,
        held_minor=0,
        charged_minor=back.total_minor,
        released_minor=0,
        url=f"{sale.url.rpartition('/')[0]}/{token}",
        provisional=False,
        flags=(),
        signed_meter_data=(),
    )


async def withdraw(connection: AsyncConnection, refund_id: str) -> None:
    """A proposal will not be carried out. Raises `RefundError`."""
    await _locked(connection, refund_id, PROPOSED)
    await connection.execute(update(t.refunds).where(t.refunds.c.refund_id == refund_id).values(state=WITHDRAWN))


async def confirm(connection: AsyncConnection, refund_id: str, *, reference: str, by: str, now: datetime) -> None:
    """The acquirer carried the refund out: its settlement shows it, or a person says so. Raises `RefundError`."""
    await _locked(connection, refund_id, ASKED)
    said = {"state": CONFIRMED, "acquirer_reference": reference[:80], "confirmed_by": by[:80], "confirmed_at": now}
    await connection.execute(update(t.refunds).where(t.refunds.c.refund_id == refund_id).values(said))


async def _locked(connection: AsyncConnection, refund_id: str, state: str) -> Any:
    query = select(t.refunds).where(t.refunds.c.refund_id == refund_id).with_for_update()
    row = (await connection.execute(query)).first()
    if row is None or row.state != state:
        raise RefundError(f"This refund is {row.state if row else 'not there'}; it has to be {state} for that.")
    return row
