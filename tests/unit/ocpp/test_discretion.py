"""The log of `websockets` passes through `csms.ocpp.server._Discreet`."""

from __future__ import annotations

import logging

import pytest

from csms.ocpp.server import _Discreet


def test_a_broken_handshake_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    discreet = _Discreet(logging.getLogger("tapvolt.websockets"))
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="tapvolt.websockets")
    try:
        raise ValueError("invalid HTTP header value: Basic secret")
    except ValueError:
        discreet.error("opening handshake failed", exc_info=True)
        discreet.debug("< Authorization: Basic secret")
        discreet.info("< Authorization: Basic secret")
    assert not discreet.isEnabledFor(logging.DEBUG)
    assert [record.getMessage() for record in caplog.records] == ["opening handshake failed"]
    assert "secret" not in caplog.text


def test_a_handler_that_failed_is_told_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    discreet = _Discreet(logging.getLogger("tapvolt.websockets"))
    try:
        raise OSError("the disk is full")
    except OSError:
        discreet.error("connection handler failed", exc_info=True)
    assert "the disk is full" in caplog.text
