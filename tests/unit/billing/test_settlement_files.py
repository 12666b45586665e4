"""Acquirers' files, as they are and as they should not be."""

from __future__ import annotations

from datetime import date

import pytest

from billing.reconciliation import SettlementKind
from billing.settlement_camt import read_camt
from billing.settlement_csv import Columns, read_csv
from billing.settlement_file import SettlementFile, UnreadableFileError

PLAIN = Columns()
HEAD = "reference;amount;fee;currency;date;kind;merchant_id\n"


def csv_of(
    *rows: str, head: str = HEAD, columns: Columns = PLAIN, merchant: str = "", account: str = ""
) -> SettlementFile:
    return read_csv((head + "\n".join(rows)).encode(), columns, account, merchant)


def test_a_row_and_what_it_says() -> None:
    file = csv_of("H1-22;1 234,50;-18,52;nok;2026-03-11;Sale;M1", "H2;10,00;;NOK;2026-03-09;refund;M1", merchant="M1")
    sale, refund = file.rows
    assert (sale.kind, sale.amount_minor, sale.fee_minor, sale.currency) == (SettlementKind.SALE, 123_450, 1_852, "NOK")
    assert (sale.reference, sale.keys, sale.line) == ("H1-22", ("H122",), 2)
    assert (refund.kind, refund.amount_minor, refund.fee_minor) == (SettlementKind.REFUND, 1_000, None)
    assert (file.settled_from, file.settled_until) == (date(2026, 3, 9), date(2026, 3, 11))
    assert file.refused == ()


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [
        ("12.34", "NOK", 1_234),
        ("12,34", "NOK", 1_234),
        ("1.234,5", "NOK", 123_450),
        ("1,234.50", "NOK", 123_450),
        ("1'234.50", "NOK", 123_450),
        ("1\u00a0234,50", "NOK", 123_450),
        ("1,234,567", "NOK", 123_456_700),
        ("12", "NOK", 1_200),
        ("1500", "ISK", 1_500),
        ("1.2345", "BHD", None),
        ("1,234", "NOK", None),  # either way
        ("12,345", "EUR", None),
        ("12.345.67", "NOK", None),
        ("1e3", "NOK", None),
        ("", "NOK", None),
        ("NaN", "NOK", None),
        ("٣", "NOK", None),
        ("9" * 30, "NOK", None),
    ],
)
def test_figures_are_read_exactly_or_not_at_all(written: str, currency: str, minor: int | None) -> None:
    file = csv_of(f'H1;"{written}";;{currency};2026-03-11;sale;')
    assert [row.amount_minor for row in file.rows] == ([] if minor is None else [minor])
    assert len(file.refused) == (minor is None)
    assert all(written not in row.reason or not written for row in file.refused)  # a reason never repeats the file


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("H1;-10;;NOK;2026-03-11;sale;", "refund or a chargeback"),
        ("H1;10;;NOK;11.03.2026;sale;", "as the mapping says"),
        ("H1;10;;XXX;2026-03-11;sale;", "ISO 4217"),
        ("H1;10;;NOK;2026-03-11;mystery;", "kinds"),
        ("H1;10;;NOK;2026-03-11;sale;M9", "another merchant"),
        ("H1;10", "fewer cells"),
        ("H1;10;;NOK;1926-03-11;sale;", "this century"),
        ('H1;"10;;NOK;2026-03-11;sale;', "quote"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_line_and_reason(row: str, reason: str) -> None:
    file = csv_of("H0;5;;NOK;2026-03-10;sale;M1", row, merchant="M1")
    assert [each.amount_minor for each in file.rows] == [500]
    (refused,) = file.refused
    assert reason in refused.reason
    assert refused.line >= 3


def test_a_mapping_says_what_the_columns_are_called() -> None:
    columns = Columns(
        reference="Host ref", amount="Beløp", date="Dato", currency="", currency_is="NOK", kind="Type", fee="",
        other_references=("Vår ref",), kinds={"KJØP": "sale"}, date_format="%d.%m.%Y", decimal=",", delimiter=";",
    )  # fmt: skip
    head = "Dato;Type;Host ref;Vår ref;Beløp\n"
    file = csv_of("11.03.2026;kjøp;0017;ab-12;1.234", head=head, columns=columns)
    assert [(row.amount_minor, row.keys, row.settled_on) for row in file.rows] == [
        (123_400, ("17", "AB12"), date(2026, 3, 11))
    ]
    with pytest.raises(UnreadableFileError, match="Host ref"):
        csv_of("x", head="a;b\n", columns=columns)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_encodings_marks_and_delimiters_are_found_out(encoding: str, delimiter: str) -> None:
    head = "Referanse,amount,currency,date,kind\r\nKjøp1,10.50,NOK,2026-03-11,sale\r\n".replace(",", delimiter)
    file = read_csv(head.encode(encoding), Columns(reference="referanse"), "")
    assert [(row.reference, row.amount_minor) for row in file.rows] == [("Kjøp1", 1_050)]


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\x00\x01\x02", b"\xff\xfe\x00"])
def test_what_is_no_csv_at_all(raw: bytes) -> None:
    with pytest.raises(UnreadableFileError):
        read_csv(raw, PLAIN, "")


def test_rows_are_known_again_in_another_file_that_overlaps() -> None:
    row, other = "H1;10;;NOK;2026-03-11;sale;", "H2;10;;NOK;2026-03-12;sale;"
    first, second = csv_of(row, row), csv_of(other, row, row)
    assert len({each.row_id for each in first.rows}) == 2  # twice in one file is twice
    assert {each.row_id for each in first.rows} < {each.row_id for each in second.rows}
    assert {each.row_id for each in csv_of(row, account="prc_1").rows}.isdisjoint(each.row_id for each in first.rows)
    numbered = Columns(row_id="merchant_id")
    same = csv_of("H1;10;;NOK;2026-03-11;sale;N7", "H1;11;;NOK;2026-03-11;sale;N7", columns=numbered)
    assert len({each.row_id for each in same.rows}) == 1  # the acquirer's own number decides


def test_a_card_number_in_a_file_is_not_taken_over() -> None:
    pan = "4" + "1" * 15
    (row,) = csv_of(f"{pan};10;;NOK;2026-03-11;sale;").rows
    assert row.reference == "*" * 12 + "1111"
    assert row.keys == ()


# --- CAMT.053 ---------------------------------------------------------------------------------------------------------

BATCH = """
<Ntry><NtryRef>E1</NtryRef><Amt Ccy="NOK">148.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
 <BookgDt><Dt>2026-03-11</Dt></BookgDt><AcctSvcrRef>BANK-1</AcctSvcrRef>
 <NtryDtls>
  <TxDtls><Refs><EndToEndId>H1-22</EndToEndId></Refs><Amt Ccy="NOK">98.50</Amt>
   <Chrgs><Rcrd><Amt Ccy="NOK">1.50</Amt><CdtDbtInd>DBIT</CdtDbtInd></Rcrd></Chrgs></TxDtls>
  <TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs><Amt Ccy="NOK">50.00</Amt>
   <RmtInf><Strd><CdtrRefInf><Ref>M-33</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>
 </NtryDtls></Ntry>"""
SINGLE = """
<Ntry><NtryRef>H9</NtryRef><Amt Ccy="NOK">20.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts>
 <BookgDt><DtTm>2026-03-12T08:00:00Z</DtTm></BookgDt></Ntry>"""
LUMP = """
<Ntry><Amt Ccy="NOK">5000.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-03-12</Dt></BookgDt>
 <AcctSvcrRef>BANK-9</AcctSvcrRef></Ntry>"""
BACK = """
<Ntry><Amt Ccy="NOK">30.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-03-12</Dt></BookgDt>
 <NtryDtls><TxDtls><Refs><EndToEndId>H5</EndToEndId></Refs><Amt Ccy="NOK">30.00</Amt>
 <RtrInf><Rsn><Cd>MD06</Cd></Rsn></RtrInf></TxDtls></NtryDtls></Ntry>"""


def camt(*entries: str, version: str = "08", more: str = "") -> bytes:
    name = f"urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{more}<Document xmlns="{name}"><BkToCstmrStmt><Stmt><FrToDt>'
        f"<FrDtTm>2026-03-01T00:00:00+01:00</FrDtTm><ToDtTm>2026-03-31T23:59:59+02:00</ToDtTm></FrToDt>"
        f"{''.join(entries)}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


@pytest.mark.parametrize("version", ["02", "04", "06", "08", "13"])
def test_a_statement_with_batches_and_single_entries(version: str) -> None:
    file = read_camt(camt(BATCH, SINGLE, LUMP, BACK, version=version), "")
    assert [(row.kind.value, row.amount_minor, row.fee_minor, row.keys) for row in file.rows] == [
        ("sale", 10_000, 150, ("H122",)),
        ("sale", 5_000, None, ("M33",)),
        ("refund", 2_000, None, ("H9",)),
        ("payout", 500_000, None, ()),
        ("chargeback", 3_000, None, ("H5",)),
    ]
    assert (file.settled_from, file.settled_until) == (date(2026, 3, 1), date(2026, 3, 31))
    again = read_camt(camt(LUMP, BATCH, version=version), "")
    assert {row.row_id for row in again.rows} < {row.row_id for row in file.rows}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (SINGLE.replace("BOOK", "PDNG"), "not booked"),
        (SINGLE.replace("20.00", "20.001"), "decimals"),
        (SINGLE.replace("20.00", "-20.00"), "negative"),
        (SINGLE.replace("20.00", "NaN"), "cannot be read"),
        (SINGLE.replace("DBIT", "BOTH"), "credit or a debit"),
        (SINGLE.replace("2026-03-12T08:00:00Z", "yesterday"), "booking date"),
        (BATCH.replace('<Amt Ccy="NOK">98.50</Amt>', ""), "no amount"),
    ],
)
def test_entries_that_cannot_be_taken(entry: str, reason: str) -> None:
    file = read_camt(camt(entry, LUMP), "")
    assert [row.reason for row in file.refused if reason in row.reason]
    assert file.rows[-1].kind is SettlementKind.PAYOUT


BOMB = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;">]>'


@pytest.mark.parametrize(
    "raw",
    [
        camt(LUMP, more=BOMB),
        camt(LUMP, more='<!DOCTYPE a SYSTEM "file:///etc/hostname">'),
        camt(LUMP)[:-40],
        camt(LUMP).replace(b"camt.053", b"pain.001"),
        b"<html></html>",
        b"<",
        camt(LUMP).replace(b"UTF-8", b"EBCDIC-9"),
    ],
    ids=["entities", "external", "cut off", "another message", "another document", "nothing", "unknown encoding"],
)
def test_what_is_no_statement(raw: bytes) -> None:
    with pytest.raises(UnreadableFileError):
        read_camt(raw, "")
