"""What the command line says when something is wrong: which, and what to do; never a traceback."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def tapvolt(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = (
        {k: v for k, v in os.environ.items() if not k.startswith("TAPVOLT_")} | {"PYTHONPATH": str(ROOT)} | environment
    )
    command = [sys.executable, "-m", "csms.cli", *arguments]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "says"),
    [
        (["serve"], {"TAPVOLT_OCPP__PORT": "abc"}, 2, "ocpp.port"),
        (["serve"], {"TAPVOLT_FOO": "1"}, 2, "TAPVOLT_FOO: there is no such setting"),
        (["serve", "--config", "missing.toml"], {}, 2, "There is no settings file missing.toml"),
        (["station", "list"], {}, 1, "Run `tapvolt db upgrade` first"),
        (["station", "approve", "X"], {}, 1, "Run `tapvolt db upgrade` first"),
        (["serve"], {"TAPVOLT_DATABASE_URL": "postgresql://n:secret-word@127.0.0.1:1/x"}, 1, "Check database_url"),
        (["serve"], {"TAPVOLT_DATABASE_URL": "mysql://x"}, 2, "use sqlite:///path or postgresql://"),
    ],
)
def test_wrong(tmp_path: Path, arguments: list[str], environment: dict[str, str], status: int, says: str) -> None:
    ran = tapvolt(tmp_path, *arguments, **environment)
    assert ran.returncode == status
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "secret-word" not in ran.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = tapvolt(tmp_path, "serve", TAPVOLT_HTTP__PORT=port, TAPVOLT_HTTP__HOST="127.0.0.1")
    assert ran.returncode == 1
    assert f"cannot listen for HTTP on 127.0.0.1:{port}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_upgrade_then_list(tmp_path: Path) -> None:
    assert tapvolt(tmp_path, "db", "upgrade").stdout.startswith("upgraded from nothing")
    assert tapvolt(tmp_path, "db", "upgrade").stdout.startswith("the schema is up to date")
    assert tapvolt(tmp_path, "station", "list").stdout == "no station is known yet\n"
    unknown = tapvolt(tmp_path, "station", "approve", "X")
    assert unknown.returncode == 1
    assert "no station 'X' is known" in unknown.stderr


def test_a_token_may_be_an_owners_users(tmp_path: Path) -> None:
    tapvolt(tmp_path, "db", "upgrade")
    refused = tapvolt(tmp_path, "token", "create", "Kari", "--owner", "own_0123456789ab")
    assert refused.returncode == 1
    assert "There is no owner of this id" in refused.stderr
    with sqlite3.connect(tmp_path / "var/tapvolt.sqlite3") as database:
        database.execute(
            "INSERT INTO owners (owner_id, legal_name, organisation_number, vat_number, address, country, currency,"
            " language, time_zone, contacts, terms, created_at) VALUES ('own_0123456789ab', 'Nordhavn AS', '923609016',"
            " '', '[]', 'NO', 'NOK', 'nb', 'Europe/Oslo', '[]', '{}', '2026-01-01 00:00:00.000000')"
        )
    database.close()
    made = tapvolt(tmp_path, "token", "create", "Kari", "--owner", "own_0123456789ab", "--role", "operator")
    assert "role operator, of own_0123456789ab" in made.stdout
    listed = tapvolt(tmp_path, "token", "list").stdout.splitlines()
    assert [line.split()[3:] for line in listed] == [["own_0123456789ab", "Kari"]]
    admin = tapvolt(tmp_path, "token", "create", "Kari", "--owner", "own_0123456789ab", "--role", "admin")
    assert (admin.returncode, "operator at most" in admin.stderr) == (1, True)


def test_config_show_masks_secrets(tmp_path: Path) -> None:
    shown = tapvolt(
        tmp_path,
        "config",
        "show",
        TAPVOLT_PAYTER__BASE_URL="https://cps-test.mypayter.com/",
        TAPVOLT_PAYTER__API_KEY="very-secret-key",
        TAPVOLT_PAYTER__CALLBACK_SECRET="c" * 40,
        TAPVOLT_PAYTER__CARD_HASH_KEY="k" * 40,
        TAPVOLT_DATABASE_URL="postgresql://n:secret-word@127.0.0.1/x",
    )
    assert shown.returncode == 0
    assert "**********" in shown.stdout
    for secret in ("very-secret-key", "c" * 40, "k" * 40, "secret-word"):
        assert secret not in shown.stdout
