"""Security profiles 1, 2 and 3, each at its own door: real sockets, real certificates, wrong ones included."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from websockets.exceptions import InvalidMessage, InvalidStatus

from csms.ocpp.credentials import hash_password
from csms.ocpp.options import OcppOptions
from csms.ocpp.tls import KeyPair
from sessions import facts
from sessions.directory import Admission
from tests.pki import IDENTITY, NOW, OPERATOR, Pair, client_context, pki
from tests.wire.station import Central, Station, basic
from tests.wire.station import running as running_at

SECRET = "a-password-of-the-station"
NEXT = "the-next-password-of-it"
TLS_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)


def options(**changed: Any) -> OcppOptions:
    pairs = tuple(KeyPair(certificate=p.files[0], key=p.files[1]) for p in (pki().server_ec, pki().server_rsa))
    values: dict[str, Any] = {"tls_port": 0, "mutual_tls_port": 0, "certificates": pairs, "organisation": OPERATOR}
    return OcppOptions(**(values | {"trusted": (pki().root.files[0],)} | changed))


def running(chosen: OcppOptions) -> AbstractAsyncContextManager[Central]:
    """A central system whose clock is the certificates'."""
    return running_at(chosen, NOW)


@pytest_asyncio.fixture(name="central")
async def three_doors() -> AsyncIterator[Central]:
    """A central system with all three doors; CS1 has a password."""
    async with running(options()) as made:
        made.directory.add(IDENTITY, await hash_password(SECRET))
        yield made


async def connect(
    central: Central, profile: int, *, pair: Pair | None = None, password: str | None = SECRET
) -> Station:
    """CS1 at the door of ``profile``, with what it has."""
    return await central.connect(
        IDENTITY,
        authorization=basic(IDENTITY, password) if password is not None else None,
        register=False,
        profile=profile,
        tls=client_context(pki().root, pair) if profile > 1 else None,
    )


async def refusal(central: Central, profile: int, **brought: Any) -> str:
    """The status and reason with which CS1 is refused."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(central, profile, **brought)
    response = refused.value.response
    return f"{response.status_code} {bytes(response.body or b'').decode().strip()}"


async def test_each_profile_has_its_own_door(central: Central) -> None:
    """TC_A_01, TC_A_04, TC_A_07."""
    assert sorted(central.server.ports) == [1, 2, 3]
    assert len(set(central.server.ports.values())) == 3
    for profile, pair, password in ((1, None, SECRET), (2, None, SECRET), (3, pki().station, None)):
        station = await connect(central, profile, pair=pair, password=password)
        assert (await station.ask("Heartbeat", {}))[0] == 3
        connected = central.inbox.of(facts.StationConnected)[-1]
        assert (connected.station_id, connected.security_profile) == (IDENTITY, profile)


@pytest.mark.parametrize("wanted", [{1}, {2}, {3}, {1, 3}])
async def test_any_door_may_be_absent(wanted: set[int]) -> None:
    absent: dict[int, dict[str, Any]] = {1: {"plain": False}, 2: {"tls_port": None}, 3: {"mutual_tls_port": None}}
    changed = {name: value for n, change in absent.items() if n not in wanted for name, value in change.items()}
    async with running(options(**changed)) as central:
        assert set(central.server.ports) == wanted


async def test_a_port_that_is_taken_closes_the_doors_opened_before(central: Central) -> None:
    with pytest.raises(OSError, match="address already in use"):
        async with running(options(mutual_tls_port=central.server.ports[3])):
            pass


# --- profile 2 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_tls_needs_the_password_too(central: Central, password: str | None) -> None:
    """TC_A_03 with TLS. A certificate does not make up for it."""
    assert (await refusal(central, 2, password=password)).startswith("401 ")
    assert (await refusal(central, 2, password=password, pair=pki().station)).startswith("401 ")


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "AES128-GCM-SHA256", "AES256-GCM-SHA384"])
async def test_a_station_that_knows_one_suite_connects(central: Central, suite: str) -> None:
    """A00.FR.318: TLS_RSA too."""
    tls = client_context(pki().root, ciphers=suite, versions=TLS_1_2)
    station = await central.connect(IDENTITY, authorization=basic(IDENTITY, SECRET), register=False, profile=2, tls=tls)
    assert (await station.ask("Heartbeat", {}))[0] == 3


@pytest.mark.parametrize("profile", [2, 3])
async def test_a_version_that_is_too_low_is_refused(central: Central, profile: int) -> None:
    """TC_A_06."""
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        tls = client_context(pki().root, pki().station, versions=(ssl.TLSVersion.TLSv1_1,) * 2, weak=True)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await central.connect(IDENTITY, authorization=basic(IDENTITY, SECRET), profile=profile, tls=tls)
    assert not central.inbox.facts


@pytest.mark.parametrize("profile", [2, 3])
async def test_without_tls_nothing_is_said_at_a_tls_door(central: Central, profile: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", central.server.ports[profile])
    writer.write(f"GET /ocpp/{IDENTITY} HTTP/1.1\r\nHost: c\r\n\r\n".encode())
    async with asyncio.timeout(30):
        said = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert b"HTTP" not in said
    assert not central.inbox.facts


# --- profile 3 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["expired", "not yet valid", "other CA", "RSA 1024", "EC 192", "not for clients"])
async def test_a_wrong_certificate_gets_no_connection(central: Central, wrong: str) -> None:
    """TC_A_08. TLS itself refuses it; the right password is no way round."""
    tls = client_context(pki().root, ciphers="ALL", weak=True)
    tls.load_cert_chain(*pki().wrong_stations[wrong].files)
    with pytest.raises((ssl.SSLError, ConnectionError, InvalidMessage)):
        await central.connect(IDENTITY, authorization=basic(IDENTITY, SECRET), register=False, profile=3, tls=tls)
    assert not central.inbox.facts


async def test_no_certificate_gets_no_connection(central: Central) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, InvalidMessage)):
        await connect(central, 3)
    assert not central.inbox.facts


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("other identity", "403 the certificate is another station's"),
        ("no name", "403 the certificate is another station's"),
        ("other operator", f"403 the certificate is of another operator: its O is not '{OPERATOR}'"),
    ],
)
async def test_a_certificate_is_bound_to_the_identity(
    central: Central, wrong: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """TC_A_08. A good certificate of somebody else, even with this station's password."""
    assert (await refusal(central, 3, pair=pki().wrong_stations[wrong])).startswith(said)
    assert not central.inbox.facts
    assert "station CS1: the certificate is" in caplog.text


async def test_a_certificate_may_name_the_serial_number(central: Central) -> None:
    """A00.FR.405: the one that the station told of itself, and nothing else."""
    by_serial = pki().root.issue("SN-1")
    assert (await refusal(central, 3, pair=by_serial, password=None)).startswith("403 ")
    central.directory.stations[IDENTITY] = replace(central.directory.stations[IDENTITY], serial_number="SN-1")
    for pair in (by_serial, pki().station):
        assert (await (await connect(central, 3, pair=pair, password=None)).ask("Heartbeat", {}))[0] == 3


async def test_the_organisation_may_be_anybodys_where_none_is_set() -> None:
    async with running(options(organisation="")) as central:
        central.directory.add(IDENTITY)
        await connect(central, 3, pair=pki().wrong_stations["other operator"], password=None)


@pytest.mark.parametrize(("policy", "admission"), [("accept", Admission.ACCEPTED), ("hold", Admission.HELD)])
async def test_a_stranger_with_a_certificate_is_written_down_without_a_password(policy: Any, admission: Any) -> None:
    async with running(options(unknown_stations=policy)) as central:
        await connect(central, 3, pair=pki().station, password=SECRET)
        known = central.directory.stations[IDENTITY]
        assert (known.admission, known.password_hash) == (admission, None)


async def test_a_stranger_with_anothers_certificate_is_not_written_down() -> None:
    async with running(options(unknown_stations="accept")) as central:
        assert (await refusal(central, 3, pair=pki().wrong_stations["other identity"])).startswith("403 ")
        assert not central.directory.stations


# --- the profile that is demanded -------------------------------------------------------------------------------------


@pytest.mark.parametrize("demanded", [0, 1, 2, 3])
@pytest.mark.parametrize("profile", [1, 2, 3])
async def test_a_lower_profile_than_demanded_is_refused(central: Central, demanded: int, profile: int) -> None:
    """A00.FR.006, A05.FR.07: never a downgrade."""
    central.directory.stations[IDENTITY] = replace(central.directory.stations[IDENTITY], security_profile=demanded)
    if profile >= demanded:
        station = await connect(central, profile, pair=pki().station)
        assert (await station.ask("Heartbeat", {}))[0] == 3
        return
    said = await refusal(central, profile, pair=pki().station)
    assert said.startswith(f"403 this station has to use security profile {demanded} or higher")
    assert not central.inbox.facts


async def test_a_downgrade_is_refused_before_the_password_is_looked_at(central: Central) -> None:
    """Nobody learns by the refusal whether a password read from the line was right."""
    central.directory.stations[IDENTITY] = replace(central.directory.stations[IDENTITY], security_profile=2)
    right, wrong = [await refusal(central, 1, password=password) for password in (SECRET, "wrong")]
    assert right == wrong


# --- a password in rotation -------------------------------------------------------------------------------------------


async def test_both_passwords_are_valid_until_the_new_one_comes(central: Central) -> None:
    """A01.FR.10: the old one is void from then on."""
    pending = ((await hash_password("one-nobody-was-told"),), (await hash_password(NEXT),))
    central.directory.stations[IDENTITY] = replace(central.directory.stations[IDENTITY], pending_hashes=pending)
    for password in (SECRET, NEXT):
        await connect(central, 2, password=password)
    known = central.directory.stations[IDENTITY]
    assert (known.password_hash, known.pending_hashes) == (pending[1][0], ())
    assert (await refusal(central, 2, password=SECRET)).startswith("401 ")
    await connect(central, 2, password=NEXT)


# --- guessing ---------------------------------------------------------------------------------------------------------


async def test_an_address_that_guesses_at_many_stations_has_to_wait() -> None:
    async with running(options(address_failures=4, password_wait_s=3600, address_forgive_s=3600)) as central:
        for n in range(6):
            central.directory.add(f"CP{n}", await hash_password(SECRET))
        said = []
        for n in range(6):
            with pytest.raises(InvalidStatus) as refused:
                await central.connect(f"CP{n}", authorization=basic(f"CP{n}", "wrong"))
            said.append(refused.value.response.status_code)
        assert said == [401, 401, 401, 401, 429, 429]


async def test_certificates_of_others_make_it_wait_too() -> None:
    async with running(options(password_failures=2, password_wait_s=3600)) as central:
        central.directory.add(IDENTITY)
        wrong = pki().wrong_stations["other identity"]
        said = [(await refusal(central, 3, pair=wrong))[:3] for _ in range(3)]
        assert said == ["403", "403", "429"]


async def test_strangers_are_not_written_down_by_the_thousand() -> None:
    limited = options(unknown_stations="accept", address_failures=3, address_forgive_s=3600, password_wait_s=3600)
    async with running(limited) as central:
        for n in range(3):
            await central.connect(f"NEW{n}", register=False)
        with pytest.raises(InvalidStatus) as refused:
            await central.connect("NEW3", register=False)
        assert refused.value.response.status_code == 429
        assert len(central.directory.stations) == 3


async def test_no_certificate_or_password_is_in_the_log(central: Central, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await connect(central, 2)
    await refusal(central, 3, pair=pki().wrong_stations["other identity"])
    await central.inbox.first(facts.StationConnected)
    assert SECRET not in caplog.text
    assert basic(IDENTITY, SECRET) not in caplog.text
