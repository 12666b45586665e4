"""Ports for servers that must come back on the one they had: after a restart, say, or an outage.

A port that the system gives (port 0) may go to any other process once it is closed. These lie below the ports that are
given, and each of the tests' processes has its own.
"""

from __future__ import annotations

import itertools
import os
import socket

FIRST = 20_000
EACH = 500  # a process's
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 24
_offsets = itertools.cycle(range(EACH))


def free_port() -> int:
    """A port of 127.0.0.1 that is free now, and that nobody is given before this process has gone round."""
    for offset in itertools.islice(_offsets, EACH):
        port = FIRST + _WORKER * EACH + offset
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:  # somebody else's
            continue
    raise OSError(f"no port is free of {EACH} from {FIRST + _WORKER * EACH}")
