"""Id tokens: entered, changed and forgotten without overwriting each other."""

from __future__ import annotations

from typing import Any

import pytest

from csms.settings import SettingsError, load_settings
from tests.conformance.bench import Bench, bench


async def test_a_token_is_entered_changed_and_forgotten(bench: Bench) -> None:
    made = await bench.api("POST", "/id-tokens", {"id_token": "abc", "label": "Kari", "group_id": "g1"}, status=201)
    assert (made["id_token"], made["group_id"], made["status"], made["revision"]) == ("ABC", "G1", "Accepted", 1)
    await bench.api("POST", "/id-tokens", {"id_token": "ABC"}, status=409)
    assert await bench.api("GET", "/id-tokens/aBc") == made
    await bench.api("PUT", "/id-tokens/abc", {"status": "Blocked"}, status=428)
    changed = await bench.api("PUT", "/id-tokens/abc", {"status": "Blocked"}, headers={"If-Match": '"1"'})
    assert (changed["status"], changed["label"], changed["revision"]) == ("Blocked", None, 2)
    await bench.api("PUT", "/id-tokens/abc", {"status": "Accepted"}, status=412, headers={"If-Match": '"1"'})
    await bench.api("DELETE", "/id-tokens/abc", status=204, headers={"If-Match": '"2"'})
    await bench.api("GET", "/id-tokens/abc", status=404)


async def test_tokens_are_listed_by_what_they_are(bench: Bench) -> None:
    listed = (await bench.api("GET", "/id-tokens?status=Blocked"))["items"]
    assert [token["id_token"] for token in listed] == ["BLOCKED"]
    first = await bench.api("GET", "/id-tokens?limit=2")
    rest = await bench.api("GET", f"/id-tokens?limit=500&after={first['next']}")
    names = [token["id_token"] for token in (*first["items"], *rest["items"])]
    assert names == sorted(names) == ["BLOCKED", "EXPIRED", "GOOD", "GOOD2"]


async def test_a_list_is_taken_as_a_whole_and_again_changes_nothing(database_url: str) -> None:
    async with bench(database_url) as made:
        until = "2099-01-01T01:00:00+01:00"
        tokens = [
            {"id_token": "new", "group_id": "fleet", "expires_at": until, "concurrent": False, "label": "Van 1"},
            {"id_token": "good", "status": "Blocked"},
            {"id_token": "GOOD2"},
        ]
        first = await made.api("POST", "/id-tokens/import", {"tokens": tokens})
        assert first == {"entered": 1, "changed": 1, "unchanged": 1}
        again = await made.api("POST", "/id-tokens/import", {"tokens": tokens})
        assert again == {"entered": 0, "changed": 0, "unchanged": 3}
        new = await made.api("GET", "/id-tokens/NEW")
        assert (new["group_id"], new["expires_at"], new["concurrent"]) == ("FLEET", "2099-01-01T00:00:00Z", False)
        good = await made.api("GET", "/id-tokens/GOOD")
        assert (good["status"], good["revision"]) == ("Blocked", 2)
        station = await made.connect(version="ocpp1.6")
        assert (await made.ask(station, "Authorize", {"idTag": "good"}))["idTagInfo"] == {"status": "Blocked"}


@pytest.mark.parametrize(
    "tokens",
    [
        pytest.param([], id="none"),
        pytest.param([{"id_token": "A"}, {"id_token": "a"}], id="twice"),
        pytest.param([{"id_token": "A"}, {"id_token": "Ø"}], id="not-a-token"),
        pytest.param([{"id_token": "A"}, {"id_token": "B" * 37}], id="too-long"),
        pytest.param([{"id_token": "A", "status": "ConcurrentTX"}], id="unknown-status"),
        pytest.param([{"id_token": "A", "expires_at": "2099-01-01T00:00:00"}], id="no-zone"),
        pytest.param([{"id_token": "A", "expires_at": "0001-01-01T00:00:00+23:00"}], id="before-the-first-day"),
        pytest.param([{"id_token": f"A{n}"} for n in range(1001)], id="too-many"),
    ],
)
async def test_a_list_with_one_wrong_token_enters_none(bench: Bench, tokens: list[Any]) -> None:
    await bench.api("POST", "/id-tokens/import", {"tokens": tokens}, status=422)
    assert len((await bench.api("GET", "/id-tokens"))["items"]) == 4


async def test_tokens_of_the_settings_are_folded_like_all_others(database_url: str) -> None:
    """A group is the same group whoever wrote it down, and in whichever case."""
    async with bench(database_url, id_tokens=[{"id_token": "van", "group_id": "Fleet"}]) as made:
        await made.api("POST", "/id-tokens", {"id_token": "car", "group_id": "fleet"}, status=201)
        listed = (await made.api("GET", "/id-tokens?group_id=fleet"))["items"]
        assert [(token["id_token"], token["group_id"]) for token in listed] == [("CAR", "FLEET"), ("VAN", "FLEET")]


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        pytest.param([{"id_token": "van"}, {"id_token": "VAN"}], "'VAN' is configured twice", id="twice"),
        pytest.param([{"id_token": "A", "expires_at": "2099-01-01T00:00:00"}], "timezone", id="no-zone"),
    ],
)
def test_tokens_that_cannot_be_kept_are_refused_with_the_settings(tokens: list[Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load_settings(None, id_tokens=tokens)
