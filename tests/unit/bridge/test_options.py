"""Settings: bad ones are refused, secrets are not shown, the schedule is Payter's."""

from typing import Any

import pytest

from bridge.options import retry_delay_s
from tests.unit.bridge.scripted_cloud import API_KEY, CALLBACK_SECRET, HASH_KEY, options


def test_the_schedule_is_five_minutes_a_day_of_hours_and_a_week_of_days() -> None:
    delays = [retry_delay_s(attempt) for attempt in range(1, 38)]
    assert delays == [60.0] * 5 + [3600.0] * 24 + [86400.0] * 7 + [None]


def test_attempts_count_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        retry_delay_s(0)


def test_secrets_are_not_in_the_repr() -> None:
    text = repr(options())
    assert API_KEY not in text
    assert CALLBACK_SECRET not in text
    assert HASH_KEY not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("base_url", "ftp://cps.example"),
        ("base_url", "cps.example"),
        ("public_callback_base", "/relative"),
        ("api_key", ""),
        ("api_key", 'a"b'),
        ("api_key", "line\nbreak"),
        ("callback_secret", "short"),
        ("callback_secret", "with/slash-0123456789"),
        ("card_hash_key", "short"),
    ],
)
def test_bad_settings_are_refused_without_telling_the_secret(name: str, value: str) -> None:
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=name) as refused:
        options(**changes)
    if value:
        assert value not in str(refused.value)


def test_urls_have_no_double_slash() -> None:
    chosen = options(public_callback_base="https://tapvolt.example/")
    assert chosen.callback_url("arm", "card") == f"https://tapvolt.example/callbacks/payter/{CALLBACK_SECRET}/arm/card"
    assert chosen.receipt_url("tok") == "https://tapvolt.example/r/tok"
    assert options(receipt_url_prefix="https://r.example/").receipt_url("tok") == "https://r.example/tok"
