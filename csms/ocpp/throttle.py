"""Who has guessed too often has to wait: one station from one address, and one address whatever it tries.

By address too, because whoever knows a station's name must not be able to lock that station out from elsewhere.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")

_MOST = 10_000  # entries kept of each kind


@dataclass(slots=True)
class _Failures:
    count: float = 0.0
    at: float = 0.0  # of the last one
    until: float = 0.0


class Throttle:
    """Counts failures. ``failures`` in a row for one station from one address, or ``address_failures`` in a short time
    from one address, make it wait ``wait_s`` seconds; an address is forgiven one failure every ``forgive_s`` seconds.
    """

    def __init__(
        self,
        *,
        failures: int,
        address_failures: int,
        wait_s: float,
        forgive_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = failures
        self._most_by_address = address_failures
        self._wait_s = wait_s
        self._forgive_s = forgive_s
        self._clock = clock
        self._by_station: dict[tuple[str, str], _Failures] = {}
        self._by_address: dict[str, _Failures] = {}

    def must_wait(self, identity: str, address: str) -> bool:
        """Whether this station, from this address, may not try now."""
        now, network = self._clock(), _network(address)
        known = (self._by_station.get((identity, network)), self._by_address.get(network))
        return any(one is not None and now < one.until for one in known)

    def failed(self, identity: str, address: str) -> None:
        """A wrong password, or certificate, or name."""
        network = _network(address)
        one = _entry(self._by_station, (identity, network))
        one.count += 1
        self._weigh(one, self._most)
        self.strange(address)

    def strange(self, address: str) -> None:
        """Something that is nothing wrong by itself, and must not be done by the thousand."""
        now = self._clock()
        every = _entry(self._by_address, _network(address))
        every.count = max(0.0, every.count - (now - every.at) / self._forgive_s) + 1
        every.at = now
        self._weigh(every, self._most_by_address)

    def passed(self, identity: str, address: str) -> None:
        """The right one: what this station did before is forgiven. What its address did is not."""
        self._by_station.pop((identity, _network(address)), None)

    def _weigh(self, one: _Failures, most: int) -> None:
        if one.count > most - 1:  # a fraction may have been forgiven
            one.until = self._clock() + self._wait_s
            one.count = 0


def _entry(table: dict[K, _Failures], key: K) -> _Failures:
    found = table.get(key)
    if found is None:
        if len(table) >= _MOST:
            del table[next(iter(table))]  # the oldest
        found = table[key] = _Failures()
    return found


def _network(address: str) -> str:
    """What one guesser can hold: an IPv4 address, or a /64 of IPv6."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
