"""Paid sessions with simulated stations of both versions: what a driver, a station and a bad network can do (bar 5)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.payment import Payment
from sessions.session import Origin, Session
from sessions.tables import Charging
from simulators.station import Quirks, SimClock, Station, StationConfig
from tests.databases import Databases
from tests.journeys.stage import PATIENCE_S, Stage, stage

SPEED = 120.0
VERSIONS = ("1.6", "2.0.1")
PASSWORD = "journey-station-password"


@pytest.fixture
def sqlite(databases: Databases) -> str:
    return databases.fresh("sqlite")


@contextlib.asynccontextmanager
async def playing(
    database_url: str,
    version: str,
    *,
    quirks: Quirks | None = None,
    station: dict[str, Any] | None = None,
    speed: float = SPEED,
    **settings: Any,
) -> AsyncIterator[tuple[Stage, Station]]:
    """The system at speed, with one booted station of ``version``."""
    anchor = datetime.now(UTC)
    timed: dict[str, Any] = {"clock_speed": speed, "clock_anchor": anchor, "password": PASSWORD}
    # Time runs fast, computers do not: nothing here may time out that a test does not want to see time out.
    patient = {"connection_timeout_s": 3600, "choice_timeout_s": 3600, "lost_end_s": 3600} | settings.pop(
        "sessions", {}
    )
    async with stage(database_url, sessions=patient, **(timed | settings)) as on:
        config = StationConfig(
            identity="CP",
            url=on.app.ocpp_url,
            version=version,  # type: ignore[arg-type]
            evses=settings.get("evses", 2),
            password=PASSWORD,
            max_power_w=11_000,
            clock=SimClock(speed, anchor),
            quirks=quirks or Quirks(),
            reconnect_first_s=0.05,
            **({"settings": {"ev_connection_timeout_s": str(patient["connection_timeout_s"])}} | (station or {})),
        )
        async with Station(config) as simulated:
            await asyncio.wait_for(simulated.booted.wait(), PATIENCE_S)
            yield on, simulated


async def charge(
    on: Stage, station: Station, evse: int = 1, wh: int = 300, serial: str = "", card: str = "visa-1"
) -> None:
    """Tap, plug in, get some energy."""
    await on.tap(serial or f"T{evse}", card)
    await on.session(lambda s: s.charging in {Charging.ACCEPTED, Charging.CHARGING})
    await station.plug(evse)
    await station.wait_for(lambda s: s.evse(evse).delivered_wh >= wh, timeout_s=PATIENCE_S)


async def captured(on: Stage, station: Station, evse: int = 1, which: int = -1, still_held: int = 0) -> Session:
    """The finished session; station, system, cloud and receipt agree (10 NOK/kWh: one øre per Wh)."""
    session = await on.session(lambda s: s.receipt_due, which)
    delivered_wh = int(station.evse(evse).delivered_wh)
    assert session.meter.energy_wh == session.captured_minor == delivered_wh
    payment = on.cloud.terminal(str(session.terminal_serial)).payment(session.authorisation.payment_ref)
    assert payment.history == ["authorized 30000", f"committed {delivered_wh}"]
    assert session.hold_number == 1
    assert await on.ledger_sum() == (0, still_held)
    assert delivered_wh in [receipt.charged_minor for receipt in await on.receipts()]
    return session


async def released(on: Stage, until: Callable[[Session], Any] = lambda s: s.payment is Payment.RELEASED) -> Session:
    """The session whose hold was given back; nothing was captured anywhere."""
    session = await on.session(until)
    payment = on.cloud.terminal(str(session.terminal_serial)).payment(session.authorisation.payment_ref)
    assert payment.history == ["authorized 30000", "cancelled"]
    assert await on.receipts() == []
    assert await on.ledger_sum() == (0, 0)
    return session


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_paid_session(database_url: str, version: str) -> None:
    async with playing(database_url, version) as (on, station):
        await charge(on, station)
        await station.unplug(1)
        session = await captured(on, station)
        assert session.flags == ()


async def test_two_sessions_at_once_on_two_connectors(database_url: str) -> None:
    async with playing(database_url, "1.6") as (on, station):
        await charge(on, station, 1, 100, card="visa-1")
        await charge(on, station, 2, 200, card="visa-2")
        first, second = await on.sessions()
        assert first.transaction_id != second.transaction_id
        await station.unplug(1)
        await captured(on, station, 1, 0, still_held=30_000)
        await station.unplug(2)
        await captured(on, station, 2, 1)
        assert [r.number for r in await on.receipts()] == ["1", "2"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_resent_transaction_message_changes_nothing(sqlite: str, version: str) -> None:
    async with playing(sqlite, version, quirks=Quirks(resend_transactions=True)) as (on, station):
        await charge(on, station)
        await station.unplug(1)
        session = await captured(on, station)
        await station.drained()
        assert len(await on.sessions()) == 1
        if version == "1.6":
            ids = {
                frame[2]["transactionId"]
                for direction, frame in station.frames
                if frame[0] == 3 and "transactionId" in (frame[2] or {}) and direction != "sent"
            }
            assert ids == {int(session.transaction_id or 0)}


@pytest.mark.parametrize("version", VERSIONS)
async def test_kwh_and_wh_give_the_same_bill(sqlite: str, version: str) -> None:
    async with playing(sqlite, version, quirks=Quirks(kwh=True, float_noise=True)) as (on, station):
        await charge(on, station)
        await station.unplug(1)
        session = await on.session(lambda s: s.receipt_due)
        # A register in kWh as a 32-bit float may fall a hair short: at most one Wh, in the driver's favour.
        assert 0 <= int(station.evse(1).delivered_wh) - session.captured_minor <= 1
        assert session.flags == ()


@pytest.mark.parametrize("omit", ["after_started", "always"])
async def test_ended_without_remote_start_id_still_captures(sqlite: str, omit: Any) -> None:
    async with playing(sqlite, "2.0.1", quirks=Quirks(omit_remote_start_id=omit, seq_no_zero=True)) as (on, station):
        await charge(on, station)
        await station.unplug(1)
        await captured(on, station)


@pytest.mark.parametrize("version", VERSIONS)
async def test_metering_without_transaction_id(sqlite: str, version: str) -> None:
    quirks = Quirks(omit_transaction_id=True, register_per_phase=True, small_message_ids=True)
    async with playing(sqlite, version, quirks=quirks) as (on, station):
        await charge(on, station)
        await station.unplug(1)
        await captured(on, station)


@pytest.mark.parametrize("version", VERSIONS)
async def test_never_plugged_in_is_released_within_the_connection_timeout(sqlite: str, version: str) -> None:
    async with playing(sqlite, version, sessions={"connection_timeout_s": 120}) as (on, station):
        await on.tap("T1")
        await on.session(lambda s: s.charging is Charging.ACCEPTED)
        session = await released(on)
        assert session.end_reason == "never plugged in" or session.charging is Charging.ENDED
        assert session.closed_at is not None
        # System time; the margin is for what passes in real time while the clock runs 120 times faster.
        assert 120 <= (session.closed_at - session.opened_at).total_seconds() <= 120 + 5 + 5 * SPEED
        assert station.evse(1).delivered_wh == 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_refused_start_is_released_within_a_second(sqlite: str, version: str) -> None:
    async with playing(sqlite, version, quirks=Quirks(refuse_remote_start=True), speed=1.0) as (on, _):
        await on.tap("T1")
        session = await released(on)
        assert session.charging is Charging.NOT_STARTED
        told = await on.recorded_at(session.session_id)
        assert (told["HoldReleased"] - told["StartRefused"]).total_seconds() < 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_start_that_is_never_answered_and_happens(sqlite: str, version: str) -> None:
    ocpp = {"call_timeout_s": 0.3}
    async with playing(sqlite, version, quirks=Quirks(never_answer_remote_start=True), ocpp=ocpp) as (on, station):
        await station.plug(1)
        await on.tap("T1")
        await station.wait_for(lambda s: s.evse(1).delivered_wh >= 200, timeout_s=PATIENCE_S)
        await station.unplug(1)
        await captured(on, station)


async def test_a_start_that_is_never_answered_and_never_happens(sqlite: str) -> None:
    quirks = Quirks(never_answer_remote_start=True, never_start=True)
    timeouts: dict[str, Any] = {"ocpp": {"call_timeout_s": 0.2}, "sessions": {"connection_timeout_s": 120}}
    async with playing(sqlite, "1.6", quirks=quirks, **timeouts) as (on, _):
        await on.tap("T1")
        await released(on)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_transaction_overtakes_the_answer(sqlite: str, version: str) -> None:
    quirks = Quirks(answer_after_event=True)
    async with playing(sqlite, version, quirks=quirks) as (on, station):
        await station.plug(1)
        await on.tap("T1")
        await station.wait_for(lambda s: s.evse(1).delivered_wh >= 200, timeout_s=PATIENCE_S)
        await station.unplug(1)
        await captured(on, station)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_same_card_stops_another_is_refused(sqlite: str, version: str) -> None:
    async with playing(sqlite, version) as (on, station):
        await charge(on, station, card="visa-1")
        await on.tap("T1", "visa-2")
        await on.armed("T1")
        assert len(await on.sessions()) == 1
        assert len(on.cloud.sessions("T1")) == 1
        await on.tap("T1", "visa-1")
        session = await captured(on, station)
        assert session.stop_by == "card"
        assert station.evse(1).transaction is None


@pytest.mark.parametrize("version", VERSIONS)
async def test_offline_mid_charge_and_replay(sqlite: str, version: str) -> None:
    async with playing(sqlite, version) as (on, station):
        await charge(on, station)
        await station.go_offline()
        await station.wait_for(lambda s: s.evse(1).delivered_wh >= 900, timeout_s=PATIENCE_S)
        await station.unplug(1)
        await station.go_online()
        await captured(on, station)


@pytest.mark.parametrize("version", VERSIONS)
async def test_reboot_mid_charge(sqlite: str, version: str) -> None:
    async with playing(sqlite, version) as (on, station):
        await charge(on, station)
        await station.reboot("soft")
        session = await on.session(lambda s: s.receipt_due)
        assert session.captured_minor == session.meter.energy_wh == int(station.evse(1).delivered_wh)


async def test_the_charge_stops_before_the_hold_is_passed(sqlite: str) -> None:
    tariffs = [{"tariff_id": "T", "hold": "12", "per_kwh": "10", "vat_percent": "25"}]
    async with playing(sqlite, "1.6", tariffs=tariffs, sessions={"offline_limit": False}, speed=40.0) as on_stage:
        # The stop goes out a sample before the limit: at full speed a busy machine would be late by more than that.
        on, station = on_stage
        await charge(on, station, wh=100)
        session = await on.session(lambda s: s.receipt_due)
        assert session.stop_by == "limit"
        assert 500 < session.captured_minor <= 1200
        assert session.captured_minor == int(station.evse(1).delivered_wh)
        assert session.written_off_minor == 0


async def test_the_profile_stops_an_offline_station_at_the_hold(sqlite: str) -> None:
    tariffs = [{"tariff_id": "T", "hold": "20", "per_kwh": "10", "vat_percent": "25"}]
    places = [{"evse_id": n, "tariff_id": "T", "max_power_w": 11_000} for n in (1, 2)]
    stations = [{"station_id": "CP", "password": PASSWORD, "evses": places}]
    async with playing(sqlite, "2.0.1", tariffs=tariffs, stations=stations) as (on, station):
        await charge(on, station, wh=100)
        await station.go_offline()
        await station.wait_for(
            lambda s: s.evse(1).delivered_wh >= 1900 and s.evse(1).power_w == 0, timeout_s=PATIENCE_S
        )
        await station.unplug(1)
        await station.go_online()
        session = await on.session(lambda s: s.receipt_due)
        assert session.captured_minor == int(station.evse(1).delivered_wh) <= 2000
        assert session.written_off_minor == 0


async def test_a_free_tariff_takes_no_hold(sqlite: str) -> None:
    tariffs = [{"tariff_id": "T", "hold": "0"}]
    async with playing(sqlite, "2.0.1", tariffs=tariffs) as (on, station):
        await charge(on, station)
        await station.unplug(1)
        session = await on.session(lambda s: s.closed_at is not None)
        assert session.payment is Payment.NONE
        assert session.cost is not None
        assert session.cost.total_minor == 0
        assert on.cloud.sessions("T1") == []
        answers = [frame[2] for _, frame in station.frames if frame[0] == 3 and "totalCost" in (frame[2] or {})]
        assert answers[-1]["totalCost"] == 0


# --- the terminal -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop", "duplicate", "delay", "before_answer"])
async def test_callbacks_may_do_what_they_like(sqlite: str, fault: str) -> None:
    async with playing(sqlite, "1.6") as (on, station):
        await on.armed("T1")
        on.cloud.fault("callback", fault, times=2, delay_s=0.5)
        await charge(on, station)
        await station.unplug(1)
        await captured(on, station)
        assert len(await on.sessions()) == 1


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("authorize", "apply_then_drop"),
        ("commit", "apply_then_drop"),
        ("commit", "drop_before"),
        ("commit", "error"),
        ("commit", "garbage"),
        ("get_session", "error"),
    ],
)
async def test_a_call_to_the_cloud_that_goes_wrong_once(sqlite: str, call: str, fault: str) -> None:
    async with playing(sqlite, "1.6") as (on, station):
        await on.armed("T1")
        on.cloud.fault(call, fault)
        if call == "get_session":
            on.cloud.fault("commit", "apply_then_drop")
        await charge(on, station)
        await station.unplug(1)
        await captured(on, station)


@pytest.mark.parametrize("fault", ["apply_then_drop", "drop_before", "error"])
async def test_a_release_that_goes_wrong_is_done_again(sqlite: str, fault: str) -> None:
    async with playing(sqlite, "1.6", quirks=Quirks(refuse_remote_start=True)) as (on, _):
        await on.armed("T1")
        on.cloud.fault("cancel", fault)
        await on.tap("T1")
        await released(on)


async def test_a_capture_that_fails_for_good_is_written_off(sqlite: str) -> None:
    async with playing(sqlite, "1.6") as (on, station):
        await on.armed("T1")
        on.cloud.fault("commit", "failed")
        await charge(on, station)
        await station.unplug(1)
        session = await on.session(lambda s: s.closed_at is not None)
        assert session.payment is Payment.WRITTEN_OFF
        assert session.written_off_minor == int(station.evse(1).delivered_wh)
        assert "capture-failed" in session.flags
        assert await on.receipts() == []
        assert await on.ledger_sum() == (0, 0)


async def test_a_declined_card(sqlite: str) -> None:
    async with playing(sqlite, "1.6") as (on, _):
        await on.armed("T1")
        on.cloud.decline_next("T1")
        await on.tap("T1")
        session = await on.session(lambda s: s.closed_at is not None)
        assert session.payment is Payment.DECLINED
        assert on.cloud.sessions("T1") == []
        await on.armed("T1")


async def test_a_tap_while_the_station_is_offline_takes_no_hold(sqlite: str) -> None:
    async with playing(sqlite, "1.6") as (on, station):
        await station.go_offline()
        await on.station_is("CP", connected=False)
        await on.tap("T1")
        await on.cloud.wait_for(lambda c: "offline" in c.terminal("T1").message, PATIENCE_S)
        await on.armed("T1")
        assert await on.sessions() == []
        assert on.cloud.sessions("T1") == []


async def test_an_apollo_asks_which_evse(sqlite: str) -> None:
    async with playing(sqlite, "2.0.1", families=("Apollo",), one_terminal=True) as (on, station):
        await on.tap("T1")
        await on.cloud.wait_for(lambda c: (c.screen("T1")["custom"] or {}).get("type") == "selection", PATIENCE_S)
        assert await on.cloud.choose("T1", "CP/2")
        session = await on.session(lambda s: s.charging is Charging.ACCEPTED)
        assert session.place is not None
        assert session.place.evse_id == 2
        await station.plug(2)
        await station.wait_for(lambda s: s.evse(2).delivered_wh >= 100, timeout_s=PATIENCE_S)
        # The QR of the receipt's page is on the screen while it charges.
        page = f"/r/{session.receipt_token}"
        await on.cloud.wait_for(lambda c: page in str(c.screen("T1")["custom"]), PATIENCE_S)
        await station.unplug(2)
        await captured(on, station, 2)


async def test_nobody_chooses(sqlite: str) -> None:
    soon = {"choice_timeout_s": 30}
    async with playing(sqlite, "2.0.1", families=("Apollo",), one_terminal=True, sessions=soon) as (on, _):
        await on.tap("T1")
        session = await on.session(lambda s: s.closed_at is not None)
        assert session.end_reason == "no EVSE chosen"
        assert on.cloud.sessions("T1") == []
        await on.armed("T1")


async def test_a_p66_for_two_takes_the_cable_plugged_in_last(sqlite: str) -> None:
    async with playing(sqlite, "1.6", one_terminal=True, sessions={"fresh_cable_s": 3600}) as (on, station):
        await on.tap("T1")  # no cable: it says so
        await on.cloud.wait_for(lambda c: c.terminal("T1").message != "", PATIENCE_S)
        await on.armed("T1")
        assert await on.sessions() == []
        await station.plug(2)
        await station.drained()
        await on.tap("T1")
        session = await on.session(lambda s: s.charging is Charging.CHARGING)
        assert session.place is not None
        assert session.place.evse_id == 2
        await station.wait_for(lambda s: s.evse(2).delivered_wh >= 100, timeout_s=PATIENCE_S)
        await station.unplug(2)
        await captured(on, station, 2)


# --- RFID -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_rfid(sqlite: str, version: str) -> None:
    tokens = [{"id_token": "04A1B2C3"}, {"id_token": "04DEAD00", "status": "Blocked"}]
    async with playing(sqlite, version, id_tokens=tokens) as (on, station):
        await station.plug(1)
        assert await station.present_token(1, "04DEAD00", "ISO14443") == "Blocked"
        assert await station.present_token(1, "04FFFFFF", "ISO14443") in {"Invalid", "Unknown"}
        assert await station.present_token(1, "04a1b2c3", "ISO14443") == "Accepted"
        await station.wait_for(lambda s: s.evse(1).delivered_wh >= 100, timeout_s=PATIENCE_S)
        await station.present_token(1, "04a1b2c3", "ISO14443")
        session = await on.session(lambda s: s.closed_at is not None)
        assert session.origin is Origin.RFID
        assert session.payment is Payment.NONE
        assert session.meter.energy_wh == int(station.evse(1).delivered_wh)
        assert await on.ledger_sum() == (0, 0)
