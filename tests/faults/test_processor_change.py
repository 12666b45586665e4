"""Kill the server at every commit and every call to the terminals' clouds while a terminal changes its processor, from
the change to the next paid session; find every time: one hold, in the owner's domain and the owner's book alone.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from sqlalchemy import select

from csms.terminals import domain_transfers
from csms.terminals.processors import Confirmation, Credentials, Requirement, confirm, seal
from csms.terminals.vault import Vault
from csms.web.api.access import Role, create_token
from sessions.codec import decode_session
from simulators.station import Station
from simulators.terminal_cloud import TerminalCloud
from storage import owner_schema as o
from storage import schema as t
from storage.engine import create_engine, reading, writing
from tests.databases import Databases
from tests.faults.test_crash import PATIENCE_S, SERIAL, Act, until
from tests.scale import KINDS
from tests.two_domains import (
    OWN_DOMAIN,
    OWN_KEY,
    OWNER,
    VAULT_KEY,
    enter_owner,
    give,
    wanted_account,
)

ACCOUNT = "acc_0123456789ab"
SHARDS = 2


class Switch(Act):
    """A terminal is live at the platform's processor, is given its owner's own, and takes a card."""

    more: ClassVar[dict[str, Any]] = {"vault": {"keys": [VAULT_KEY]}, "processors": {"loopback": True}}
    log: Path | None = None
    before = 0  # points that were passed when the change was made

    async def _drive(self, cloud: TerminalCloud, station: Station) -> None:
        await until(lambda: cloud.terminal(SERIAL).state == "READING", "the reader is armed at the platform's")
        token = await self._prepare(cloud)
        if self.log is not None:
            self.before = len(self.log.read_text().split())
        await self._choose(token)
        own = "the reader is armed at the owner's"
        await until(lambda: cloud.terminal(SERIAL).state == "READING", own)
        await super()._drive(cloud, station)

    async def _prepare(self, cloud: TerminalCloud) -> str:
        """All that the change needs: an owner, their account and its requirements, and the terminal in their domain."""
        cloud.add_domain(OWN_DOMAIN, OWN_KEY)
        await cloud.move_terminal(SERIAL, OWN_DOMAIN, "TT-1")
        engine, now = create_engine(self.database_url), datetime.now(UTC)
        try:
            await enter_owner(engine, now)
            await give(engine, OWNER, SERIAL, stations=("CP",))
            sealed = seal(Vault([VAULT_KEY]), ACCOUNT, Credentials(api_key=OWN_KEY))
            account = wanted_account(cloud) | {"account_id": ACCOUNT, "credentials": sealed, "created_at": now}
            async with writing(engine) as connection:
                await connection.execute(o.processor_accounts.insert().values(account))
                for requirement in Requirement:
                    serial = SERIAL if requirement is Requirement.ROUTING else ""
                    said = Confirmation(requirement=requirement, serial=serial, met=True, confirmed_by="test")
                    await confirm(connection, ACCOUNT, said, now)
                await domain_transfers.found_in(connection, SERIAL, OWN_DOMAIN)
            return (await create_token(engine, "test", Role.ADMIN, now - timedelta(days=1)))[1]
        finally:
            await engine.dispose()

    async def _choose(self, token: str) -> None:
        """Ask until it is answered: the server may die on the way."""
        url = f"http://127.0.0.1:{self.made['http']['port']}/api/v1/terminals/{SERIAL}/processor"
        body, headers = {"account_id": ACCOUNT, "reason": "a test"}, {"Authorization": f"Bearer {token}"}
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                async with (
                    aiohttp.ClientSession(headers=headers) as http,
                    http.put(url, json=body) as response,
                ):
                    assert response.status == 200, await response.text()
                    return
            except aiohttp.ClientError:
                assert time.monotonic() < give_up, "the server does not answer"

    async def _check(self, cloud: TerminalCloud, station: Station) -> None:
        [payment] = cloud.sessions(SERIAL)
        assert payment.domain == OWN_DOMAIN
        engine = create_engine(self.database_url)
        try:
            async with reading(engine) as connection:
                states = (
                    await connection.execute(select(t.sessions.c.state).order_by(t.sessions.c.opened_at))
                ).scalars()
                held = [s for s in map(decode_session, states) if s.authorisation.payment_ref]
                books = set((await connection.execute(select(t.ledger.c.book))).scalars())
                series = [
                    tuple(r) for r in await connection.execute(select(t.receipts.c.issuer_id, t.receipts.c.number))
                ]
                changes = (await connection.execute(select(o.processor_changes.c.state))).scalars().all()
                arms: list[Any] = list(await connection.execute(select(t.arms).order_by(t.arms.c.opened_at)))
        finally:
            await engine.dispose()
        [session] = held
        assert (session.account_id, session.hold_number) == (ACCOUNT, 1)
        assert books == {f"owner:{OWNER}"}
        if session.captured_minor:
            assert session.meter.energy_wh == int(station.evse(1).delivered_wh)
            assert series == [(f"owner:{OWNER}", 1)]
        assert changes == ["effective"]
        accounts = [arm.account_id for arm in arms]
        assert accounts == sorted(accounts)  # the platform's first, and never again
        assert [arm.account_id for arm in arms if arm.state != "closed"] in ([], [ACCOUNT])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("kind", KINDS)
async def test_every_point_of_a_change(databases: Databases, tmp_path: Path, kind: str, shard: int) -> None:
    dry = Switch(databases.fresh(kind), "1.6")
    dry.log = tmp_path / "points"
    await dry.play(log_path=str(dry.log))
    points = dry.log.read_text().split()[dry.before :]
    assert {point.split("#")[0] for point in points} >= {
        f"{place}.{side}" for place in ("commit", "terminal-call") for side in ("before", "after")
    }
    # The databases share the points between them; from the capture on it is any session's (tests/faults/test_crash.py).
    mine = points[: len(points) // 2][KINDS.index(kind) :: 2][shard::SHARDS]
    missed = []
    for point in mine:
        try:
            if not await Switch(databases.fresh(kind), "1.6").play(failpoint=point):
                missed.append(point)
        except AssertionError as error:
            raise AssertionError(f"killed at {point}: {error}") from error
    assert len(missed) <= max(1, len(mine) // 4), f"never reached: {missed}"
