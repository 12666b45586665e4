"""docs/settings.md says what the settings are, and every setting says what it is."""

from __future__ import annotations

import typing
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from csms import settings_doc
from csms.payter_settings import PayterSettings
from csms.settings import ENV_PREFIX, load_settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
SETTINGS = [(section.title, setting) for section in settings_doc.sections() for setting in section.settings]

#: What a number's description must say, by the end of its name; a number of another name counts one of the last.
UNITS = {
    "_per_s": ("a second",),
    "_s": ("second",),
    "_min": ("minute",),
    "_h": ("hour",),
    "_days": ("days",),
    "_bytes": ("bytes",),
    "_kw": ("(kw)", " kw"),
    "_w": (" in w",),
    "_percent": ("percent",),
    "": ("port", "number", "times", "major units"),
}


def is_number(annotation: object) -> bool:
    parts = {annotation, *typing.get_args(annotation)}
    return bool(parts & {int, float, Decimal})


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_doc.document(), "docs/settings.md is stale: run `make docs`"


def test_every_section_is_described() -> None:
    titles = [section.title for section in settings_doc.sections()]
    assert titles[0] == ""
    assert {"ocpp", "http", "payter", "sessions", "issuer", "tariffs", "stations", "stations.evses"} <= set(titles)
    assert [section.title for section in settings_doc.sections() if not section.model.__doc__] == []


@pytest.mark.parametrize(("section", "setting"), SETTINGS, ids=lambda value: getattr(value, "name", value))
def test_every_setting_is_described_with_its_unit(section: str, setting: settings_doc.Setting) -> None:
    description = (setting.info.description or "").strip()
    assert description.endswith("."), f"{section}.{setting.name} needs a sentence: {description!r}"
    if is_number(setting.info.annotation):
        words = next(words for ending, words in UNITS.items() if setting.name.endswith(ending))
        assert any(word in description.lower() for word in words), f"{section}.{setting.name} names no unit"


def test_no_secret_has_a_default_to_show() -> None:
    secrets = [s for _, s in SETTINGS if {s.info.annotation, *typing.get_args(s.info.annotation)} & {SecretStr}]
    assert {
        "api_key",
        "callback_secret",
        "card_hash_key",
        "data_api_password",
        "keys",
        "key_password",
        "passphrase",
        "provider_token",
        "password",
    } == {s.name for s in secrets}
    assert [s.name for s in secrets if not s.info.is_required() and s.info.default not in (None, ())] == []


def test_the_environment_names_work(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {setting.env for _, setting in SETTINGS if setting.env}
    for name, value in (
        (f"{ENV_PREFIX}NODE", "node-7"),
        (f"{ENV_PREFIX}OCPP__PORT", "9123"),
        (f"{ENV_PREFIX}PAYTER__BASE_URL", "http://127.0.0.1:8090/"),
        (f"{ENV_PREFIX}PAYTER__API_KEY", "k"),
        (f"{ENV_PREFIX}PAYTER__CALLBACK_SECRET", "c" * 32),
        (f"{ENV_PREFIX}PAYTER__CARD_HASH_KEY", "h" * 32),
    ):
        assert name in names
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(f"{ENV_PREFIX}STATIONS", '[{"station_id": "CP-1"}]')
    settings = load_settings()
    assert (settings.node, settings.ocpp.port, settings.stations[0].station_id) == ("node-7", 9123, "CP-1")
    assert isinstance(settings.payter, PayterSettings)
