"""What an id token may do: its standing, its group, and whether it may charge twice at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing.way import Way
from sessions.facts import TokenStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """An id token as kept. ``group_id``: who is in the same one may stop its charges (1.6 parentIdTag).

    ``master_pass``: may stop any charge, and start none (2.0.1 C16). ``concurrent``: may charge at two EVSEs at once.
    ``way``: who pays for its charges.
    """

    status: TokenStatus
    expires_at: datetime | None = None
    group_id: str | None = None
    master_pass: bool = False
    concurrent: bool = True
    way: Way = Way.RFID

    def standing(self, now: datetime) -> TokenStatus:
        """Its status at ``now``: a good one expires by itself."""
        if self.status is TokenStatus.ACCEPTED and self.expires_at is not None and self.expires_at <= now:
            return TokenStatus.EXPIRED
        return self.status

    def starts(self, now: datetime, *, elsewhere: bool) -> TokenStatus:
        """Its standing for a start. ``elsewhere``: a charge with it runs at another EVSE."""
        status = self.standing(now)
        if status is TokenStatus.ACCEPTED and self.master_pass:
            return TokenStatus.INVALID
        if status is TokenStatus.ACCEPTED and elsewhere and not self.concurrent:
            return TokenStatus.CONCURRENT_TX
        return status


#: A token nobody has written down.
UNKNOWN = TokenRecord(status=TokenStatus.UNKNOWN)
#: A one-time token of ours whose charge is on.
ONE_TIME = TokenRecord(status=TokenStatus.ACCEPTED)
