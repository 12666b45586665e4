"""An owner's user sees and touches that owner's alone; tried from outside, for every operation there is.

A test that fails here names the operation and says what to add: see CONTRIBUTING.md, "Add an operation that owners may
call".
"""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
import pytest_asyncio
from pydantic import BaseModel
from pypdf import PdfReader
from sqlalchemy import select

from csms.web.api.api import operations
from csms.web.api.operation import OWNED, Operation
from csms.web.api.path_parameters import PATH_PARAMETERS
from storage.engine import reading
from storage.tables import load
from tests.api import two_owners
from tests.api.naming import FINDS, KEPT_AS_IT_IS, NAMING, TAKEN, Naming
from tests.api.sides import Side, World
from tests.api.two_owners import CALLED, COMMON, QUERIES, WITHIN
from tests.databases import Databases
from tests.scale import LONG_ON

in_the_world = pytest.mark.asyncio(loop_scope="module")

#: A field that may name what somebody owns.
_NAMES = re.compile(
    r"(^|_)(id|ids|serial|serials|site|sites|station|stations|terminal|terminals|evses|tariff|owner|number)$"
)

#: Names of what is not kept here: registers', acquirers' and Payter's own; and of a file's column.
OUTSIDE = {"organisation_number", "vat_number", "merchant_id", "tt_number", "row_id"}


#: Readings that are no pages, or show everybody the same.
_NOT_LISTS = {
    "/inventory.csv",
    "/statement-preview",
    "/onboarding-import-template",
    "/batteries",
    "/terminal-families",
    "/licence-skus",
}
#: What the platform has none of for itself, or has under its own name alone.
_NOT_OF_ITS_OWN = {"/licences", "/licence-orders", "/statements", "/processors", "/reconciliation/accounts"}
#: What only the holder of a processor account may see of its acquirer, not even the platform.
_THE_HOLDERS = {"/reconciliation/settlements", "/reconciliation/discrepancies"}


@pytest_asyncio.fixture(name="world", scope="module", loop_scope="module", params=LONG_ON)
async def running_world(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[World]:
    """Two owners and the platform: one world for all tests, since making it takes longer than they do."""
    async with two_owners.two_owners(databases.fresh(request.param)) as made:
        yield made


def for_owners() -> Iterator[Operation]:
    return (operation for operation in operations() if operation.owners)


# --- what is declared -------------------------------------------------------------------------------------------------


def test_what_a_path_names_is_looked_up() -> None:
    for operation in for_owners():
        for n, name in enumerate(operation.parameters):
            within = name in WITHIN and n > 0
            assert name in OWNED or within, (
                f"{operation.operation_id}: nothing looks up whose {{{name}}} is. Give its Resource "
                f"owned={{{name!r}: owned_by(…)}}; or, if it is a number within what the path names before it and is "
                "only ever looked for there, add it to tests/api/two_owners.py WITHIN."
            )


def test_what_a_body_can_name_is_tried() -> None:
    for operation in for_owners():
        named = names_in(operation)
        assert not named or operation.operation_id in {*NAMING, *TAKEN, *FINDS, *KEPT_AS_IT_IS}, (
            f"{operation.operation_id} takes {', '.join(sorted(named))}: add to NAMING in tests/api/naming.py a "
            "valid body that names another owner's."
        )


def names_in(operation: Operation) -> set[str]:
    """Fields of the body that may name something."""
    if operation.takes_file or operation.body is dict:
        return {"a file" if operation.takes_file else "any JSON"}
    if operation.body is None:
        return set()
    assert issubclass(operation.body, BaseModel)
    schema = operation.body.model_json_schema()
    models = [schema, *schema.get("$defs", {}).values()]
    fields = {name for model in models for name in model.get("properties", {})}
    return {name for name in fields if _NAMES.search(name)} - OUTSIDE


# --- what is answered -------------------------------------------------------------------------------------------------


class Answer:
    """What came back, with all the text that is in it."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text

    def shows(self, marks: set[str]) -> set[str]:
        return {mark for mark in marks if mark in self.text}


async def call(
    world: World, operation: Operation, token: str, ids: dict[str, Any], *, query: Any = None, body: Any = None
) -> Answer:
    """Call an operation; ``ids`` fill its path."""
    path = operation.path.format(
        **{name: ids.get(name, PATH_PARAMETERS[name]["example"]) for name in operation.parameters}
    )
    headers = {"If-Match": '"1"'} if operation.edits else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    given: dict[str, Any] = {}
    if isinstance(body, bytes):
        given["data"] = body
    elif operation.body is not None:
        given["json"] = {} if body is None else body
    url = f"http://127.0.0.1:{world.bench.app.http_port}/api/v1{path}?{urlencode(required(operation) | (query or {}))}"
    async with world.bench.http.request(operation.method, url, headers=headers, **given) as answer:
        if answer.content_type == "text/event-stream":
            return Answer(answer.status, "")
        return Answer(answer.status, text_of(await answer.read()))


def required(operation: Operation) -> dict[str, str]:
    """Query parameters that must be given."""
    if operation.query is None or not operation.owners:
        return {}
    missing = [name for name, info in operation.query.model_fields.items() if info.is_required()]
    unknown = [name for name in missing if name not in QUERIES]
    assert unknown == [], f"{operation.operation_id} needs {unknown}: add values to QUERIES in tests/api/two_owners.py."
    return {name: QUERIES[name] for name in missing}


def text_of(content: bytes) -> str:
    """Everything that can be read in a file."""
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return "".join(archive.read(name).decode(errors="replace") for name in archive.namelist())
    if content.startswith(b"%PDF"):
        return "".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)
    return content.decode(errors="replace")


@in_the_world
async def test_nobody_is_shown_anything(world: World) -> None:
    everything = set().union(*(side.marks for side in world.sides))
    for operation in operations():
        for token in ("", "tvk_" + "0" * 12 + "_" + "A" * 43):
            answer = await call(world, operation, token, world.north.ids)
            assert answer.status == 401, operation.operation_id
            assert answer.shows(everything) == set(), operation.operation_id


@in_the_world
async def test_the_platforms_operations_are_closed_to_owners(world: World) -> None:
    for operation in operations():
        if not operation.owners:
            for ids in (world.north.ids, world.south.ids):
                answer = await call(world, operation, world.south.token, ids)
                assert answer.status == 403, operation.operation_id
                assert answer.shows(world.others(world.south)) == set(), operation.operation_id


@in_the_world
async def test_what_a_path_names_of_others_is_not_there(world: World) -> None:
    """Each way to mix one's own with somebody else's; and nothing of theirs has changed afterwards."""
    before = await rows_of(world, world.north), await rows_of(world, world.platform)
    tried = 0
    for operation in for_owners():
        names = operation.parameters
        for name in names:
            assert all(name in side.ids for side in (world.north, world.south)), (
                f"{operation.operation_id}: there is no example of {{{name}}}: write a maker that makes a real one for "
                "each side, and add it to NOUNS in tests/api/two_owners.py."
            )
        for theirs in (world.north, world.platform):
            for whose in itertools.product((world.south, theirs), repeat=len(names)):
                ids = {name: side.ids.get(name) for name, side in zip(names, whose, strict=True)}
                if None in ids.values() or all(ids[name] == world.south.ids[name] for name in names):
                    continue
                answer = await call(world, operation, world.south.token, ids)
                assert answer.status == 404, (operation.operation_id, ids, answer.text)
                assert answer.shows(world.others(world.south)) == set(), (operation.operation_id, answer.text)
                tried += 1
    assert tried > 10
    assert (await rows_of(world, world.north), await rows_of(world, world.platform)) == before


@in_the_world
async def test_lists_and_answers_show_ones_own_alone(world: World) -> None:
    for operation in for_owners():
        if operation.method != "GET":
            continue
        for side, other in ((world.south, world.north), (world.north, world.south)):
            answer = await call(world, operation, side.token, side.ids)
            assert answer.status == 200, (operation.operation_id, answer.text)
            assert answer.shows(world.others(side)) == set(), (operation.operation_id, answer.text)
            if operation.operation_id in COMMON:
                assert answer.text == (await call(world, operation, other.token, other.ids)).text
            elif not operation.parameters:
                assert answer.shows(side.marks), (
                    f"{operation.operation_id} shows {side.name} nothing of its own, so that the test proves nothing: "
                    "make something for each side in tests/api/two_owners.py NOUNS."
                )
            for name, value in filters(operation, other):
                narrowed = await call(world, operation, side.token, side.ids, query={name: value})
                assert narrowed.shows(world.others(side) - {value}) == set(), (operation.operation_id, narrowed.text)
                assert narrowed.status in {200, 404}, (operation.operation_id, name, narrowed.text)


def filters(operation: Operation, other: Side) -> Iterator[tuple[str, str]]:
    """Query parameters that can name something of the other side's."""
    for name in operation.query.model_fields if operation.query else ():
        value = other.ids.get(CALLED.get(name, name))
        if value is not None:
            yield name, str(value)


@in_the_world
async def test_what_a_body_names_of_others_is_as_if_it_were_not_there(world: World) -> None:
    """The answer is that to names of nothing at all, and nothing of theirs has changed afterwards."""
    nobody = two_owners.nobody(world.north)
    for theirs in (world.north, world.platform):
        before = await rows_of(world, theirs)
        for operation, naming in named(NAMING, theirs):
            for body, nothing in zip(naming(theirs, world.south), naming(nobody, world.south), strict=True):
                answer = await call(world, operation, world.south.token, world.south.ids, body=body)
                known = (operation.operation_id, body, answer.text)
                assert isinstance(body, bytes) or answer.status in {403, 404, 409, 422}, known
                assert answer.shows(world.others(world.south) - shown_in(body)) == set(), known
                none = await call(world, operation, world.south.token, world.south.ids, body=nothing)
                assert (answer.status, told(answer, theirs)) == (none.status, told(none, nobody)), known
        assert await rows_of(world, theirs) == before


@in_the_world
async def test_a_number_that_is_taken_does_not_tell_by_whom(world: World) -> None:
    for theirs in (world.north, world.platform):
        before = await rows_of(world, theirs)
        for operation, naming in named(TAKEN, theirs):
            for body in naming(theirs, world.south):
                answer = await call(world, operation, world.south.token, world.south.ids, body=body)
                assert answer.status == 409, (operation.operation_id, body, answer.text)
                assert answer.shows(world.others(world.south) - shown_in(body)) == set(), answer.text
        assert await rows_of(world, theirs) == before


def named(bodies: dict[str, Naming], theirs: Side) -> Iterator[tuple[Operation, Naming]]:
    """Operations with their bodies, where that side has what they name."""
    for operation in for_owners():
        naming = bodies.get(operation.operation_id)
        if naming is not None and not ("account_id" not in theirs.ids and "account_id" in names_in(operation)):
            yield operation, naming


def shown_in(body: Any) -> set[str]:
    """What the caller wrote, and may be told again."""
    sent = body.decode() if isinstance(body, bytes) else orjson.dumps(body).decode()
    return set(re.findall(r"[A-Za-z0-9_ -]+", sent))


def told(answer: Answer, whose: Side) -> str:
    """An answer without names that were sent, and without what differs from call to call."""
    text = answer.text
    for name, value in sorted(whose.ids.items(), key=lambda item: -len(str(item[1]))):
        if isinstance(value, str):
            text = text.replace(value, f"<{name}>")
    return re.sub(r"[a-z]{3}_[0-9a-f]{12,24}|[0-9a-f]{64}|20\d\d-\d\d-\d\dT[0-9:.]+Z?", "<>", text)


@in_the_world
async def test_addresses_that_are_keys_open_one_door(world: World) -> None:
    """A calendar, a receipt and a credit note are for whoever has the address: and hold that side's alone."""
    for side in world.sides:
        pages = [
            f"/r/{token}{what}" for token in side.ids["receipts"] for what in ("", "/receipt.pdf", "/receipt.json")
        ]
        assert len(pages) == 6, side.ids["receipts"]
        for path in (f"/calendar/{side.ids['calendar']}", *pages):
            answer = await fetch(world, path)
            assert answer.status == 200, path
            assert answer.shows(world.others(side)) == set(), (path, answer.text)
        assert (await fetch(world, f"/calendar/{side.ids['calendar']}")).shows({side.ids["serial"]})
    for path in ("/calendar/" + "A" * 43 + ".ics", "/r/" + "A" * 32, "/r/" + "A" * 32 + "/receipt.pdf"):
        answer = await fetch(world, path)
        assert answer.status == 404, path
        assert answer.shows(set().union(*(side.marks for side in world.sides))) == set(), path


async def fetch(world: World, path: str) -> Answer:
    """A page outside the API, as nobody."""
    async with world.bench.http.get(f"http://127.0.0.1:{world.bench.app.http_port}{path}") as answer:
        return Answer(answer.status, text_of(await answer.read()))


@in_the_world
async def test_a_count_of_others_terminals_tells_nothing_of_them(world: World) -> None:
    """What was found is told again, with the advice to tell the platform."""
    before = await rows_of(world, world.north)
    written = set[str]()
    for operation, naming in named(FINDS, world.north):
        for body in naming(world.north, world.south):
            answer = await call(world, operation, world.south.token, world.south.ids, body=body)
            assert answer.status == 200, answer.text
            written |= shown_in(body)
    (finish,) = (operation for operation in operations() if operation.operation_id == "finish_stock_count")
    finished = await call(world, finish, world.south.token, world.south.ids)
    assert finished.shows({world.north.ids["boxed"]})
    assert finished.shows({world.north.ids["serial"]})
    assert finished.shows(world.others(world.south) - written) == set(), finished.text
    assert await rows_of(world, world.north) == before


@in_the_world
async def test_the_platforms_people_see_all_sides(world: World) -> None:
    """What is held back from owners is there: or the tests above would prove nothing."""
    for operation in for_owners():
        path = operation.path
        if operation.method != "GET" or operation.parameters or required(operation) or path in _NOT_LISTS:
            continue
        listed = orjson.dumps(await world.bench.api("GET", f"{path}?limit=500")).decode()
        for side in world.sides:
            hidden = _NOT_OF_ITS_OWN if side is world.platform else _THE_HOLDERS
            if path not in hidden:
                assert Answer(200, listed).shows(side.marks), (path, side.name)


async def rows_of(world: World, side: Side) -> dict[str, list[Any]]:
    """Everything in the database that is this side's, and whatever else speaks of it.

    Not what says who was told what, and when; nor what others wrote down of it as their own.
    """
    found: dict[str, list[Any]] = {}
    async with reading(world.bench.app.engine) as connection:
        for table in load().sorted_tables:
            if table.name in _COMES_AND_GOES:
                continue
            columns = [c for c in table.c if c.name != "seen_at"]
            query = select(*columns).order_by(*table.primary_key.columns)
            if "owner_id" in table.c:
                query = query.where(table.c.owner_id == side.ids["owner_id"])
            rows = [tuple(row) for row in await connection.execute(query)]
            if "owner_id" not in table.c:
                rows = [row for row in rows if any(str(value) in side.marks for value in row)]
            found[table.name] = rows
    return found


#: Tables that change by themselves, or hold what others said.
_COMES_AND_GOES = {
    *("api_tokens", "audit", "outbox"),
    *("journal", "frames", "connections", "station_calls", "configuration_checks", "configuration_state", "variables"),
    *("stock_finds", "stock_findings", "terminal_import_rows"),
}
