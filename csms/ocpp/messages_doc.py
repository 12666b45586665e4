"""`docs/messages.md`, made from the versions' tables: which message of which version does what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from csms.ocpp.message import Answer, Ask, Send
from csms.ocpp.versions import DIALECTS, Dialect

_HEAD = """\
# Messages

What each OCPP message means here, from the code: the first lines of the functions in `csms/ocpp/v16`, `v201` and `v21`.
`make docs` writes this page anew.

**From stations**: what is done with the message. *Tolerant* messages are taken although they break the schema, as long
as what is needed can be read; what was wrong becomes a conformance finding. **To stations**: everything an operator can
send with `POST /api/v1/stations/{station_id}/commands/{Action}`; the text says what the answer is used for.
"""


def text() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(line for dialect in DIALECTS.values() for line in _version(dialect))])


def _version(dialect: Dialect) -> list[str]:
    lines = [f"## {dialect.version.replace('ocpp', 'OCPP ')}", ""]
    tables: tuple[Mapping[str, Answer | Ask | Send], ...] = (dialect.answers, dialect.sends, dialect.asks)
    for block in sorted({message.block for table in tables for message in table.values()}):
        lines += [f"### {block}", ""]
        lines += _table("From stations", [m for m in dialect.answers.values() if m.block == block])
        lines += _table("From stations, not answered", [m for m in dialect.sends.values() if m.block == block])
        lines += _table("To stations", [m for m in dialect.asks.values() if m.block == block])
    return lines


def _table(title: str, found: Sequence[Answer | Ask | Send]) -> list[str]:
    if not found:
        return []
    rows = [f"| `{m.action}`{_mark(m)} | {m.does} |" for m in sorted(found, key=lambda m: m.action)]
    return [f"| {title} | |", "|---|---|", *rows, ""]


def _mark(message: Answer | Ask | Send) -> str:
    return " *tolerant*" if isinstance(message, Answer) and message.tolerant else ""


if __name__ == "__main__":
    print(text(), end="")
