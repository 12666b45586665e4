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

DOCUMENT = document(operations(), "0")
#: What never ends by itself has a test of its own (test_sight.py).
ENDLESS = {"follow_messages"}

F = TypeVar("F", bound=Callable[..., None])

schema: Any = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    ignored_auth,
)


@pytest.fixture(scope="module", params=["postgresql"])  # so that a test's name says it
def on_postgresql(databases: Databases) -> Iterator[Served]:
    """One running system for all operations."""
    with served(databases.fresh("postgresql")) as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite"])
def on_sqlite(databases: Databases) -> Iterator[Served]:
    """The same on the other database."""
    with served(databases.fresh("sqlite")) as running:
        yield running


each_operation: Callable[[F], F] = schema.exclude(operation_id=sorted(ENDLESS)).parametrize()
common: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


@each_operation
@settings(max_examples=15, **common)
def test_no_5xx_and_no_undocumented_status(case: Any, on_postgresql: Served) -> None:
    """On the database that is the stricter one: of values' types, lengths and characters."""
    validate(case, on_postgresql)


@each_operation
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
