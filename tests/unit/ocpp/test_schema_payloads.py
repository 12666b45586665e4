"""The tables of payloads that the wire tests send: each case is what its name says, judged by two validators."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from typing import Any

import ocpp.messages
import pytest
from ocpp.exceptions import OCPPError

from csms.ocpp.schemas import Problem, actions, request_problems, response_problems
from tests.wire.schema_payloads import Schema, cases, schema, table

VERSIONS = {"ocpp1.6": "ocpp.v16", "ocpp2.0.1": "ocpp.v201", "ocpp2.1": "ocpp.v21"}
DIRECTIONS = ("request", "response")
#: What the generator makes cases of …
KNOWN = {"type", "required", "properties", "additionalProperties", "items", "minItems", "maxItems", "maxLength", "enum"}
KNOWN |= {"minimum", "maximum", "multipleOf", "format", "$ref", "definitions"}
#: … and what says nothing of a value. ``additionalItems`` has no effect next to an ``items`` that is no list.
SILENT = {"$schema", "$id", "id", "title", "description", "comment", "javaType", "default", "additionalItems"}


def judged(version: str, direction: str) -> Iterator[tuple[str, Any, list[Problem]]]:
    judge = request_problems if direction == "request" else response_problems
    for action in sorted(actions(version)):
        if has(version, action, direction):
            for case in table(version, action, direction):
                yield action, case, judge(version, action, case.payload)


def has(version: str, action: str, direction: str) -> bool:
    try:
        schema(version, action, direction)
    except KeyError:
        return False
    return True


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_each_case_is_what_its_name_says(version: str, direction: str) -> None:
    wrong, names = [], []
    for _, case, problems in judged(version, direction):
        names.append(case.name)
        broken = [problem.rule for problem in problems]
        if (case.rule not in broken) if case.kind == "invalid" else broken:
            wrong.append((case.name, broken))
    assert not wrong
    assert len(names) == len(set(names))
    assert len(names) > 500


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("version", VERSIONS)
async def test_the_package_agrees(version: str, direction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each action's smallest payload, and every twentieth of the others: its validation takes its time."""
    monkeypatch.setattr(ocpp.messages, "ASYNC_VALIDATION", False)
    unlike = []
    for count, (action, case, _) in enumerate(judged(version, direction)):
        if count % 20 and not case.name.endswith("-minimal"):
            continue
        if direction == "request":
            message: Any = ocpp.messages.Call("m1", action, case.payload)
        else:
            message = ocpp.messages.CallResult("m1", case.payload, action)
        refused = False
        try:
            await ocpp.messages.validate_payload(message, version.removeprefix("ocpp"))
        except OCPPError:
            refused = True
        if refused is not (case.kind == "invalid"):
            unlike.append(case.name)
    assert not unlike


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_value_of_every_enumeration_is_reached(version: str, direction: str) -> None:
    sent: dict[str, set[tuple[str, Any]]] = {}
    for action, case, _ in judged(version, direction):
        if case.kind == "valid":
            sent.setdefault(action, set()).update(leaves(case.payload))
    for action, reached in sent.items():
        root = schema(version, action, direction)
        assert set(enumerated(root, root)) <= reached, action


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            for name, child in value.items():
                yield from leaves(child, f"{path}.{name}")
        case list():
            for child in value:
                yield from leaves(child, path)
        case _:
            yield path, value


def enumerated(root: Schema, node: Schema, path: str = "") -> Iterator[tuple[str, Any]]:
    node = root["definitions"][node["$ref"].removeprefix("#/definitions/")] if "$ref" in node else node
    yield from ((path, value) for value in node.get("enum", ()))
    if "items" in node:
        yield from enumerated(root, node["items"], path)
    for name, child in node.get("properties", {}).items():
        yield from enumerated(root, child, f"{path}.{name}")


@pytest.mark.parametrize("version", VERSIONS)
def test_no_rule_of_the_schemas_is_unknown_here(version: str) -> None:
    """A new release of the package may use another one; its cases would be missing without a word."""
    folder = importlib.resources.files(VERSIONS[version]).joinpath("schemas")
    for file in folder.iterdir():
        if file.name.endswith(".json"):
            action = file.name.removesuffix(".json")
            direction = "response" if action.endswith("Response") else "request"
            suffix = "Response" if direction == "response" else "Request"
            used = set(keywords(schema(version, action.removesuffix(suffix), direction)))
            assert used <= KNOWN | SILENT, file.name


def keywords(node: Any) -> Iterator[str]:
    for name, child in node.items():
        yield name
        if name in {"properties", "definitions"}:
            for named in child.values():
                yield from keywords(named)
        elif name == "items":
            yield from keywords(child)


SMALL: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["a", "b"],
    "properties": {
        "a": {"type": "string", "maxLength": 3},
        "b": {"type": "array", "items": {"$ref": "#/definitions/Part"}, "minItems": 2, "maxItems": 3},
    },
    "definitions": {
        "Part": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"n": {"type": "integer", "minimum": 0}, "w": {"type": "string", "enum": ["On", "Off"]}},
        }
    },
}
#: name → (kind, payload), in the table's order.
SMALL_TABLE = {
    "S-minimal": ("valid", {"a": "x", "b": [{}, {}]}),
    "S-maximal-0": ("valid", {"a": "xxx", "b": [{"n": 100, "w": "On"}, {"n": 101, "w": "Off"}]}),
    "S-maximal-1": ("valid", {"a": "xxx", "b": [{"n": 101, "w": "Off"}, {"n": 102, "w": "On"}]}),
    "S-missing-a": ("invalid", {"b": [{}, {}]}),
    "S-missing-b": ("invalid", {"a": "x"}),
    "S-additional-unheardOf": ("invalid", {"a": "x", "b": [{}, {}], "unheardOf": {"a": [1]}}),
    "S-null-a": ("invalid", {"a": None, "b": [{}, {}]}),
    "S-as-integer-a": ("invalid", {"a": 5, "b": [{}, {}]}),
    "S-as-object-a": ("invalid", {"a": {}, "b": [{}, {}]}),
    "S-as-array-a": ("invalid", {"a": ["x"], "b": [{}, {}]}),
    "S-empty-a": ("boundary", {"a": "", "b": [{}, {}]}),
    "S-longest-a": ("boundary", {"a": "xxx", "b": [{}, {}]}),
    "S-too-long-a": ("invalid", {"a": "xxxx", "b": [{}, {}]}),
    "S-null-b": ("invalid", {"a": "x", "b": None}),
    "S-as-text-b": ("invalid", {"a": "x", "b": "x"}),
    "S-as-object-b": ("invalid", {"a": "x", "b": {}}),
    "S-too-few-b": ("invalid", {"a": "x", "b": [{}]}),
    "S-most-b": ("boundary", {"a": "x", "b": [{}, {}, {}]}),
    "S-too-many-b": ("invalid", {"a": "x", "b": [{}, {}, {}, {}]}),
    "S-null-b[]": ("invalid", {"a": "x", "b": [{}, None]}),
    "S-as-text-b[]": ("invalid", {"a": "x", "b": [{}, "x"]}),
    "S-as-array-b[]": ("invalid", {"a": "x", "b": [{}, [{}]]}),
    "S-additional-b[].unheardOf": ("invalid", {"a": "x", "b": [{}, {"unheardOf": {"a": [1]}}]}),
    "S-null-b[].n": ("invalid", {"a": "x", "b": [{}, {"n": None}]}),
    "S-as-text-b[].n": ("invalid", {"a": "x", "b": [{}, {"n": "1"}]}),
    "S-as-boolean-b[].n": ("invalid", {"a": "x", "b": [{}, {"n": True}]}),
    "S-as-fraction-b[].n": ("invalid", {"a": "x", "b": [{}, {"n": 1.5}]}),
    "S-least-b[].n": ("boundary", {"a": "x", "b": [{}, {"n": 0}]}),
    "S-most-b[].n": ("boundary", {"a": "x", "b": [{}, {"n": 2**31 - 1}]}),
    "S-too-small-b[].n": ("invalid", {"a": "x", "b": [{}, {"n": -1}]}),
    "S-null-b[].w": ("invalid", {"a": "x", "b": [{}, {"w": None}]}),
    "S-as-integer-b[].w": ("invalid", {"a": "x", "b": [{}, {"w": 5}]}),
    "S-as-object-b[].w": ("invalid", {"a": "x", "b": [{}, {"w": {}}]}),
    "S-as-array-b[].w": ("invalid", {"a": "x", "b": [{}, {"w": ["x"]}]}),
    "S-unknown-value-b[].w": ("invalid", {"a": "x", "b": [{}, {"w": "UnheardOf"}]}),
    "S-wrong-case-b[].w": ("invalid", {"a": "x", "b": [{}, {"w": "oN"}]}),
}


def test_a_whole_table() -> None:
    assert {case.name: (case.kind, case.payload) for case in cases("S", SMALL)} == SMALL_TABLE
    assert cases("S", SMALL) == cases("S", SMALL)


def test_a_type_that_cannot_be_made_is_said() -> None:
    with pytest.raises(ValueError, match="no values of type null"):
        cases("S", {"type": "object", "properties": {"a": {"type": "null"}}})


def test_fractions_and_their_steps() -> None:
    """1.6's ``limit`` is a multiple of a tenth, which binary numbers do not have."""
    steps = number({"multipleOf": 0.1, "maximum": 100})
    made = {case.name: case.payload["n"] for case in cases("S", steps) if "n" in case.payload}
    assert (made["S-most-n"], made["S-too-large-n"], made["S-between-steps-n"]) == (100, 101, 1.05)
    assert made["S-least-n"] == -999_999.5


def number(rules: Schema) -> Schema:
    return {"type": "object", "properties": {"n": {"type": "number", **rules}}}
