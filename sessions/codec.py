"""Facts, commands and sessions as JSON text and back, by one codec (pydantic, on plain dataclasses).

Decimals and datetimes are strings; a value that does not fit its type raises `pydantic.ValidationError`.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from sessions import commands, facts
from sessions.commands import AnyCommand
from sessions.facts import AnyFact
from sessions.session import Session

T = TypeVar("T")


@cache
def _adapter(of: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(Any, of))


def encode(value: Any) -> str:
    """Return ``value`` (a dataclass) as JSON text."""
    return _adapter(cast(Any, type(value))).dump_json(value).decode()


def decode(of: type[T], text: str) -> T:
    """Return the ``of`` that ``text`` holds."""
    decoded: T = _adapter(cast(Any, of)).validate_json(text)
    return decoded


def decode_session(text: str) -> Session:
    """Return the session that ``text`` holds."""
    return decode(Session, text)


def kind_of(value: AnyFact | AnyCommand) -> str:
    """The name a fact or command is stored under."""
    return type(value).__name__


def decode_fact(kind: str, text: str) -> AnyFact:
    """Return the fact stored as ``kind``; KeyError for an unknown kind."""
    fact: AnyFact = decode(_class_of(facts, kind), text)
    return fact


def decode_command(kind: str, text: str) -> AnyCommand:
    """Return the command stored as ``kind``; KeyError for an unknown kind."""
    command: AnyCommand = decode(_class_of(commands, kind), text)
    return command


def _class_of(module: Any, kind: str) -> Any:
    found = getattr(module, kind, None)
    if not isinstance(found, type):
        raise KeyError(f"{kind!r} is not a {module.__name__.rsplit('.', 1)[-1]} kind this version knows.")
    return found
