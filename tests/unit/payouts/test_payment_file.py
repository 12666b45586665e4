"""Payment files: valid by their schema in every version and currency, and the same bytes each time."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from csms.owner_settings import BankAccountSettings, PayoutSettings
from csms.payouts.payment_file import BankAccount, Debtor, Payment, PaymentFileError, bank_text, payment_file, validate

VERSIONS = ("pain.001.001.03", "pain.001.001.09", "pain.001.001.10", "pain.001.001.11")
IBAN, OTHER = "NO9386011117947", "DE89370400440532013000"


def made(
    currency: str, message: str = VERSIONS[1], *, bic: str | None = None, creditor: str = "Eier AS", minor: int = 12_345
) -> bytes:
    debtor = Debtor(name="Fjærlys Øst <AS>", accounts={currency: BankAccount(iban=IBAN, bic=bic)}, message=message)
    payments = [
        Payment(
            end_to_end_id=f"ST{n:08}",
            creditor=creditor,
            account=BankAccount(iban=OTHER, bic=bic),
            amount_minor=minor,
            description=f"Statement ST{n:08}",
        )
        for n in (1, 2)
    ]
    return payment_file(
        debtor,
        payments,
        batch_id="PB00000007",
        currency=currency,
        execution_date=date(2026, 3, 2),
        created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )


def texts(content: bytes, name: str) -> list[str | None]:
    return [e.text for e in ET.fromstring(content).iter() if e.tag.endswith("}" + name)]


@pytest.mark.parametrize("message", VERSIONS)
@pytest.mark.parametrize(
    ("currency", "amount", "total"),
    [("EUR", "123.45", "246.90"), ("NOK", "123.45", "246.90"), ("ISK", "12345", "24690"), ("BHD", "12.345", "24.690")],
)
@pytest.mark.parametrize("bic", [None, "DNBANOKK"])
def test_every_version_and_currency(message: str, currency: str, amount: str, total: str, bic: str | None) -> None:
    content = made(currency, message, bic=bic)
    assert content == made(currency, message, bic=bic)
    validate(content, message)
    assert texts(content, "InstdAmt") == [amount] * 2
    assert texts(content, "CtrlSum") == [total] * 2
    assert texts(content, "NbOfTxs") == ["2", "2"]
    assert texts(content, "EndToEndId") == ["ST00000001", "ST00000002"]
    assert texts(content, "MsgId") == ["PB00000007"]
    assert texts(content, "ChrgBr") == ["SLEV" if currency == "EUR" else "SHAR"]
    assert (b"<Cd>SEPA</Cd>" in content) is (currency == "EUR")
    assert (b"NOTPROVIDED" in content) is (bic is None)


def test_amounts_below_one_and_very_large() -> None:
    assert texts(made("NOK", minor=1), "InstdAmt") == ["0.01", "0.01"]
    assert texts(made("NOK", minor=10**14), "CtrlSum") == ["2000000000000.00"] * 2


@given(st.text(max_size=120))
def test_names_are_written_as_banks_take_them(name: str) -> None:
    said = bank_text(name, "NOTPROVIDED")
    assert re.fullmatch(r"[A-Za-z0-9/?:().,'+ -]+", said)
    assert "//" not in said
    assert not said.startswith("/")


def test_foreign_letters_are_spelt_out() -> None:
    content = made("NOK", creditor="Ærlig //Øy & Åmot <GmbH>" + "x" * 100)
    assert texts(content, "Nm")[2] == ("AErlig /Oy Amot GmbH " + "x" * 100)[: len(texts(content, "Nm")[2] or "")]
    assert all(len(name or "") <= 70 for name in texts(content, "Nm"))


def test_a_currency_without_an_account_is_refused() -> None:
    debtor = Debtor(name="Operator", accounts={})
    with pytest.raises(PaymentFileError, match=r"payouts\.accounts"):
        payment_file(debtor, [], batch_id="PB1", currency="NOK", execution_date=date(2026, 3, 2),
                     created_at=datetime(2026, 3, 1, tzinfo=UTC))  # fmt: skip


def test_what_breaks_the_schema_does_not_go_out() -> None:
    with pytest.raises(PaymentFileError, match="not valid"):
        validate(made("NOK").replace(b"TRF", b"CHQ"), VERSIONS[1])


def test_settings_are_checked_with_a_sentence() -> None:
    account = BankAccountSettings(currency="NOK", iban="NO93 8601 1117 947", bic="DNBANOKK")
    assert account.iban == IBAN
    with pytest.raises(ValidationError, match="check digits that do not fit"):
        BankAccountSettings(currency="NOK", iban="NO9386011117948")
    with pytest.raises(ValidationError, match="A BIC has 8 or 11"):
        BankAccountSettings(currency="NOK", iban=IBAN, bic="DNB")
    with pytest.raises(ValidationError, match="not known"):
        BankAccountSettings(currency="XXX", iban=IBAN)
    with pytest.raises(ValidationError, match="several accounts"):
        PayoutSettings(accounts=(account, account))
    assert PayoutSettings(accounts=(account,)).debtor("Issuer AS").name == "Issuer AS"
