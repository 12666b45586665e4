"""Two clouds, the platform's and an owner's, and where the owner's account is looked up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sessions.directory import ProcessorAccess
from tests.unit.bridge.scripted_cloud import ScriptedCloud

OWN = "acc_0123456789ab"
OWN_KEY = "own-key-0123456789"


@dataclass
class Accounts:
    """Implements `ProcessorDirectory`; an account that is not in it cannot be opened."""

    known: dict[str, ProcessorAccess] = field(default_factory=dict)

    def enter(self, cloud: ScriptedCloud, api_key: str = OWN_KEY) -> None:
        self.known[OWN] = ProcessorAccess(account_id=OWN, base_url=cloud.base_url, api_key=api_key)

    def rotate(self, api_key: str) -> None:
        self.known[OWN] = replace(self.known[OWN], api_key=api_key)

    async def access(self, account_id: str) -> ProcessorAccess | None:
        return self.known.get(account_id)
