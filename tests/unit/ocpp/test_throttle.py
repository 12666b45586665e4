"""Who has to wait after how many failures, and who has not."""

from __future__ import annotations

import pytest

from csms.ocpp.throttle import _MOST, Throttle


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="time")
def stopped() -> Time:
    return Time()


@pytest.fixture(name="throttle")
def made(time: Time) -> Throttle:
    return Throttle(failures=3, address_failures=10, wait_s=30, forgive_s=5, clock=time)


def test_a_station_waits_after_its_failures_and_only_at_its_address(throttle: Throttle, time: Time) -> None:
    for _ in range(3):
        assert not throttle.must_wait("CS1", "192.0.2.1")
        throttle.failed("CS1", "192.0.2.1")
    assert throttle.must_wait("CS1", "192.0.2.1")
    assert not throttle.must_wait("CS1", "192.0.2.2")
    assert not throttle.must_wait("CS2", "192.0.2.1")
    time.now += 30
    assert not throttle.must_wait("CS1", "192.0.2.1")


def test_a_right_password_forgives_the_station(throttle: Throttle) -> None:
    for _ in range(2):
        throttle.failed("CS1", "192.0.2.1")
    throttle.passed("CS1", "192.0.2.1")
    throttle.failed("CS1", "192.0.2.1")
    assert not throttle.must_wait("CS1", "192.0.2.1")


def test_a_right_password_does_not_forgive_the_address(throttle: Throttle) -> None:
    """Whoever has one station's password could go on guessing at the others."""
    for n in range(10):
        throttle.failed(f"CS{n}", "192.0.2.1")
        throttle.passed("MINE", "192.0.2.1")
    assert throttle.must_wait("MINE", "192.0.2.1")
    assert not throttle.must_wait("MINE", "192.0.2.2")


def test_one_failing_station_does_not_shut_out_its_site(throttle: Throttle, time: Time) -> None:
    """It tries every ten seconds for a day, behind the address of all the others."""
    for _ in range(8640):
        if not throttle.must_wait("BROKEN", "192.0.2.1"):
            throttle.failed("BROKEN", "192.0.2.1")
        assert not throttle.must_wait("CS1", "192.0.2.1")
        time.now += 10


def test_ipv6_is_counted_by_network(throttle: Throttle) -> None:
    for n in range(3):
        throttle.failed("CS1", f"2001:db8::{n}")
    assert throttle.must_wait("CS1", "2001:db8::ffff")
    assert not throttle.must_wait("CS1", "2001:db8:0:1::1")
    for _ in range(3):
        throttle.failed("CS2", "::ffff:192.0.2.9")
    assert throttle.must_wait("CS2", "192.0.2.9")
    assert not throttle.must_wait("CS2", "::ffff:192.0.2.8")


def test_memory_is_bounded(throttle: Throttle) -> None:
    for n in range(_MOST + 50):
        throttle.failed(f"CS{n}", f"10.{n // 65536}.{n // 256 % 256}.{n % 256}")
    assert len(throttle._by_station) == len(throttle._by_address) == _MOST
