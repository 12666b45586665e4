"""Calls of the API by the platform's people and by the users of two site owners."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from aiohttp import FormData

from csms.web.api.access import Role, create_token
from tests.conformance.bench import Bench
from tests.estate import ANNE, BERIT, found


class Estate:
    """A bench with two owners; calls as the platform's administrator, or as an owner's user."""

    def __init__(self, bench: Bench, tokens: dict[str, str]) -> None:
        self.bench = bench
        self.engine = bench.app.engine
        self._tokens = tokens

    async def call(
        self, who: str, method: str, path: str, body: Any = None, *, status: int = 200, tag: str | None = None
    ) -> Any:
        self.bench.token = self._tokens[who]
        headers = {"If-Match": tag} if tag else None
        return await self.bench.api(method, path, body, status=status, headers=headers)

    async def send(self, who: str, path: str, content: bytes, *, status: int = 201, form: bool = False) -> Any:
        """Send a file."""
        data: Any = io.BytesIO(content)
        if form:
            data = FormData(quote_fields=False)
            data.add_field("file", content, filename="../list 1.csv", content_type="text/csv")
        url = f"http://127.0.0.1:{self.bench.app.http_port}/api/v1{path}"
        headers = {"Authorization": f"Bearer {self._tokens[who]}"}
        async with self.bench.http.post(url, data=data, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json(content_type=None)


async def two_owners(bench: Bench) -> Estate:
    """Anne's and Berit's, with a user each, and one of Anne's who only reads."""
    await found(bench.app.engine)
    tokens = {"platform": bench.token}
    for who, owner_id, role in (
        ("anne", ANNE, Role.OPERATOR),
        ("berit", BERIT, Role.OPERATOR),
        ("reader", ANNE, Role.READ_ONLY),
    ):
        _, tokens[who] = await create_token(bench.app.engine, who, role, datetime.now(UTC), owner_id=owner_id)
    return Estate(bench, tokens)
