"""A terminals' cloud that pretends to be Payter's: its wire over real HTTP, and controls under ``/_sim``.

What Payter has not documented and this simulator assumes (diff against the real OpenAPI before going live):

- a wrong API key is answered 401 with the error body;
- a terminal is "not found" (404) under every key but its domain's, until it has been moved there; a move reboots it;
- a payment stays in the domain in which it was authorised: there it can be looked up, committed and cancelled also when
  its terminal has left; each domain has a webhook of its own;
- ``GET …/card`` with nothing in time is answered 404;
- ``start`` on a reader that is not IDLE is answered 409, on an offline terminal 503;
- a declined ``authorize`` is 200 with state DECLINED and without a sessionId;
- a commit above the authorised amount is 200 with state FAILED;
- ``stop`` forgets a card that was read and leaves open sessions alone;
- a ``stop`` or ``/ui`` at an offline terminal is answered 503, ``/ui`` at a terminal without a touch screen 400;
- ``GET …/card`` waits for 55 real seconds at most; an ``authorize`` without a card is answered 409;
- any card can be authorised, also RFID and QR, whose ``cardId`` is the raw credential and whose ``maskedPan`` is empty;
- a commit of 0 is FAILED too; a FAILED payment cannot be committed or cancelled any more (409);
- a hold that lapses is CANCELLED; the issuer does that also while the terminal is offline;
- ``uiMessage`` stays until the next one, whatever ``uiMessageTimeout`` says; ``supportedPaymentMethods`` is ignored;
- a terminal that goes offline while armed keeps its state; a reboot returns it to IDLE and drops its custom screen;
- ``/ui`` accepts any screen type and shows it over the reader's own screen;
- callbacks are posted once, unsigned, never retried; a Session notification goes to ``start``'s ``callbackUrl``, and
  only when the fault ``before_answer`` asks for it; the terminal-state callback is posted on
  online, offline and reboot;
- ``PUT /webhook`` takes ``{"url": …}``, ``DELETE`` forgets it; both answer as ``GET`` does;
- the Data API knows the filters ``term`` and ``range`` and an empty ``query`` alone; ``ingestTime`` is cut up to whole
  seconds; a payment has one row, replaced under a later ``ingestTime`` when it has ended; any credentials log in to a
  domain without a user. The values of ``disposition``, ``type`` and ``paymentType`` are made up.
"""

from simulators.terminal_cloud.cloud import TerminalCloud, TerminalCloudConfig
from simulators.terminal_cloud.control import TerminalCloudControl
from simulators.terminal_cloud.model import DOMAIN, FAMILIES, Card, Domain, Payment, Terminal, Transfer

__all__ = [
    "DOMAIN",
    "FAMILIES",
    "Card",
    "Domain",
    "Payment",
    "Terminal",
    "TerminalCloud",
    "TerminalCloudConfig",
    "TerminalCloudControl",
    "Transfer",
]
