"""Where the providers' own records of payments are read: the port that reconciliation asks, and a bridge implements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from billing.reconciliation import ProviderTransaction


class ProviderUnavailableError(Exception):
    """The provider cannot be read, or not to its end; the text says why, and nothing that it sent."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some transactions. ``count``: rows that came, unreadable ones included; ``newest``: their last ingest time."""

    transactions: tuple[ProviderTransaction, ...]
    count: int
    newest: datetime | None


class ProviderReading(Protocol):
    """An open reading of one account."""

    async def page(self, since: datetime, offset: int) -> Page:
        """Complete transactions ingested from ``since`` on, the earliest first. Raises `ProviderUnavailableError`."""

    async def close(self) -> None:
        """Log out."""


class ProviderRecords(Protocol):
    """Where the providers' transactions are (`bridge.data_api`)."""

    async def open(self, account_id: str) -> ProviderReading | None:
        """Begin to read an account; None where no credentials for it are kept. Raises `ProviderUnavailableError`."""
