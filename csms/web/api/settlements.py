"""Acquirers' settlements: files that an account's holder uploads, and what its acquirer calls its columns."""

from __future__ import annotations

import asyncio
import hashlib
import re
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.ledger import PLATFORM
from billing.money import exponent
from billing.reconciliation import SettlementKind
from billing.settlement_camt import read_camt
from billing.settlement_csv import Columns, read_csv
from billing.settlement_file import SettlementFile, UnreadableFileError
from csms.payouts.reconciliation import run_of
from csms.payouts.settlements import Upload, refused_rows, take
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.reconciliation import account_id_of, account_name, acquirer_visible, require_account
from csms.web.api.sent_file import sent_content
from sessions.rows import upsert
from storage import reconciliation_schema as t
from storage.engine import reading, writing

_FILE = t.settlement_files.c

resource = Resource(
    "settlements",
    parameters={
        "settlement_id": {
            "type": "string",
            "pattern": r"^stl_[0-9a-f]{24}$",
            "description": "As it was answered.",
            "example": "stl_0123456789abcdef01234567",
        }
    },
    owned={"settlement_id": owned_by(_FILE.owner_id, _FILE.file_id)},
)


class MappingBody(Body):
    """What an acquirer's CSV calls its columns; case does not matter. Empty: there is no such column."""

    reference: str = Field("reference", min_length=1, max_length=80, description="Host or merchant reference.")
    amount: str = Field("amount", min_length=1, max_length=80, description="Gross, or net where there is no fee.")
    date: str = Field("date", min_length=1, max_length=80, description="When it was settled.")
    currency: str = Field("currency", max_length=80)
    currency_is: str = Field("", max_length=3, description="The currency of files that do not say it, ISO 4217.")
    kind: str = Field("kind", max_length=80, description="Without it, negative amounts are refunds.")
    fee: str = Field("fee", max_length=80, description="What the acquirer kept back of the row.")
    merchant_id: str = Field("merchant_id", max_length=80, description="Rows of another merchant are refused.")
    row_id: str = Field("", max_length=80, description="The acquirer's own number of the row.")
    other_references: tuple[str, ...] = Field((), max_length=4, description="Columns that may name the payment too.")
    kinds: dict[str, SettlementKind] = Field(default_factory=dict, max_length=50, description="Its words → kinds.")
    date_format: str = Field("iso", max_length=40, description="`iso`, or as strptime knows it: `%d.%m.%Y`.")
    decimal: Literal["auto", ",", "."] = Field("auto", description="Its decimal sign.")
    delimiter: Literal["auto", ";", ",", "\t", "|"] = Field("auto", description="Between its cells.")
    in_minor_units: bool = Field(False, description="Amounts are øre and cents already.")

    @field_validator("currency_is")
    @classmethod
    def _known(cls, value: str) -> str:
        if value:
            exponent(value)
        return value

    @field_validator("date_format")
    @classmethod
    def _a_format(cls, value: str) -> str:
        day = date(2026, 11, 29)
        try:
            if value == "iso" or datetime.strptime(day.strftime(value), value).date() == day:  # noqa: DTZ007 - a day
                return value
        except (ValueError, re.error):
            pass
        raise ValueError("is no date format: write iso, or one with %d, %m and %Y or %y")

    @model_validator(mode="after")
    def _some_currency(self) -> MappingBody:
        if not self.currency and not self.currency_is:
            raise ValueError("give currency or currency_is")
        return self

    def columns(self) -> Columns:
        """As `billing.settlement_csv` knows it."""
        return Columns(**self.model_dump(mode="json") | {"other_references": tuple(self.other_references)})


class RefusedShown(Shown):
    """A row that was not taken."""

    line: int = Field(description="Its number in the file, from 1.")
    reason: str


class SettlementShown(Shown):
    """A settlement file."""

    settlement_id: str
    account: str
    format: str
    name: str
    state: str = Field(description="reading → booked; one that stays reading was cut off: send it again.")
    rows_read: int
    rows_taken: int = Field(description="That no other file had brought.")
    rows_refused: int
    settled_from: date | None
    settled_until: date | None
    uploaded_by: str
    uploaded_at: datetime


class SettlementDetails(SettlementShown):
    """A settlement file, with the first rows that were refused."""

    refused: list[RefusedShown]


class SettlementFilter(PageQuery):
    """Which files."""

    account: str | None = Field(None, max_length=40, description="Only of this account.")


class SettlementName(BaseModel):
    """What the file is called."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("settlement", min_length=1, max_length=120, description="The file's name.")


async def _require_holder(call: ApiCall) -> tuple[str, str, str]:
    account = await require_account(call)
    if not acquirer_visible(call, account[0]):
        raise Problem(403, "What an account's acquirer says is for its holder alone, not for you.")
    return account


async def _columns(connection: AsyncConnection, account_id: str) -> MappingBody:
    m = t.settlement_mappings.c
    body = (await connection.execute(select(m.body).where(m.account_id == account_id))).scalar()
    return MappingBody.model_validate_json(body) if body else MappingBody.model_validate({})


class MappingShown(Shown):
    """A mapping as it is in force."""

    mapping: dict[str, Any]


@resource.get("/reconciliation/accounts/{reconciled_account}/mapping", MappingShown, owners=True)
async def get_settlement_mapping(call: ApiCall) -> MappingShown:
    """Show what an account's acquirer calls the columns of its CSV."""
    account_id, _, _ = await _require_holder(call)
    async with reading(call.api.engine) as connection:
        return MappingShown(mapping=(await _columns(connection, account_id)).model_dump(mode="json"))


@resource.operation(
    "PUT",
    "/reconciliation/accounts/{reconciled_account}/mapping",
    role=Role.OPERATOR,
    body=MappingBody,
    answers={200: MappingShown},
    owners=True,
)
async def put_settlement_mapping(call: ApiCall) -> MappingShown:
    """Say what an account's acquirer calls the columns of its CSV; files that are uploaded from now on are read so."""
    account_id, _, _ = await _require_holder(call)
    body: MappingBody = call.body
    row = {
        "account_id": account_id,
        "body": body.model_dump_json(),
        "changed_by": call.caller.actor,
        "changed_at": call.now,
    }
    async with writing(call.api.engine) as connection:
        await upsert(connection, t.settlement_mappings, ["account_id"], [row])
    return MappingShown(mapping=body.model_dump(mode="json"))


@resource.operation(
    "POST",
    "/reconciliation/accounts/{reconciled_account}/settlements",
    role=Role.OPERATOR,
    query=SettlementName,
    takes_file=True,
    answers={200: SettlementDetails},
    errors=(400, 422),
    owners=True,
)
async def upload_settlement(call: ApiCall) -> SettlementDetails:
    """Upload an acquirer's settlement: a CSV as the account's mapping says, or a CAMT.053 statement.

    The same file again, and rows that another file brought, change nothing. Rows that cannot be taken are listed with
    their reason; the others are in. The account is reconciled at once.
    """
    account_id, owner_id, merchant_id = await _require_holder(call)
    most = call.api.reconciliation.max_bytes
    too_large = f"The file is larger than the {most} bytes of reconciliation.max_bytes: split it."
    _, raw = await sent_content(call, most, too_large)
    if not raw:
        raise Problem(400, "There is no file in the request: send its content as the body.")
    async with reading(call.api.engine) as connection:
        columns = (await _columns(connection, account_id)).columns()
    is_xml = raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    try:
        file = await asyncio.to_thread(_read, raw, is_xml, columns, account_id, merchant_id)
    except UnreadableFileError as error:
        raise Problem(422, str(error)) from None
    upload = Upload(
        account_id=account_id,
        owner_id=owner_id,
        format="camt.053" if is_xml else "csv",
        name=call.query.name,
        content_hash=hashlib.sha256(raw).hexdigest(),
        by=call.caller.actor,
    )
    await take(call.api.engine, upload, file, call.now, [run_of(account_id, upload.file_id)])
    call.api.service.wake(call.now)
    return await _details(call, upload.file_id)


def _read(raw: bytes, is_xml: bool, columns: Columns, account_id: str, merchant_id: str) -> SettlementFile:
    if is_xml:
        return read_camt(raw, account_id, merchant_id)
    return read_csv(raw, columns, account_id, merchant_id)


@resource.get("/reconciliation/settlements", Page[SettlementShown], query=SettlementFilter, owners=True)
async def list_settlement_files(call: ApiCall) -> Page[SettlementShown]:
    """List settlement files, the newest first: the caller's own."""
    asked: SettlementFilter = call.query
    query = select(t.settlement_files).where(_FILE.owner_id == (call.owner_id or PLATFORM))
    if asked.account is not None:
        query = query.where(_FILE.account_id == account_id_of(asked.account))
    async with reading(call.api.engine) as connection:
        keys = [_FILE.uploaded_at, _FILE.file_id]
        return await fetch_page(
            connection, query, keys, asked, lambda row: SettlementShown(**_shown(row)), newest_first=True
        )


@resource.get("/reconciliation/settlements/{settlement_id}", SettlementDetails, owners=True)
async def get_settlement(call: ApiCall) -> SettlementDetails:
    """Show a settlement file, and which of its rows were refused and why."""
    return await _details(call, call.path["settlement_id"])


async def _details(call: ApiCall, file_id: str) -> SettlementDetails:
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(t.settlement_files).where(_FILE.file_id == file_id))).first()
    if row is None or not acquirer_visible(call, row.account_id):
        raise Problem(404, "There is no settlement of this id.")
    refused = [RefusedShown(line=each.line, reason=each.reason) for each in refused_rows(row.refused)]
    return SettlementDetails(**_shown(row), refused=refused)


def _file(row: Any) -> SettlementShown:
    return SettlementShown(**_shown(row))


def _shown(row: Any) -> dict[str, Any]:
    same = [name for name in SettlementShown.model_fields if name not in ("settlement_id", "account")]
    kept = {name: getattr(row, name) for name in same}
    return kept | {"settlement_id": row.file_id, "account": account_name(row.account_id)}
