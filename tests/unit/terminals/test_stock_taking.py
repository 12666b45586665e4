"""What a count comes to."""

from __future__ import annotations

from csms.terminals.inventory import MOVES, State
from csms.terminals.stock_taking import Find, Finding, Kind, Stock, Verdict, compare


def stock(serial: str, state: State = State.LIVE, *, mine: bool = True, site: str | None = "north") -> Stock:
    return Stock(serial, state, mine, site, "counter")


def one(terminal: Stock | None, find: Find | None, site: str | None = None) -> Finding:
    (finding,) = compare([terminal] if terminal else [], [find] if find else [], site_id=site)
    return finding


def test_what_is_there_is_found_however_it_was_typed() -> None:
    assert one(stock("APO1"), Find(" apo 1")) == Finding("APO1", Verdict.FOUND)
    assert one(stock("Apo 1"), Find("APO1"), "north") == Finding("Apo 1", Verdict.FOUND)


def test_what_is_expected_and_not_found_is_missing() -> None:
    for state in State:
        told = compare([stock("A", state)], [], site_id=None)
        if state in {State.STORED, State.ONBOARDING, State.LIVE, State.SUSPENDED}:
            assert [(f.verdict, f.kind, f.proposal) for f in told] == [(Verdict.MISSING, Kind.NOT_FOUND, State.LOST)]
            assert state in told[0].detail
        else:
            assert told == []  # on its way, away, or gone
    assert compare([stock("A")], [], site_id="south") == []  # not expected there
    assert compare([stock("A", mine=False)], [], site_id=None) == []


def test_what_is_strange() -> None:
    assert one(None, Find("A")).kind is Kind.UNKNOWN
    assert one(stock("A", site="north"), Find("A"), "south").kind is Kind.OTHER_PLACE
    assert one(stock("A", site="north"), Find("A", "south")).kind is Kind.OTHER_PLACE
    assert one(stock("A", site=None), Find("A", "south")).kind is Kind.OTHER_PLACE
    others = one(stock("A", State.STOLEN, mine=False), Find("A"))
    assert (others.kind, others.proposal) == (Kind.NOT_YOURS, None)
    assert "stolen" not in others.detail
    assert "north" not in others.detail


def test_found_although_it_is_gone_is_proposed_and_nothing_else() -> None:
    for state in (State.LOST, State.STOLEN, State.RETURNED, State.ORDERED, State.IN_REPAIR):
        finding = one(stock("A", state), Find("A"))
        assert (finding.verdict, finding.kind) == (Verdict.STRANGE, Kind.UNEXPECTED_STATE)
        assert finding.proposal is None or finding.proposal in MOVES[state]  # it can be done
        assert (finding.proposal is None) == (state is State.RETURNED)
