"""Facts, commands and sessions as JSON text and back, by one codec (pydantic, on plain dataclasses).

Decimals and datetimes are strings; a value that does not fit its type raises `pydantic.ValidationError`.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast, get_args

from pydantic import TypeAdapter

from sessions import commands, facts
from sessions.commands import Command
from sessions.facts import Fact
from sessions.session import Session
from sessions.settlement import SettlementNotified

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


#: Every fact and command that can be stored, by the name it is stored under.
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for union in (facts.AnyFact, commands.AnyCommand) for kind in get_args(union)
} | {SettlementNotified.__name__: SettlementNotified}


def register(kind: type[T]) -> type[T]:
    """Class decorator: let a room above store its own facts and commands. Names are unique across the house."""
    _KINDS[kind.__name__] = kind
    return kind


def kind_of(value: Fact | Command) -> str:
    """The name a fact or command is stored under."""
    return type(value).__name__


def decode_fact(kind: str, text: str) -> Fact:
    """Return the fact stored as ``kind``; KeyError for an unknown kind."""
    fact: Fact = decode(_class_of(kind), text)
    return fact


def decode_command(kind: str, text: str) -> Command:
    """Return the command stored as ``kind``; KeyError for an unknown kind."""
    command: Command = decode(_class_of(kind), text)
    return command


def _class_of(kind: str) -> Any:
    if kind not in _KINDS:
        raise KeyError(f"{kind!r} is not a kind of fact or command that this version knows.")
    return _KINDS[kind]
