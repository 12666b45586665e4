"""Writes `docs/settings.md` from the settings themselves: ``python -m csms.settings_doc > docs/settings.md``."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from csms.settings import ENV_PREFIX, Settings

_HEAD = f"""# Settings

Generated from `csms/settings.py` by `make docs`; a test fails when this page is stale.

Settings come from a TOML file (`--config`, or `tapvolt.toml` in the working directory) and from the environment, which
wins. There a setting has the name in the second column. Of a section that may be repeated (`[[…]]`) the environment
replaces the whole list, written as JSON: `{ENV_PREFIX}STATIONS='[{{"station_id": "CP-1"}}]'`.

A setting that cannot be used stops the start with a sentence that names it. `tapvolt config show` prints what is in
force, secrets masked.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name in its section, and in the environment ("" where only the whole list can be given)."""

    name: str
    env: str
    info: FieldInfo


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the settings file. ``title`` is "" for the top level; ``env``: of the list, where it is repeated."""

    title: str
    repeated: bool
    env: str
    model: type[BaseModel]
    settings: tuple[Setting, ...]


def sections() -> Iterator[Section]:
    """Every section, the top level first, each before the ones inside it."""
    yield from _sections("", Settings, ENV_PREFIX, repeated=False, named=True)


def document() -> str:
    """The page."""
    return "\n".join([_HEAD, *(part for section in sections() for part in _written(section))]).rstrip() + "\n"


def _sections(title: str, model: type[BaseModel], env: str, *, repeated: bool, named: bool) -> Iterator[Section]:
    settings, inner = [], []
    for name, info in model.model_fields.items():
        nested, is_list = _nested(info.annotation)
        path = f"{env}{name.upper()}" if named else ""
        if nested is None:
            settings.append(Setting(name, path, info))
        else:
            inner.append((f"{title}.{name}" if title else name, nested, path, is_list))
    yield Section(title, repeated, "" if named else env, model, tuple(settings))
    for inner_title, nested, path, is_list in inner:
        below = named and not is_list
        yield from _sections(inner_title, nested, f"{path}__" if below else path, repeated=is_list, named=below)


def _written(section: Section) -> Iterator[str]:
    if section.title:
        yield f"## `{'[[' if section.repeated else '['}{section.title}{']]' if section.repeated else ']'}`\n"
        whole = f" In the environment: `{section.env}`." if section.env else ""
        yield f"{(section.model.__doc__ or '').strip()}{whole}\n"
    named = any(setting.env for setting in section.settings)
    yield (
        "| setting | environment | type | default | what it does |"
        if named
        else ("| setting | type | default | what it does |")
    )
    yield "|---|---|---|---|---|" if named else "|---|---|---|---|"
    for setting in section.settings:
        info = setting.info
        default = "required" if info.is_required() else _shown(info.default)
        env = f"`{setting.env}` | " if named else ""
        meaning = (info.description or "").replace("|", "\\|")
        yield f"| `{setting.name}` | {env}{_type(info.annotation)} | {default} | {meaning} |"
    yield ""


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
    """A default as it would be written in the file; never a secret's, should one ever have a default."""
    if isinstance(default, SecretStr):
        return "secret"
    if default is None:
        return "none"
    if isinstance(default, Enum):
        return f"`{default.value}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "`[]`" if default == () else f"`{default}`" if str(default) else "empty"


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
    names = {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true/false",
        "Decimal": "decimal",
        "datetime": "date and time with zone",
        "AwareDatetime": "date and time with zone",
        "dict": "table",
        "Path": "file",
    }
    name = getattr(annotation, "__name__", "table")
    return names.get(name, name)


if __name__ == "__main__":
    print(document(), end="")
