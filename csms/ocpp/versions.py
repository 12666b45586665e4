"""The versions: each is the sum of its functional blocks, and the few things it spells differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from csms.ocpp import v16, v21, v201
from csms.ocpp.frames import ALL_KINDS, FIRST_KINDS
from csms.ocpp.message import Answer, Ask, Messages, Send


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A version: what stations may say, what we may say, and its spelling of error codes (2.0.1's → its own).

    ``kinds``: its message types. ``sends``: what stations say without an answer.
    """

    version: str
    answers: Mapping[str, Answer]
    asks: Mapping[str, Ask]
    sends: Mapping[str, Send]
    error_codes: Mapping[str, str]
    kinds: frozenset[int]

    def error_code(self, code: str) -> str:
        """``code`` as this version spells it."""
        return self.error_codes.get(code, code)


def _dialect(
    version: str,
    blocks: tuple[Messages, ...],
    error_codes: Mapping[str, str] | None = None,
    kinds: frozenset[int] = FIRST_KINDS,
) -> Dialect:
    answers: dict[str, Answer] = {}
    asks: dict[str, Ask] = {}
    sends: dict[str, Send] = {}
    for block in blocks:  # a later version's block overrides what it says anew
        answers |= block.answers
        asks |= block.asks
        sends |= block.sends
    return Dialect(version=version, answers=answers, asks=asks, sends=sends, error_codes=error_codes or {}, kinds=kinds)


#: The newest first: a station that offers several gets the newest that both speak.
DIALECTS: dict[str, Dialect] = {
    "ocpp2.1": _dialect("ocpp2.1", (*v201.BLOCKS, *v21.BLOCKS), kinds=ALL_KINDS),
    "ocpp2.0.1": _dialect("ocpp2.0.1", v201.BLOCKS),
    "ocpp1.6": _dialect("ocpp1.6", v16.BLOCKS, v16.ERROR_CODES),
}
