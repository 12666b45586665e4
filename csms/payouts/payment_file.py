"""The payment file: ISO 20022 pain.001, built by `sepaxml`, made fit for any currency, and validated as it goes out.

`sepaxml` knows SEPA: euro, two decimals, random ids, the time of day. What differs is set afterwards (amounts in the
currency's own decimals, no SEPA service level and shared charges outside the euro, ids and time that make the file the
same each time), and the result is validated against the message's own schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib import resources
from typing import Any
from xml.etree import ElementTree as ET

from sepaxml import SepaTransfer

from billing.money import to_major

EURO = "EUR"
#: What every bank takes (EPC217-08, 1.4): letters, digits and these.
_UNPRINTABLE = re.compile(r"[^A-Za-z0-9/?:().,'+ -]+")
_NOT_PROVIDED = "NOTPROVIDED"


class PaymentFileError(Exception):
    """The file cannot be made; the text says what to mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAccount:
    """An account, checked: IBAN without spaces."""

    iban: str
    bic: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Debtor:
    """Who pays owners out. ``accounts``: by currency. ``four_eyes``: another person has to release a file."""

    name: str
    accounts: Mapping[str, BankAccount]
    message: str = "pain.001.001.09"
    four_eyes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One transfer. ``end_to_end_id``: at most 35 characters; the bank gives it back with a return."""

    end_to_end_id: str
    creditor: str
    account: BankAccount
    amount_minor: int
    description: str


def payment_file(
    debtor: Debtor,
    payments: Sequence[Payment],
    *,
    batch_id: str,
    currency: str,
    execution_date: date,
    created_at: datetime,
) -> bytes:
    """The file, valid by its schema; the same arguments make the same bytes. Raises `PaymentFileError`."""
    account = debtor.accounts.get(currency)
    if account is None:
        raise PaymentFileError(f"No account in {currency} is configured: add one to payouts.accounts.")
    config = {"name": debtor.name, "IBAN": account.iban, "batch": True, "currency": currency}
    config |= {"BIC": account.bic} if account.bic else {}
    config |= {"domestic": True} if currency != EURO else {}
    made = SepaTransfer(config, schema=debtor.message, clean=True)
    for payment in payments:
        told = {
            "name": payment.creditor,
            "IBAN": payment.account.iban,
            "amount": payment.amount_minor,
            "execution_date": execution_date,
            "description": payment.description,
            "endtoend_id": payment.end_to_end_id,
        }
        made.add_payment(told | ({"BIC": payment.account.bic} if payment.account.bic else {}))
    finished = _finished(
        made.export(validate=False), debtor.message, payments, batch_id, currency, created_at.astimezone(UTC)
    )
    validate(finished, debtor.message)
    return finished


def bank_text(text: str, otherwise: str) -> str:
    """``text`` in the characters that every bank takes; ``otherwise`` where nothing is left of it."""
    plain = re.sub(r"/{2,}", "/", _UNPRINTABLE.sub(" ", text))
    return " ".join(plain.split()).strip("/ ") or otherwise


def _finished(
    exported: bytes, message: str, payments: Sequence[Payment], batch_id: str, currency: str, created_at: datetime
) -> bytes:
    namespace = f"urn:iso:std:iso:20022:tech:xsd:{message}"
    root = ET.fromstring(exported)  # noqa: S314 — made here, a line above

    def all_of(name: str) -> list[ET.Element]:
        return list(root.iter(f"{{{namespace}}}{name}"))

    def say(name: str, text: str) -> None:
        for element in all_of(name):
            element.text = text

    total = f"{to_major(sum(payment.amount_minor for payment in payments), currency):f}"
    say("MsgId", batch_id)
    say("PmtInfId", batch_id)
    say("CreDtTm", created_at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    say("CtrlSum", total)
    if currency != EURO:
        say("ChrgBr", "SHAR")
    for element, payment in zip(all_of("InstdAmt"), payments, strict=True):
        element.text = f"{to_major(payment.amount_minor, currency):f}"
    for name in ("Nm", "Ustrd"):
        for element in all_of(name):
            element.text = bank_text(element.text or "", _NOT_PROVIDED)
    for element in all_of("FinInstnId"):
        if not len(element):
            other = ET.SubElement(element, f"{{{namespace}}}Othr")
            ET.SubElement(other, f"{{{namespace}}}Id").text = _NOT_PROVIDED
    ET.register_namespace("", namespace)  # the default one, as banks expect it
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


@cache
def _schema(message: str) -> Any:
    """The message's own schema; reading it takes seconds, and it does not change."""
    import xmlschema

    return xmlschema.XMLSchema(str(resources.files("sepaxml") / "schemas" / f"{message}.xsd"))


def validate(content: bytes, message: str) -> None:
    """Check a file against the schema of its message. Raises `PaymentFileError` with the first thing that is wrong."""
    import xmlschema  # it changes ElementTree while it is imported: not before it is needed

    schema = _schema(message)
    try:
        schema.validate(content.decode())
    except xmlschema.XMLSchemaValidationError as error:
        raise PaymentFileError(f"The payment file is not valid {message}: {error.reason} at {error.path}.") from error
