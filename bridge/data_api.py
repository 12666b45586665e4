"""MyPayter's Data API: an account's transactions by the time at which they were ingested. Read only.

[C] what a public client was seen to send, [A] assumed. A token is good for a while; on 401 a new one is asked for,
once. Rows without an id or an ingest time are counted and left out: nothing could be said of them. Nothing of a card is
taken over, not even its masked number, and nothing that was answered is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from billing.money import exponent
from billing.pan import redact_pans
from billing.reconciliation import COMMITTED, PAYMENT, ProviderTransaction
from bridge.payter_objects import amount_minor, parse_time
from sessions.provider_records import Page, ProviderUnavailableError

log = logging.getLogger(__name__)

ANSWER_LIMIT = 32 * 1024 * 1024  # bytes of one page
CONNECT_S, READ_S = 5.0, 60.0
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataApiCredentials:
    """How one account's MyPayter domain is read."""

    base_url: str
    username: str
    password: str = field(repr=False)
    domain: str


CredentialsFor = Callable[[str], Awaitable[DataApiCredentials | None]]


class DataApi:
    """`sessions.provider_records.ProviderRecords` over HTTP. ``credentials_for``: of an account, or None."""

    def __init__(self, credentials_for: CredentialsFor, *, page_rows: int = 500, read_s: float = READ_S) -> None:
        self._credentials_for = credentials_for
        self._page_rows = page_rows
        self._read_s = read_s

    async def open(self, account_id: str) -> DataApiReading | None:
        """Log in; None where no credentials for the account are kept. Raises `ProviderUnavailableError`."""
        credentials = await self._credentials_for(account_id)
        if credentials is None:
            return None
        opened = DataApiReading(credentials, self._page_rows, self._read_s)
        try:
            await opened.log_in()
        except BaseException:
            await opened.close()
            raise
        return opened


class DataApiReading:
    """One login, and the pages read with it."""

    def __init__(self, credentials: DataApiCredentials, page_rows: int, read_s: float) -> None:
        self._credentials = credentials
        self._base = credentials.base_url.rstrip("/")
        self._page_rows = page_rows
        self._read_s = read_s
        self._token = ""
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def log_in(self) -> None:
        """POST Auth. Raises `ProviderUnavailableError`."""
        c = self._credentials
        asked = {"username": c.username, "password": c.password, "domain": c.domain}
        status, body = await self._exchange("POST", "/Auth", asked)
        if status in (400, 401, 403):
            raise ProviderUnavailableError("it refuses the user name, password or domain")
        token = body.get("tokenId") if isinstance(body, dict) else None
        if status != 200 or not isinstance(token, str) or not re.fullmatch(r"[\x21\x23-\x7e]{1,4096}", token):
            raise ProviderUnavailableError(f"its login answered {status}, and no token")
        self._token = token

    async def page(self, since: datetime, offset: int) -> Page:
        """POST Data: complete transactions ingested from ``since`` on. Raises `ProviderUnavailableError`."""
        asked = {
            "index": "Transactions",
            "query": "",
            "maxResults": self._page_rows,
            "offset": offset,
            "sorts": [{"field": "ingestTime", "asc": True}],
            "filters": [
                {"type": "term", "field": "complete", "matches": "true"},
                # Whole milliseconds, rounded down: a row of the same instant comes again rather than never.
                {"type": "range", "field": "ingestTime", "from": int(since.timestamp() * 1000)},
            ],
            "aggregations": [],
        }
        status, body = await self._exchange("POST", "/Data", asked)
        if status == 401:  # the token ran out
            await self.log_in()
            status, body = await self._exchange("POST", "/Data", asked)
        documents = body.get("documents") if isinstance(body, dict) else None
        if status != 200 or not isinstance(documents, list):
            raise ProviderUnavailableError(f"a page was answered {status}, and no rows")
        if len(documents) > self._page_rows:
            raise ProviderUnavailableError("a page has more rows than were asked for")
        read = [parse_transaction(document) for document in documents]
        rows = tuple(row for row in read if row is not None)
        if len(rows) < len(read):
            log.warning("%d rows of the Data API could not be read", len(read) - len(rows))
        if documents and not rows:
            raise ProviderUnavailableError("a page has no row that can be read")
        return Page(rows, len(documents), max((row.ingested_at for row in rows), default=None))

    async def close(self) -> None:
        """DELETE the token, if the service will; then let go of the connections."""
        try:
            if self._token:
                await self._exchange("DELETE", f"/Auth/{quote(self._token, safe='')}", None)
        except ProviderUnavailableError:
            pass  # it runs out by itself
        finally:
            self._token = ""
            await self._http.close()

    async def _exchange(self, method: str, path: str, asked: Any) -> tuple[int, Any]:
        """Status and JSON of the answer, None where there is none that can be read."""
        headers = {"Accept": "application/json"}
        if asked is not None:
            headers["Content-Type"] = "application/json"
        if self._token and path == "/Data":
            headers["Authorization"] = f'CURO-TOKEN token="{self._token}"'
        try:
            async with asyncio.timeout(CONNECT_S + self._read_s):
                async with self._http.request(
                    method,
                    URL(self._base + path, encoded=True),
                    data=None if asked is None else orjson.dumps(asked),
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=self._read_s),
                    allow_redirects=False,  # the password is for this host alone
                ) as answer:
                    raw = await _limited(answer)
                    status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ProviderUnavailableError(f"it did not answer ({type(error).__name__})") from None
        try:
            return status, orjson.loads(raw) if raw.strip() else None
        except orjson.JSONDecodeError:
            return status, None


async def _limited(answer: aiohttp.ClientResponse) -> bytes:
    raw = bytearray()
    async for chunk in answer.content.iter_chunked(65536):
        raw += chunk
        if len(raw) > ANSWER_LIMIT:
            raise ValueError("answer too long")
    return bytes(raw)


def parse_transaction(document: Any) -> ProviderTransaction | None:
    """A row; None where it has no id, ingest time or currency that can be believed."""
    if not isinstance(document, dict):
        return None
    name, currency = document.get("id"), document.get("currency")
    ingested_at = parse_time(document.get("ingestTime"))
    if not (isinstance(name, str) and _WORD.fullmatch(name) and isinstance(currency, str)) or ingested_at is None:
        return None
    try:
        exponent(currency)
    except ValueError:
        return None
    state = _word(document.get("state"), 20).upper()
    kind = _word(document.get("type"), 20).upper()
    return ProviderTransaction(
        transaction_id=name,
        state=COMMITTED if state == "COMMITED" else state,
        currency=currency,
        terminal_serial=_word(document.get("serialNumber"), 40),
        kind=kind or PAYMENT,
        authorised_minor=amount_minor(document.get("authorizedAmount")),
        committed_minor=amount_minor(document.get("committedAmount")),
        at=parse_time(document.get("authTimestamp")) or parse_time(document.get("txnTimestamp")),
        committed_at=parse_time(document.get("commitTimestamp")),
        ingested_at=ingested_at,
    )


def _word(value: Any, limit: int) -> str:
    text = value.strip()[:limit] if isinstance(value, str) else ""
    return redact_pans(text) if _WORD.fullmatch(text) else ""
