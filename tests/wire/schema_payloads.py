"""Tables of payloads made from a message's JSON schema: valid, on the boundary, broken in one place each.

The same schema gives the same table, in the same order. Every case is the smallest payload that has the place it is
about, so that a failing one names its cause: ``BootNotification-missing-chargingStation.model``.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

Kind = Literal["valid", "boundary", "invalid", "unformatted"]
Schema = dict[str, Any]

_PACKAGES = {"ocpp1.6": "ocpp.v16", "ocpp2.0.1": "ocpp.v201", "ocpp2.1": "ocpp.v21"}
#: A message that has no answer (2.1 part 4, SEND) has no suffix in its schema's name either.
_ENDINGS = {"request": ("Request.json", ".json"), "response": ("Response.json",)}

INT32 = (-(2**31), 2**31 - 1)  # 2.0.1 part 2, primitive datatypes; 1.6 means the same
MOMENTS = ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00.123+01:00")
NO_MOMENTS = {"no-time": "yesterday", "no-zone": "2026-01-01T12:00:00", "no-year": "0000-00-00", "no-text": ""}
URI = "https://example.org/"
#: Every object may carry one; it is taken apart once, in the payload itself, and is merely there or not below.
CUSTOM = "customData"


@dataclass(frozen=True, slots=True)
class Case:
    """A payload. ``rule``: the schema's keyword that an invalid one breaks, else empty.

    ``unformatted`` ones pass the schemas, which name formats without checking them, and are no valid messages.
    """

    name: str
    kind: Kind
    payload: dict[str, Any]
    rule: str = ""


@dataclass(frozen=True, slots=True)
class _Variant:
    """A value for one place, ``path`` below the node that made it."""

    kind: Kind
    what: str
    value: Any
    rule: str = ""
    path: str = ""


def schema(version: str, action: str, direction: str = "request") -> Schema:
    """The `ocpp` package's schema of a message. KeyError if it has none."""
    folder = importlib.resources.files(_PACKAGES[version]).joinpath("schemas")
    for ending in _ENDINGS[direction]:
        file = folder.joinpath(action + ending)
        if file.is_file():
            read: Schema = json.loads(file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
            return read
    raise KeyError(f"{version} {action} {direction}")


def table(version: str, action: str, direction: str = "request") -> tuple[Case, ...]:
    """Every case of a message, made once. KeyError if it has no schema."""
    return _table(version, action, direction)


@cache
def _table(version: str, action: str, direction: str) -> tuple[Case, ...]:
    return cases(action, schema(version, action, direction))


def cases(name: str, root: Schema) -> tuple[Case, ...]:
    """Every case of a schema; no two have the same payload. ValueError for a type that this module cannot make."""
    maker = _Maker(root.get("definitions", {}))
    made = [Case(f"{name}-minimal", "valid", maker.minimal(root))]
    made += [Case(f"{name}-maximal-{turn}", "valid", maker.maximal(root, turn)) for turn in range(maker.turns(root))]
    made += [
        Case(f"{name}-{variant.what}-{variant.path}", variant.kind, variant.value, variant.rule)
        for variant in maker.variants(root)
        if variant.path  # the payload itself is an object, or there is no frame
    ]
    first: dict[str, Case] = {}
    for case in made:
        first.setdefault(json.dumps(case.payload, sort_keys=True), case)
    return tuple(first.values())


class _Maker:
    """Makes values of a schema whose ``definitions`` these are."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def _node(self, node: Schema) -> Schema:
        return self._definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else node

    def minimal(self, node: Schema) -> Any:
        """What is required and nothing else; texts are not empty, as an empty one says nothing."""
        node = self._node(node)
        match node.get("type"):
            case "object":
                return {name: self.minimal(node["properties"][name]) for name in node.get("required", ())}
            case "array":
                return [self.minimal(node["items"])] * node.get("minItems", 0)
            case "string":
                return _text(node, 1, 0)
            case "integer" | "number":
                return _within(node, 1)
            case "boolean":
                return False
        return "x"

    def maximal(self, node: Schema, turn: int) -> Any:
        """Everything that may be there, texts at their longest; two of what may be many. ``turn`` chooses in enums."""
        node = self._node(node)
        match node.get("type"):
            case "object":
                return {name: self.maximal(child, turn) for name, child in node.get("properties", {}).items()}
            case "array":
                count = max(node.get("minItems", 0), min(2, node.get("maxItems", 2)))
                return [self.maximal(node["items"], turn + place) for place in range(count)]
            case "string":
                return _text(node, node.get("maxLength", 64), turn)
            case "integer":
                return _within(node, 100 + turn)
            case "number":
                return _within(node, 1.5)
            case "boolean":
                return turn % 2 == 0
        return {"any": ["thing", turn, None]}

    def turns(self, node: Schema) -> int:
        """How many turns of `maximal` it takes to have every value of every enumeration."""
        node = self._node(node)
        below = [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])]
        return max([len(node.get("enum", [None])), *map(self.turns, below)])

    def variants(self, node: Schema, nested: bool = False) -> Iterator[_Variant]:
        """Values for a node, each of them special in one place."""
        node = self._node(node)
        match node.get("type"):
            case "object":
                yield from self._objects(node, nested)
            case "array":
                yield from self._arrays(node)
            case "string":
                yield from _texts(node)
            case "integer":
                yield from _wrong_types(null=None, text="1", boolean=True, fraction=_within(node, 1) + 0.5)
                yield from _bounds(node, *INT32)
            case "number":
                yield from _wrong_types(null=None, text="1.5", boolean=True)
                yield from _bounds(node, -999_999.5, 999_999.5)
                if "multipleOf" in node:
                    between = _within(node, 1) + node["multipleOf"] / 2
                    yield _Variant("invalid", "between-steps", between, "multipleOf")
            case "boolean":
                yield from _wrong_types(null=None, text="true", integer=1)
                yield _Variant("boundary", "true", value=True)
            case None:
                for what, value in (("null", None), ("empty", ""), ("number", 1.5), ("array", []), ("object", {})):
                    yield _Variant("boundary", what, value)
            case unknown:
                raise ValueError(f"no values of type {unknown} can be made")

    def _objects(self, node: Schema, nested: bool) -> Iterator[_Variant]:
        smallest = self.minimal(node)
        yield from _wrong_types(null=None, text="x", array=[smallest])
        for name in node.get("required", ()):
            without = {key: value for key, value in smallest.items() if key != name}
            yield _Variant("invalid", "missing", without, "required", name)
        more = smallest | {"unheardOf": {"a": [1]}}
        if node.get("additionalProperties") is False:
            yield _Variant("invalid", "additional", more, "additionalProperties", "unheardOf")
        else:
            yield _Variant("boundary", "additional", more, path="unheardOf")
        for name, child in node.get("properties", {}).items():
            for variant in self.variants(child, nested=True) if name != CUSTOM or not nested else ():
                path = name + variant.path if variant.path.startswith("[") else f"{name}.{variant.path}".rstrip(".")
                yield replace(variant, value=smallest | {name: variant.value}, path=path)

    def _arrays(self, node: Schema) -> Iterator[_Variant]:
        item, least, most = self.minimal(node["items"]), node.get("minItems", 0), node.get("maxItems")
        yield from _wrong_types(null=None, text="x", object={})
        yield _Variant("boundary", "fewest", [item] * least)
        if least:
            yield _Variant("invalid", "too-few", [item] * (least - 1), "minItems")
        if most is not None:
            yield _Variant("boundary", "most", [item] * most)
            yield _Variant("invalid", "too-many", [item] * (most + 1), "maxItems")
        for variant in self.variants(node["items"], nested=True):
            value = [*([item] * (least - 1)), variant.value]  # the last one, as reading may stop before it
            yield replace(variant, value=value, path=f"[].{variant.path}".rstrip("."))


def _texts(node: Schema) -> Iterator[_Variant]:
    yield from _wrong_types(null=None, integer=5, object={}, array=["x"])
    if "enum" in node:
        yield _Variant("invalid", "unknown-value", "UnheardOf", "enum")
        yield _Variant("invalid", "wrong-case", node["enum"][0].swapcase(), "enum")
        return
    match node.get("format"):
        case "date-time":
            for place, moment in enumerate(MOMENTS):
                yield _Variant("boundary", f"moment-{place}", moment)
            for what, value in NO_MOMENTS.items():
                yield _Variant("unformatted", what, value)
        case "uri":
            yield _Variant("unformatted", "no-address", "not an address")
        case _:
            yield _Variant("boundary", "empty", "")
    if "maxLength" in node:
        yield _Variant("boundary", "longest", _text(node, node["maxLength"], 0))
        yield _Variant("invalid", "too-long", "x" * (node["maxLength"] + 1), "maxLength")


def _text(node: Schema, length: int, turn: int) -> str:
    """A text of ``length``, of what the node allows; ``turn`` chooses in enumerations and formats."""
    if "enum" in node:
        return str(node["enum"][turn % len(node["enum"])])
    match node.get("format"):
        case "date-time":
            return MOMENTS[turn % len(MOMENTS)]
        case "uri":
            return URI.ljust(length, "x")
    return "x" * length


def _wrong_types(**values: Any) -> Iterator[_Variant]:
    for what, value in values.items():
        yield _Variant("invalid", "null" if value is None else f"as-{what}", value, "type")


def _bounds(node: Schema, lowest: float, highest: float) -> Iterator[_Variant]:
    """The bounds themselves, or ``lowest`` and ``highest``; and one beyond those that the schema sets."""
    least, most = _whole(node.get("minimum", lowest)), _whole(node.get("maximum", highest))
    yield _Variant("boundary", "least", least)
    yield _Variant("boundary", "most", most)
    if "minimum" in node:
        yield _Variant("invalid", "too-small", least - 1, "minimum")
    if "maximum" in node:
        yield _Variant("invalid", "too-large", most + 1, "maximum")


def _within(node: Schema, wanted: float) -> Any:
    """``wanted``, or the bound next to it."""
    return _whole(min(max(wanted, node.get("minimum", wanted)), node.get("maximum", wanted)))


def _whole(number: float) -> Any:
    """Schemas write bounds as 0.0, and 0.0 is no integer to draft 4."""
    return int(number) if float(number).is_integer() else number
