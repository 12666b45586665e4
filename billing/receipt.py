"""The receipt: a full sales document per session, or a credit note that refers to one. Never edited once issued."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billing.cost import Cost
from billing.cost_json import cost_from_json, cost_to_json
from billing.pan import contains_pan


class DocumentKind(StrEnum):
    """What the document is."""

    SALE = "sale"
    CREDIT_NOTE = "credit_note"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who sold the energy. ``country``: ISO 3166-1 alpha-2."""

    name: str
    address: tuple[str, ...]
    country: str
    organisation_number: str
    vat_number: str = ""
    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """The company a receipt is for, as it was told; nobody has looked it up. ``country``: as it was told."""

    name: str = ""
    address: tuple[str, ...] = ()
    country: str = ""
    vat_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPayment:
    """What the terminal and its provider told of the card and the payment. There is no PAN: only a masked one.

    ``entry_mode``: the provider's ``ifd`` (CONTACTLESS, …). ``aid``: EMV application identifier.
    ``psp_reference``: the provider's own reference of the payment.
    """

    masked_pan: str
    brand: str = ""
    entry_mode: str = "UNKNOWN"
    aid: str = ""
    authorisation_code: str = ""
    terminal_serial: str = ""
    merchant_id: str = ""
    merchant_reference: str = ""
    psp_reference: str = ""

    def __post_init__(self) -> None:
        if contains_pan(self.masked_pan):
            raise ValueError("The masked PAN is a whole card number; a receipt must never carry one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesDocument:
    """Everything a receipt says; `billing.receipt_view` puts it in words.

    ``number`` and ``issued_at`` are None until it is issued. Amounts in minor units of ``cost.currency``; energy in Wh;
    times aware, kept in UTC and shown in ``time_zone`` (IANA). For a sale, ``charged_minor`` is what was captured of
    ``held_minor``; for a credit note it is what is paid back, and ``refers_to`` is the number of the sale.
    ``provisional``: settled on the last trusted reading, the station's final one may follow. ``flags``: what a person
    should look at. ``signed_meter_data``: the station's signed records, verbatim. ``payment`` None: nothing was paid
    with a card. ``collected_at_station``: the station's own terminal took the money, so there was no hold of ours.
    ``buyer``: the company it is for. ``facilitator``: who ran the payment technically, where that is not the issuer and
    the money was never theirs. Raises ``ValueError`` for a document that contradicts itself.
    """

    session_id: str
    issuer: Issuer
    station_label: str
    evse_label: str
    started_at: datetime
    ended_at: datetime
    time_zone: str
    energy_wh: int
    cost: Cost
    held_minor: int
    charged_minor: int
    released_minor: int
    payment: CardPayment | None = None
    url: str = ""
    kind: DocumentKind = DocumentKind.SALE
    number: str | None = None
    issued_at: datetime | None = None
    refers_to: str | None = None
    provisional: bool = False
    flags: tuple[str, ...] = ()
    signed_meter_data: tuple[str, ...] = ()
    collected_at_station: bool = False
    buyer: Buyer | None = None
    facilitator: str = ""

    def __post_init__(self) -> None:
        for name in ("started_at", "ended_at", "issued_at"):
            moment: datetime | None = getattr(self, name)
            if moment is not None:
                if moment.tzinfo is None:
                    raise ValueError(f"{name} of a receipt needs a time zone: {moment}.")
                object.__setattr__(self, name, moment.astimezone(UTC))
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"Time zone {self.time_zone!r} is not known; use a name such as Europe/Oslo.") from None
        if (self.number is None) != (self.issued_at is None):
            raise ValueError("A receipt has a number and a date of issue, or neither.")
        if min(self.energy_wh, self.held_minor, self.charged_minor, self.released_minor) < 0:
            raise ValueError("Energy and amounts of a receipt cannot be negative.")
        if self.kind is DocumentKind.CREDIT_NOTE:
            if not self.refers_to:
                raise ValueError("A credit note must name the receipt it refers to.")
        elif self.collected_at_station:
            if self.held_minor or self.released_minor:
                raise ValueError("What the station's own terminal collected was not held here.")
        elif self.charged_minor + self.released_minor > self.held_minor:
            raise ValueError(
                f"Charged {self.charged_minor} and released {self.released_minor} exceed the {self.held_minor} held."
            )

    def issued(self, number: str, issued_at: datetime) -> SalesDocument:
        """The same document with its number and date. Raises ``ValueError`` if it has one already."""
        if self.number is not None:
            raise ValueError(f"The receipt has been issued already, as number {self.number}.")
        return replace(self, number=number, issued_at=issued_at)

    def to_json(self) -> dict[str, Any]:
        """The document as a JSON object; `from_json` gives back an equal one."""
        return {
            "kind": str(self.kind),
            "number": self.number,
            "issued_at": None if self.issued_at is None else self.issued_at.isoformat(),
            "refers_to": self.refers_to,
            "session_id": self.session_id,
            "issuer": asdict(self.issuer) | {"address": list(self.issuer.address)},
            "station_label": self.station_label,
            "evse_label": self.evse_label,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "time_zone": self.time_zone,
            "energy_wh": self.energy_wh,
            "cost": cost_to_json(self.cost),
            "held_minor": self.held_minor,
            "charged_minor": self.charged_minor,
            "released_minor": self.released_minor,
            "payment": None if self.payment is None else asdict(self.payment),
            "provisional": self.provisional,
            "flags": list(self.flags),
            "signed_meter_data": list(self.signed_meter_data),
            "url": self.url,
            "collected_at_station": self.collected_at_station,
            "buyer": None if self.buyer is None else asdict(self.buyer) | {"address": list(self.buyer.address)},
            "facilitator": self.facilitator,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SalesDocument:
        """A document from its JSON object. Raises ``KeyError`` for a missing key, ``ValueError`` as the class does."""
        issuer = dict(data["issuer"])
        buyer = data.get("buyer")  # receipts of earlier versions have none
        return cls(
            kind=DocumentKind(data["kind"]),
            number=data["number"],
            issued_at=None if data["issued_at"] is None else datetime.fromisoformat(data["issued_at"]),
            refers_to=data["refers_to"],
            session_id=data["session_id"],
            issuer=Issuer(**issuer | {"address": tuple(issuer["address"])}),
            station_label=data["station_label"],
            evse_label=data["evse_label"],
            started_at=datetime.fromisoformat(data["started_at"]),
            ended_at=datetime.fromisoformat(data["ended_at"]),
            time_zone=data["time_zone"],
            energy_wh=data["energy_wh"],
            cost=cost_from_json(data["cost"]),
            held_minor=data["held_minor"],
            charged_minor=data["charged_minor"],
            released_minor=data["released_minor"],
            payment=None if data["payment"] is None else CardPayment(**data["payment"]),
            provisional=data["provisional"],
            flags=tuple(data["flags"]),
            signed_meter_data=tuple(data["signed_meter_data"]),
            url=data["url"],
            collected_at_station=data.get("collected_at_station", False),
            buyer=None if buyer is None else Buyer(**buyer | {"address": tuple(buyer["address"])}),
            facilitator=data.get("facilitator", ""),
        )
