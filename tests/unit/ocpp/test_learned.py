"""What is made of stations' answers to our calls, whatever they are: facts that can be stored, and no exception."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from csms.ocpp.message import Asked
from csms.ocpp.station_port import refused
from csms.ocpp.versions import DIALECTS
from sessions import codec
from sessions.facts import Fact
from tests.wire.schema_payloads import Case, table

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ASKS = [(version, action) for version, dialect in DIALECTS.items() for action in sorted(dialect.asks)]
LEARNS = [(version, action) for version, action in ASKS if DIALECTS[version].asks[action].learn is not None]


def learned(version: str, action: str, request: Case, response: Case) -> Iterator[Fact]:
    """What the answer means, by the function that is entered for it."""
    learn = DIALECTS[version].asks[action].learn
    assert learn is not None
    asked = Asked(
        station_id="CP1",
        version=version,
        action=action,
        request=request.payload,
        response=response.payload,
        now=NOW,
        command_id="c1",
        requested_by="somebody",
    )
    yield from learn(asked)


@pytest.mark.parametrize(("version", "action"), LEARNS)
def test_every_answer_means_something_that_can_be_stored_or_nothing(version: str, action: str) -> None:
    """Each answer that the schema allows or forbids, to the smallest and the largest of requests."""
    requests = [case for case in table(version, action) if case.kind == "valid"]
    for request in (requests[0], requests[-1]):
        for response in table(version, action, "response"):
            try:
                found = list(learned(version, action, request, response))
            except Exception as error:
                raise AssertionError(f"{response.name} to {request.name}") from error
            for fact in found:
                assert codec.decode_fact(codec.kind_of(fact), codec.encode(fact)) == fact
            assert len({fact.key for fact in found}) == len(found), response.name


@pytest.mark.parametrize(("version", "action"), LEARNS)
def test_every_request_of_ours_can_be_learned_from(version: str, action: str) -> None:
    responses = [case for case in table(version, action, "response") if case.kind == "valid"]
    for request in table(version, action):
        if request.kind in {"valid", "boundary"}:
            for response in (responses[0], responses[-1]):
                for fact in learned(version, action, request, response):
                    assert codec.decode_fact(codec.kind_of(fact), codec.encode(fact)) == fact, request.name


@pytest.mark.parametrize(("version", "action"), ASKS)
def test_whether_it_is_refused_can_be_said_of_every_answer(version: str, action: str) -> None:
    for response in table(version, action, "response"):
        assert refused(response.payload) in {True, False}
