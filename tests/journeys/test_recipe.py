"""CONTRIBUTING.md's recipe for a message, followed as it stands: its code is run, and the message comes through."""

from __future__ import annotations

import dataclasses
import re
import sys
from types import ModuleType
from typing import Any

import pytest

from csms import nouns
from csms.ocpp.versions import DIALECTS
from csms.web.api import api
from storage.engine import writing
from storage.metadata import metadata
from tests.conformance.bench import bench
from tests.databases import Databases
from tests.house.repository import ROOT

ACTION = "PublishFirmwareStatusNotification"


def steps() -> dict[str, str]:
    """The recipe's files, by path, in its order."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    recipe = text[text.index("## Add an OCPP message") : text.index("## Add a setting")]
    found = re.findall(r"^ {3}```python\n {3}# (\S+)\n(.*?)^ {3}```", recipe, re.MULTILINE | re.DOTALL)
    return {path: re.sub(r"^ {3}", "", code, flags=re.MULTILINE) for path, code in found}


@pytest.fixture
def url(databases: Databases) -> str:
    """A database, made before the recipe's table is known."""
    return databases.fresh("sqlite")


@pytest.fixture
def followed(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The recipe's modules, in place; taken away again after the test."""
    made: dict[str, Any] = {"database": url}
    for path, code in steps().items():
        name = path.removesuffix(".py").replace("/", ".")
        module = made[name] = ModuleType(name)
        package, _, short = name.rpartition(".")
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(sys.modules[package], short, module, raising=False)
        exec(compile(code, path, "exec"), module.__dict__)
    noun, message = made["csms.stations.published_firmware"], made["csms.ocpp.v201.published_firmware"]
    monkeypatch.setattr("csms.app.keepers", lambda: {**nouns.keepers(), **noun.KEEPERS})
    old = DIALECTS["ocpp2.0.1"]
    answers = {**old.answers, **message.messages.answers}
    monkeypatch.setitem(DIALECTS, "ocpp2.0.1", dataclasses.replace(old, answers=answers))
    known = api.operations()
    new = tuple(made["csms.web.api.published_firmware"].resource.operations)
    monkeypatch.setattr(api, "operations", lambda: (*known, *new))
    yield made
    metadata.remove(made["storage.published_firmware_schema"].published_firmware)


async def test_the_recipe_makes_a_message(url: str, followed: dict[str, Any]) -> None:
    table = followed["storage.published_firmware_schema"].published_firmware
    async with bench(url) as running:
        async with writing(running.app.engine) as connection:
            await connection.run_sync(table.create)
        station = await running.connect()
        path = "/stations/CS1/published-firmware"
        assert await running.api("GET", path) == {"status": None}
        assert await running.ask(station, ACTION, {"status": "Downloading"}) == {}
        assert await running.ask(station, ACTION, {"status": "DownloadFailed"}) == {}
        assert await running.api("GET", path) == {"status": "DownloadFailed"}
        assert (await station.ask(ACTION, {}))[0] == 4


def test_the_recipe_has_its_files() -> None:
    assert [path.split("/")[0] for path in steps()] == ["storage", "csms", "csms", "csms"]
