"""No terminals' cloud: what the doers are given when none is configured."""

from __future__ import annotations

from sessions.commands import AuthoriseHold, CaptureHold, LookUpHold, ReleaseHold, ShowOnTerminal, ShowSelection
from sessions.ports import CaptureOutcome, HoldOutcome, ReleaseOutcome, Unknown

_WHY = "no terminal cloud is configured (settings: payter)"


class NoTerminals:
    """A `sessions.ports.TerminalPort` that knows nothing: holds of earlier sessions stay unknown until one is back."""

    async def authorise(self, command: AuthoriseHold, *, attempt: int, known_refs: frozenset[str]) -> HoldOutcome:
        """Unknown."""
        return Unknown(_WHY)

    async def look_up(self, command: LookUpHold, *, known_refs: frozenset[str]) -> HoldOutcome:
        """Unknown."""
        return Unknown(_WHY)

    async def capture(self, command: CaptureHold, *, attempt: int) -> CaptureOutcome:
        """Unknown: tried again on schedule."""
        return Unknown(_WHY)

    async def release(self, command: ReleaseHold, *, attempt: int) -> ReleaseOutcome:
        """Unknown: tried again on schedule."""
        return Unknown(_WHY)

    async def show(self, command: ShowOnTerminal) -> bool:
        """Nothing to show it on."""
        return False

    async def select(self, command: ShowSelection) -> bool:
        """Nothing to show it on."""
        return False
