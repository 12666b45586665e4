"""Writes `docs/settings.md` from the settings themselves: ``python -m csms.settings_doc > docs/settings.md``."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from csms.settings import ENV_PREFIX, Settings

_HEAD = """# Settings

Generated from `csms/settings.py` by `make docs`; a test fails when this page is stale.

Settings come from a TOML file (`--config`, or `tapvolt.toml` in the working directory) and from the environment, which
wins. There, a setting is `TAPVOLT_` and its name in capitals, sections joined by two underscores:
`TAPVOLT_OCPP__PORT=9000`. Lists are written as JSON: `TAPVOLT_STATIONS='[{"station_id": "CP1"}]'`.
A setting that cannot be used stops the start with a sentence that names it. `tapvolt config show` prints what is in
force, secrets masked.
"""


def document() -> str:
    """The page."""
    return "\n".join([_HEAD, *_section("", Settings, ENV_PREFIX, repeated=False)]).rstrip() + "\n"


def _section(title: str, model: type[BaseModel], env: str, *, repeated: bool) -> Iterator[str]:
    if title:
        yield f"## `{'[[' if repeated else '['}{title}{']]' if repeated else ']'}`\n"
        yield f"{(model.__doc__ or '').strip()}\n"
    inner: list[tuple[str, type[BaseModel], bool]] = []
    rows = ["| setting | type | default | what it does |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        nested, is_list = _nested(field.annotation)
        if nested is not None:
            inner.append((f"{title}.{name}" if title else name, nested, is_list))
            continue
        default = "required" if field.is_required() else f"`{_shown(field.default)}`"
        rows.append(f"| `{name}` | {_type(field.annotation)} | {default} | {field.description or ''} |")
    if len(rows) > 2:
        yield "\n".join(rows) + "\n"
    for inner_title, nested_model, is_list in inner:
        yield from _section(inner_title, nested_model, env, repeated=is_list)


def _nested(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section a field holds, and whether it may be repeated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    is_list = typing.get_origin(annotation) in {tuple, list}
    for part in typing.get_args(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part, is_list
    return None, False


def _shown(default: Any) -> str:
    if default is None or default is PydanticUndefined:
        return "none"
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, bool):
        return str(default).lower()
    return "[]" if default == () else str(default) or '""'


def _type(annotation: Any) -> str:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " \\| ".join(f"`{arg}`" for arg in args)
    if origin in {types.UnionType, typing.Union}:
        return " or ".join(_type(arg) for arg in args if arg is not type(None))
    if origin in {tuple, list}:
        return f"list of {_type(args[0])}"
    if annotation is SecretStr:
        return "secret text"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " \\| ".join(f"`{member.value}`" for member in annotation)
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true/false", "Decimal": "decimal"}
    name = getattr(annotation, "__name__", "table")
    return names.get(name, {"datetime": "date and time with zone", "dict": "table"}.get(name, name))


if __name__ == "__main__":
    print(document(), end="")
