"""From a settled session to its sales document. Pure."""

from __future__ import annotations

from datetime import datetime

from billing.pan import redact_pans
from billing.receipt import CardPayment, Issuer, SalesDocument
from sessions.session import Origin, Session

#: Registered application provider identifiers (ISO/IEC 7816-5), the first ten characters of an AID.
_BRANDS = {
    "A000000003": "Visa",
    "A000000004": "Mastercard",
    "A000000025": "American Express",
    "A000000065": "JCB",
    "A000000121": "Dankort",
    "A000000152": "Discover",
    "A000000333": "UnionPay",
    "D578000002": "BankAxept",
}


def brand_of(aid: str) -> str:
    """The card scheme of an EMV application identifier; empty for one this table does not know."""
    return _BRANDS.get(aid[:10].upper(), "")


def sales_document(
    session: Session,
    issuer: Issuer,
    number: int,
    issued_at: datetime,
    public_url: str,
    *,
    facilitator: str = "",
    merchant_id: str = "",
) -> SalesDocument:
    """Return the receipt of ``session``, numbered. The session must be captured and priced.

    Of one that was paid through the owner's own processor: ``facilitator``, who ran it; ``merchant_id``, the owner's.
    """
    if session.cost is None or session.place is None:
        raise ValueError(f"Session {session.session_id} is not settled: no receipt can be written.")
    card, at_station = session.card, session.origin is Origin.DIRECT
    if card is None and not at_station:
        raise ValueError(f"Session {session.session_id} was not paid with a card: no receipt can be written.")
    started = session.started_at or session.opened_at
    return SalesDocument(
        number=str(number),
        issued_at=issued_at,
        issuer=issuer,
        session_id=session.session_id,
        station_label=session.place.station_id,
        evse_label=session.place.label,
        started_at=started,
        ended_at=session.ended_at or started,
        time_zone=session.tariff.time_zone if session.tariff else "UTC",
        energy_wh=session.meter.energy_wh,
        cost=session.cost,
        held_minor=session.held_minor,
        charged_minor=session.captured_minor,
        released_minor=0 if at_station else session.held_minor - session.captured_minor,
        payment=CardPayment(
            masked_pan=redact_pans(card.masked_pan) if card else "",
            brand=brand_of(session.authorisation.aid) or session.authorisation.brand,
            entry_mode=card.ifd if card else "",
            aid=session.authorisation.aid,
            authorisation_code=session.authorisation.authorisation_code,
            terminal_serial=session.terminal_serial or "",
            merchant_id=merchant_id,
            merchant_reference=session.authorisation.merchant_reference,
            psp_reference=session.authorisation.payment_ref,
        ),
        flags=session.flags,
        provisional=session.provisional,
        signed_meter_data=session.meter.signed,
        url=f"{public_url}/r/{session.receipt_token}",
        collected_at_station=at_station,
        buyer=session.buyer,
        facilitator=facilitator,
    )


def facilitator_of(platform: Issuer) -> str:
    """How a receipt names whoever runs the platform, where the sale is somebody else's."""
    return ", ".join(part for part in (platform.name, platform.organisation_number) if part)
