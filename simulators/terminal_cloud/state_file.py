"""Terminals and payments in a JSON file, so that a simulator that is started again still knows them."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulators.terminal_cloud.model import DOMAIN, Card, Domain, Payment, Terminal, Transfer

if TYPE_CHECKING:
    from simulators.terminal_cloud.cloud import TerminalCloud

_TIMES = ("at", "committed_at", "ended_at")


class StateFile:
    """The file; written when something has changed, whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = ""

    def load(self, cloud: TerminalCloud) -> None:
        """Give ``cloud`` what was kept; nothing if there is no file. ValueError for a file that is no state."""
        if not self._path.exists():
            return
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            terminals = [_terminal(values) for values in kept["terminals"]]
            cloud.always_declined.update(kept["always_declined"])
            domains = [Domain(**values) for values in kept.get("domains", [])]  # earlier files knew one
            transfers = [_transfer(values) for values in kept.get("transfers", [])]
            cloud.domains[DOMAIN].webhook_url = str(kept.get("webhook_url", ""))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{self._path} is no state of a terminal cloud") from error
        cloud.terminals.update({terminal.serial: terminal for terminal in terminals})
        cloud.domains.update({domain.name: domain for domain in domains if domain.name != DOMAIN})
        cloud.transfers += transfers

    def save(self, cloud: TerminalCloud) -> None:
        """Keep the state of ``cloud``, for this user alone: it holds secrets. OSError if it cannot be written."""
        kept = {
            "terminals": [asdict(terminal) for terminal in cloud.terminals.values()],
            "always_declined": sorted(cloud.always_declined),
            "webhook_url": cloud.domains[DOMAIN].webhook_url,
            "domains": [asdict(domain) for domain in cloud.domains.values() if domain.name != DOMAIN],
            "transfers": [asdict(transfer) for transfer in cloud.transfers],
        }
        text = json.dumps(kept, default=datetime.isoformat, ensure_ascii=False, indent=1)
        if text == self._written:
            return
        new = self._path.with_name(self._path.name + ".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(self._path)
        self._written = text


def _terminal(values: dict[str, Any]) -> Terminal:
    payments = {name: _payment(payment) for name, payment in values["payments"].items()}
    return Terminal(**_known(Terminal, values) | {"card": _card(values["card"]), "payments": payments})


def _payment(values: dict[str, Any]) -> Payment:
    times = {name: datetime.fromisoformat(values[name]) for name in _TIMES if values[name] is not None}
    return Payment(**_known(Payment, values) | {"card": Card(**values["card"])} | times)


def _transfer(values: dict[str, Any]) -> Transfer:
    return Transfer(**values | {"at": datetime.fromisoformat(values["at"])})


def _card(values: dict[str, Any] | None) -> Card | None:
    return None if values is None else Card(**values)


def _known(kind: type[Terminal | Payment], values: dict[str, Any]) -> dict[str, Any]:
    return {each.name: values[each.name] for each in fields(kind) if each.name != "domain" or each.name in values}
