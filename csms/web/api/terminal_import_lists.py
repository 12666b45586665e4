"""Import lists: what comes with stations, the terminals mounted in them among it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from csms.terminals.import_lists import MOST_TERMINALS, NEEDED, OPTIONAL, Outcome, take_list
from csms.web.api.access import Role
from csms.web.api.operation import PREFIX, ApiCall, Reply, Resource, Shown, owned_by
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.sent_file import sent_sheet
from storage import terminal_schema as t
from storage.engine import reading, writing

resource = Resource(
    "terminals",
    parameters={
        "list_id": {
            "type": "string",
            "pattern": "^iml_[0-9a-f]{12}$",
            "description": "As it was answered.",
            "example": "iml_0123456789ab",
        }
    },
    owned={"list_id": owned_by(t.terminal_import_lists.c.owner_id, t.terminal_import_lists.c.list_id)},
)


class RowShown(Shown):
    """A row, and what became of it."""

    line: int = Field(description="As the file counts; the headings are a line, too.")
    serial: str
    outcome: Outcome = Field(description="entered; known: in the inventory exactly so; refused.")
    reason: str = Field(description="Why it was refused, and what to do.")


class ListShown(Shown):
    """A list that was taken."""

    list_id: str
    name: str
    sha256: str
    owner_id: str | None = Field(description="Whose user sent it; null: the platform's people.")
    imported_by: str
    imported_at: datetime
    entered: int
    known: int
    refused: int


class ListWithRows(ListShown):
    """A list, row by row."""

    rows: list[RowShown]


@resource.operation(
    "POST",
    "/terminal-import-lists",
    role=Role.OPERATOR,
    answers={201: ListWithRows},
    errors=(400, 409, 422),
    takes_file=True,
    owners=True,
)
async def import_terminals(call: ApiCall) -> Reply:
    """Take a list of integrated terminals, CSV or XLSX: each good row enters its terminal, as ordered.

    Columns: serial, family, station_serial, owner_id, currency, supplier_order, and sim_serial where a terminal has a
    SIM card. The answer says row by row what was refused and why; sending a list again enters nothing twice.
    """
    sent = await sent_sheet(call, NEEDED, OPTIONAL, most_rows=MOST_TERMINALS)
    try:
        async with writing(call.api.engine) as connection:
            list_id = await take_list(
                connection,
                sent.rows,
                name=sent.name,
                sha256=sent.sha256,
                by=call.caller.actor,
                now=call.now,
                patterns=call.api.serial_patterns,
                for_owner=call.owner_id,
            )
    except IntegrityError:
        raise Problem(
            409, "Somebody entered one of these terminals meanwhile. Nothing was taken: send it again."
        ) from None
    return Reply(await _list(call, list_id), 201, {"Location": f"{PREFIX}/terminal-import-lists/{list_id}"})


@resource.get("/terminal-import-lists", Page[ListShown], query=PageQuery, owners=True)
async def list_terminal_imports(call: ApiCall) -> Page[ListShown]:
    """List the import lists that were taken, the newest first."""
    c = t.terminal_import_lists.c
    query = call.mine(select(t.terminal_import_lists), c.owner_id)
    keys = [c.imported_at, c.list_id]
    async with reading(call.api.engine) as connection:
        return await fetch_page(connection, query, keys, call.query, _shown, newest_first=True)


@resource.get("/terminal-import-lists/{list_id}", ListWithRows, owners=True)
async def get_terminal_import(call: ApiCall) -> ListWithRows:
    """Show an import list, and what became of each row."""
    return await _list(call, call.path["list_id"])


async def _list(call: ApiCall, list_id: str) -> ListWithRows:
    c, r = t.terminal_import_lists.c, t.terminal_import_rows.c
    async with reading(call.api.engine) as connection:
        row = (await connection.execute(select(t.terminal_import_lists).where(c.list_id == list_id))).first()
        if row is None:
            raise Problem(404, "There is no import list of this id.")
        rows = await connection.execute(select(t.terminal_import_rows).where(r.list_id == list_id).order_by(r.line))
        told = [RowShown(**{name: getattr(one, name) for name in RowShown.model_fields}) for one in rows]
    return ListWithRows(**_shown(row).model_dump(), rows=told)


def _shown(row: Any) -> ListShown:
    return ListShown(**{name: getattr(row, name) for name in ListShown.model_fields})
