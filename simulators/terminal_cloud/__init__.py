"""A terminals' cloud that pretends to be Payter's: its wire over real HTTP, and controls under ``/_sim``.

What Payter has not documented and this simulator assumes (diff against the real OpenAPI before going live):

- a wrong API key is answered 401 with the error body;
- ``GET …/card`` with nothing in time is answered 404;
- ``start`` on a reader that is not IDLE is answered 409, on an offline terminal 503;
- a declined ``authorize`` is 200 with state DECLINED and without a sessionId;
- a commit above the authorised amount is 200 with state FAILED;
- ``stop`` forgets a card that was read and leaves open sessions alone;
- a terminal that goes offline while armed keeps its state; a reboot returns it to IDLE and drops its custom screen;
- ``/ui`` accepts any screen type and shows it over the reader's own screen;
- callbacks are posted once, unsigned, never retried.
"""

from simulators.terminal_cloud.cloud import TerminalCloud, TerminalCloudConfig
from simulators.terminal_cloud.control import TerminalCloudControl
from simulators.terminal_cloud.model import FAMILIES, Card, Payment, Terminal

__all__ = [
    "FAMILIES",
    "Card",
    "Payment",
    "Terminal",
    "TerminalCloud",
    "TerminalCloudConfig",
    "TerminalCloudControl",
]
