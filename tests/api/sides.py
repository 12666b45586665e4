"""The sides of a world with two owners, in tests of isolation: what is whose, and what must not be shown to whom."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.bench import Bench


@dataclass
class Side:
    """One owner's part of the world. ``name``: in capitals, part of all that is named.

    ``ids``: an example of each path parameter, and ``serial``. ``marks``: texts that the other sides never read; not
    the platform's name, which stands on the receipts of what it sells.
    """

    name: str
    company: str
    iban: str
    ids: dict[str, Any] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)
    token: str = ""

    def mark(self, name: str, value: Any) -> None:
        """Enter something of this side's, by the name it has in paths."""
        self.ids[name] = value
        self.marks.add(str(value))


@dataclass
class World:
    """All sides. ``bench.token`` is an administrator's."""

    bench: Bench
    north: Side
    south: Side
    platform: Side

    @property
    def sides(self) -> tuple[Side, ...]:
        return self.north, self.south, self.platform

    def others(self, side: Side) -> set[str]:
        """What ``side`` must never be shown."""
        return set().union(*(other.marks for other in self.sides if other is not side))


async def send(bench: Bench, path: str, content: bytes, *, token: str = "", status: int = 201) -> Any:
    """Send a file over the API, as whoever has this token; the administrator without one."""
    url = f"http://127.0.0.1:{bench.app.http_port}/api/v1{path}"
    headers = {"Authorization": f"Bearer {token or bench.token}"}
    async with bench.http.post(url, data=io.BytesIO(content), headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)
