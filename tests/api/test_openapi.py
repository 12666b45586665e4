"""The API against its own description: schemathesis plays every operation with what its schema allows and forbids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
)

from csms.web.api.api import operations
from csms.web.api.openapi import document
from tests.api.server_process import Served, served
from tests.databases import Databases
from tests.scale import FULL

DOCUMENT = document(operations(), "0")
PATHS: dict[str, Any] = DOCUMENT["paths"]
#: What never ends by itself has a test of its own (test_sight.py).
ENDLESS = {"follow_messages"}
F = TypeVar("F", bound=Callable[..., None])

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    ignored_auth,
)


#: Operations are played in so many groups, each by one test: a group's are prepared only where they are played.
GROUPS, GROUPS_ON_SQLITE = 20, 8


@pytest.fixture(params=range(GROUPS))
def operations_of_the_group(request: pytest.FixtureRequest) -> Any:
    """The description, with the paths of one group."""
    return part(request, GROUPS, corners=FULL)


@pytest.fixture(params=range(GROUPS_ON_SQLITE))
def operations_of_the_sqlite_group(request: pytest.FixtureRequest) -> Any:
    """The same for the other database, where the schema's corners are not gone through again."""
    return part(request, GROUPS_ON_SQLITE, corners=False)


def part(request: pytest.FixtureRequest, groups: int, *, corners: bool) -> Any:
    """The description with every ``groups``-th path, from the one of the fixture's parameter on.

    ``corners``: with a call for every value at the edge of what the schema allows and forbids, beside those by chance.
    """
    request.node._nodeid = request.node.nodeid  # schemathesis 4.32 looks for it there; pytest 9.2 keeps it elsewhere
    made = schemathesis.openapi.from_dict(DOCUMENT | {"paths": dict(list(PATHS.items())[request.param :: groups])})
    if not corners:
        made.config.phases.update(phases=["examples", "fuzzing"])
    return made


@pytest.fixture
def on_postgresql(databases: Databases) -> Iterator[Served]:
    """A running system."""
    with served(databases.fresh("postgresql")) as running:
        yield running


@pytest.fixture
def on_sqlite(databases: Databases) -> Iterator[Served]:
    """The same on the other database."""
    with served(databases.fresh("sqlite")) as running:
        yield running


def each_operation(fixture: str) -> Callable[[F], F]:
    """A subtest for every operation of the description that the fixture gives."""
    made: Callable[[F], F] = (
        schemathesis.pytest.from_fixture(fixture).exclude(operation_id=sorted(ENDLESS)).parametrize()
    )
    return made


common: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


@each_operation("operations_of_the_group")
@settings(max_examples=20 if FULL else 8, **common)
def test_no_5xx_and_no_undocumented_status(case: Any, on_postgresql: Served) -> None:
    """On the database that is the stricter one: of values' types, lengths and characters."""
    validate(case, on_postgresql)


@pytest.mark.skipif(not FULL, reason="at full scale only: make test FULL=1")
@each_operation("operations_of_the_sqlite_group")
@settings(max_examples=5, **common)
def test_no_5xx_and_no_undocumented_status_on_sqlite(case: Any, on_sqlite: Served) -> None:
    validate(case, on_sqlite)


def validate(case: Any, system: Served) -> None:
    """Send it; the answer must be one that is documented."""
    case.call_and_validate(
        base_url=system.base_url,
        headers={"Authorization": f"Bearer {system.token}"},
        checks=CHECKS,
        timeout=30,
    )


def test_the_description_is_complete() -> None:
    listed = [o for path in DOCUMENT["paths"].values() for o in path.values()]
    ids = [o["operationId"] for o in listed]
    assert len(ids) == len(set(ids)) == len(operations())
    assert DOCUMENT["openapi"] == "3.1.0"
    assert [o["operationId"] for o in listed if not o["summary"].endswith(".")] == []
    silent = [
        (o["operationId"], p["name"])
        for o in listed
        for p in o["parameters"]
        if not p.get("description") or not p["schema"]
    ]
    assert silent == []
