"""What banks send back, as small whole files."""

from __future__ import annotations

from decimal import Decimal


def pain_002(*payments: tuple[str, str], message_id: str = "PB00000001", group: str = "PART") -> bytes:
    """(EndToEndId, status) of each; ``group``: of all."""
    each = "".join(
        f"<TxInfAndSts><StsId>1</StsId><OrgnlEndToEndId>{ref}</OrgnlEndToEndId><TxSts>{status}</TxSts>"
        "<StsRsnInf><Rsn><Cd>AC04</Cd></Rsn><AddtlInf>Account closed</AddtlInf></StsRsnInf></TxInfAndSts>"
        for ref, status in payments
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>'
        "<GrpHdr><MsgId>B1</MsgId></GrpHdr><OrgnlGrpInfAndSts>"
        f"<OrgnlMsgId>{message_id}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId><GrpSts>{group}</GrpSts>"
        f"</OrgnlGrpInfAndSts><OrgnlPmtInfAndSts><OrgnlPmtInfId>{message_id}</OrgnlPmtInfId>{each}</OrgnlPmtInfAndSts>"
        "</CstmrPmtStsRpt></Document>"
    ).encode()


def entry(indicator: str, amount: Decimal, *references: str, currency: str = "EUR", status: str = "BOOK") -> str:
    """One entry of the account, with a transaction for each reference; each of them has the amount."""
    each = "".join(
        f"<TxDtls><Refs><EndToEndId>{ref}</EndToEndId></Refs><Amt Ccy='{currency}'>{amount}</Amt>"
        f"<CdtDbtInd>{indicator}</CdtDbtInd>"
        + ("<RtrInf><Rsn><Cd>AC01</Cd></Rsn></RtrInf>" if indicator == "CRDT" else "")
        + "</TxDtls>"
        for ref in references
    )
    total = amount * max(len(references), 1)
    return (
        f"<Ntry><Amt Ccy='{currency}'>{total}</Amt><CdtDbtInd>{indicator}</CdtDbtInd><Sts><Cd>{status}</Cd></Sts>"
        f"<NtryDtls>{each}</NtryDtls></Ntry>"
    )


def batch_entry(amount: Decimal, batch_id: str, *, currency: str = "EUR") -> str:
    """A whole batch that left the account in one sum."""
    return (
        f"<Ntry><Amt Ccy='{currency}'>{amount}</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts><NtryDtls>"
        f"<Btch><PmtInfId>{batch_id}</PmtInfId></Btch></NtryDtls></Ntry>"
    )


def camt(*entries: str, kind: str = "054") -> bytes:
    """A camt.053 or camt.054."""
    outer, inner = ("BkToCstmrStmt", "Stmt") if kind == "053" else ("BkToCstmrDbtCdtNtfctn", "Ntfctn")
    return (
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.{kind}.001.08"><{outer}>'
        f"<GrpHdr><MsgId>C</MsgId></GrpHdr><{inner}><Id>1</Id>{''.join(entries)}</{inner}></{outer}></Document>"
    ).encode()
