"""Real input (bar 2): what charging-station programs of others sent, with the bills it must lead to, as numbers.

The price is 10.00 NOK/kWh incl. 25 % VAT: one øre per Wh.
"""

from __future__ import annotations

import pytest

from billing.payment import Payment
from sessions.clock import ManualClock
from sessions.tables import Charging
from tests.journeys.replay import Replay, beginning, lines
from tests.journeys.stage import stage

CONNECTION_TIMEOUT_S = 60

#: file → (identity, energies in Wh = øre captured, taps refused at a faulted EVSE, starts never plugged in, findings).
FILES: dict[str, tuple[str, list[int], int, int, set[str]]] = {
    "everest-1.6.jsonl": ("EV16", [110, 28], 1, 1, set()),
    # 137.5 Wh − 110 Wh: half a watt-hour is not billed.
    "everest-2.0.1.jsonl": ("EV201", [110, 27], 1, 1, set()),
    "tinkerforge-1.6.jsonl": ("TF16", [193], 0, 0, set()),
    "solidstudio-1.6.jsonl": ("VCP16", [422], 0, 0, set()),
    "solidstudio-2.0.1.jsonl": ("VCP201", [422], 0, 0, set()),
    # The end says 0.42454 without a unit, which by default is Wh: less than the register already was (300.13 Wh).
    "solidstudio-2.1.jsonl": ("VCP21", [300], 0, 0, set()),
    "shiv3-2.0.1.jsonl": ("SH201", [1167], 0, 0, set()),
}

#: What the meter must have noticed on the way, without any of it costing somebody money.
NOTICED = {
    "tinkerforge-1.6.jsonl": {"register-per-phase"},
    "solidstudio-2.0.1.jsonl": {"unit-mislabelled"},
}

#: What an operator is asked to look at: the file contradicts itself, and what it does not prove is not charged.
FLAGS = {"solidstudio-2.1.jsonl": ("energy-unproven",)}


@pytest.mark.parametrize("name", FILES)
async def test_replay(name: str, database_url: str) -> None:
    identity, energies, refused, never_plugged, _ = FILES[name]
    recorded = lines(name)
    clock = ManualClock(beginning(recorded))
    timeouts = {"connection_timeout_s": CONNECTION_TIMEOUT_S}
    async with stage(database_url, station_id=identity, clock=clock, sessions=timeouts) as on:
        replay = Replay(on, recorded, clock)
        await replay.play()
        await clock.advance(CONNECTION_TIMEOUT_S + 6)
        for which in range(len(energies) + never_plugged):
            await on.session(lambda s: s.closed_at is not None, which)
        sessions = await on.sessions()

        charged = [s for s in sessions if s.charging is Charging.ENDED]
        assert [s.meter.energy_wh for s in charged] == energies
        assert [s.captured_minor for s in charged] == energies
        assert [s.payment for s in charged] == [Payment.CAPTURED] * len(energies)
        assert [s.flags for s in charged] == [FLAGS.get(name, ())] * len(energies)
        released = [s for s in sessions if s.charging is Charging.NOT_STARTED]
        assert [s.payment for s in released] == [Payment.RELEASED] * never_plugged
        assert len(sessions) == len(energies) + never_plugged
        assert replay.refused_taps == refused

        for session in charged:
            payment = on.cloud.terminal(str(session.terminal_serial)).payment(session.authorisation.payment_ref)
            assert payment.history == ["authorized 30000", f"committed {session.captured_minor}"]
        assert [r.charged_minor for r in await on.receipts()] == energies
        assert [r.number for r in await on.receipts()] == [str(n + 1) for n in range(len(energies))]
        assert await on.ledger_sum() == (0, 0)
        assert NOTICED.get(name, set()) <= {finding for s in charged for finding in s.meter.findings}


async def test_the_signed_record_is_kept_verbatim(database_url: str) -> None:
    recorded = lines("solidstudio-1.6.jsonl")
    stop = next(line["frame"][3] for line in recorded if line.get("frame", [0, 0, 0])[2] == "StopTransaction")
    signed = stop["transactionData"][0]["sampledValue"][0]["value"]
    clock = ManualClock(beginning(recorded))
    async with stage(database_url, station_id="VCP16", clock=clock) as on:
        await Replay(on, recorded, clock).play()
        await on.session(lambda s: s.closed_at is not None)
        (receipt,) = await on.receipts()
        assert receipt.signed_meter_data == (signed,)
