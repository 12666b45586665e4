"""Who may call the API, and the trail of who did what."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csms.web.api.access import Role, create_token
from csms.web.api.api import operations
from csms.web.api.operation import Operation
from csms.web.api.path_parameters import PATH_PARAMETERS
from tests.conformance.bench import PASSWORD, Bench


def path_of(operation: Operation) -> str:
    return operation.path.format(**{name: schema["example"] for name, schema in PATH_PARAMETERS.items()})


async def test_nobody_may_do_anything(bench: Bench) -> None:
    for given in ("", "Bearer", "Bearer x", "Basic YTpi", "Bearer tvk_" + "0" * 12 + "_" + "A" * 43):
        for operation in operations():
            answer = await call(bench, operation, given)
            assert answer.status == 401, (operation.operation_id, given)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_role_may_do_what_its_operations_say_and_no_more(bench: Bench) -> None:
    for role in Role:
        _, token = await create_token(bench.app.engine, role.value, role, datetime.now(UTC))
        for operation in operations():
            if operation.role is role or not role.may(operation.role):
                if operation.content_type == "text/event-stream" and role.may(operation.role):
                    continue
                answer = await call(bench, operation, f"Bearer {token}")
                assert (answer.status == 403) is not role.may(operation.role), (operation.operation_id, role)


async def call(bench: Bench, operation: Operation, authorization: str) -> Any:
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1{path_of(operation)}"
    body: dict[str, Any] | None = {} if operation.body is not None else None
    async with bench.http.request(
        operation.method, url, json=body, headers={"Authorization": authorization, "If-Match": '"1"'}
    ) as answer:
        await answer.read()
        return answer


async def test_a_token_ends_when_it_expires_or_is_revoked(bench: Bench) -> None:
    now = datetime.now(UTC)
    made = await bench.api("POST", "/tokens", {"name": "Kari", "role": "support"}, status=201)
    owner, bench.token = bench.token, made["token"]
    await bench.api("GET", "/stations")
    await bench.api("GET", "/tokens", status=403)
    bench.token = owner
    listed = (await bench.api("GET", "/tokens"))["items"]
    (kari,) = [token for token in listed if token["name"] == "Kari"]
    assert kari["used_at"] is not None
    assert made["token"] not in json.dumps(listed)
    await bench.api("DELETE", f"/tokens/{made['token_id']}", status=204)
    bench.token = made["token"]
    await bench.api("GET", "/stations", status=401)
    _, bench.token = await create_token(bench.app.engine, "old", Role.ADMIN, now, now - timedelta(seconds=1))
    await bench.api("GET", "/stations", status=401)
    bench.token = owner
    await bench.api("DELETE", "/tokens/" + "0" * 12, status=404)
    before = {"name": "Kari", "role": "support", "expires_at": "0001-01-01T00:00:00+23:00"}  # the first day there is
    await bench.api("POST", "/tokens", before, status=422)


async def test_the_trail_says_who_did_what_and_how_it_ended(bench: Bench) -> None:
    await bench.connect()
    await bench.api("PATCH", "/stations/CS1", {"site": "North"})
    await bench.api("PATCH", "/stations/CS1", {"sight": "North"}, status=422)
    secret = {"setVariableData": [{"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}]}
    secret["setVariableData"][0]["attributeValue"] = PASSWORD  # type: ignore[assignment]
    await bench.api("POST", "/stations/CS1/commands/SetVariables", secret | {"unknown": 1}, status=422)
    trail = (await bench.api("GET", "/audit"))["items"]
    assert [(row["operation"], row["status"]) for row in trail] == [
        ("send_command", 422),
        ("edit_station", 422),
        ("edit_station", 200),
    ]
    assert trail[2]["actor"] == "test"
    assert trail[2]["path"] == "/api/v1/stations/CS1"
    assert trail[2]["request"] == {"site": "North"}
    assert PASSWORD not in json.dumps(trail)
    assert (await bench.api("GET", "/audit?operation=send_command"))["items"] == trail[:1]


@pytest.mark.parametrize(
    ("method", "path", "raw", "content_type", "status", "says"),
    [
        ("POST", "/tokens", b"{", "application/json", 400, "not JSON"),
        ("POST", "/tokens", b"{}", "text/plain", 415, "application/json"),
        ("POST", "/tokens", b"{}", "application/json", 422, "see errors"),
        ("POST", "/tokens", b'{"name": "a\\u0000", "role": "admin"}', "application/json", 422, "NUL"),
        ("POST", "/tokens", b"[]", "application/json", 422, "see errors"),
        ("GET", "/stations?limit=0", b"", "", 400, "see errors"),
        ("GET", "/stations?limt=1", b"", "", 400, "see errors"),
        ("GET", "/stations?limit=1&limit=2", b"", "", 400, "twice"),
        ("GET", "/stations/../x y", b"", "", 404, "openapi.json"),
        ("GET", "/stations/" + "x" * 60, b"", "", 404, "no station_id"),
        ("GET", "/nothing", b"", "", 404, "openapi.json"),
        ("DELETE", "/stations", b"", "", 405, "GET"),
        ("POST", "/tokens", b'"' + b"x" * 300_000 + b'"', "application/json", 413, "larger"),
    ],
)
async def test_bad_calls_are_refused_with_a_sentence(
    bench: Bench, method: str, path: str, raw: bytes, content_type: str, status: int, says: str
) -> None:
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1{path}"
    headers = {"Authorization": f"Bearer {bench.token}"} | ({"Content-Type": content_type} if content_type else {})
    async with bench.http.request(method, url, data=raw or None, headers=headers) as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        problem = await answer.json(content_type=None)
    assert problem["status"] == status
    assert says in problem["detail"]


async def test_the_description_is_served_to_everybody(bench: Bench) -> None:
    bench.token = "nobody"
    described = await bench.api("GET", "/openapi.json")
    assert described["openapi"] == "3.1.0"
    assert "/api/v1/stations/{station_id}/commands/{action}" in described["paths"]
