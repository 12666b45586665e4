"""Id tokens: entered, changed and forgotten without overwriting each other."""

from __future__ import annotations

from tests.conformance.bench import Bench


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
