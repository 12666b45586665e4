"""DataTransfer (1.6 §4.3, 2.0.1 P02): which vendors' messages are known, and what a station is told of the others."""

from __future__ import annotations

#: OCA, California pricing requirements: these messages go to stations only.
COST_MESSAGES = "org.openchargealliance.costmsg"
_KNOWN = {COST_MESSAGES: frozenset({"SetUserPrice", "RunningCost", "FinalCost", "ConnectorUnplugged"})}


def status_of(vendor_id: str, message_id: str) -> str:
    """How a station's DataTransfer is answered: it is kept, and nothing is done."""
    if vendor_id not in _KNOWN:
        return "UnknownVendorId"
    return "Rejected" if message_id in _KNOWN[vendor_id] else "UnknownMessageId"
