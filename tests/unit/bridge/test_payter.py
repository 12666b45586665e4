"""The port: what is asked before, what is made of each answer, and what a screen shows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.cards import card_ref
from bridge.payter import PayterTerminals
from bridge.screens import choice_of, item_name, screen_id, session_of
from bridge.wires import Wires
from sessions.commands import (
    AuthoriseHold,
    CaptureHold,
    LookUpHold,
    Message,
    ReleaseHold,
    ShowOnTerminal,
    ShowSelection,
)
from sessions.directory import ArmState
from sessions.facts import ArmClosed
from sessions.ports import Captured, Declined, Failed, Held, NotFound, Released, Unknown
from tests.unit.bridge.memory import SERIAL, MemoryHouse, now, terminal
from tests.unit.bridge.scripted_cloud import CARD_ID, HASH_KEY, OTHER_CARD_ID, Say, ScriptedCloud, options

REF = card_ref(HASH_KEY, CARD_ID)
NONE: frozenset[str] = frozenset()
AUTHORISE = AuthoriseHold(
    key="k",
    session_id="ses",
    serial=SERIAL,
    arm_id="arm-1",
    card_ref=REF,
    hold_minor=20_000,
    currency="NOK",
    language="nb",
)
LOOK_UP = LookUpHold(key="l", session_id="ses", serial=SERIAL, arm_id="arm-1", card_ref=REF)
CAPTURE = CaptureHold(
    key="c", serial=SERIAL, payment_ref="s-1", amount_minor=1234, held_minor=20_000, currency="NOK", language="nb"
)
RELEASE = ReleaseHold(key="r", serial=SERIAL, payment_ref="s-1", language="nb")


def show(message: Message = Message.STATION_OFFLINE, **changes: Any) -> ShowOnTerminal:
    return ShowOnTerminal(
        **{"key": "s", "session_id": "ses", "serial": SERIAL, "message": message, "language": "nb", **changes}
    )


@pytest.fixture
def presented(house: MemoryHouse, cloud: ScriptedCloud) -> None:
    """A card was read in interaction arm-1 and is still in the reader."""
    house.put_arm(state=ArmState.PRESENTED)
    house.pending.add("arm-1")
    cloud.state = "CARD"


def closed(house: MemoryHouse) -> bool:
    return house.arms["arm-1"].state is ArmState.CLOSED


# --- authorise, the first time ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("presented")
async def test_held(port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, woken: list[str]) -> None:
    outcome = await port.authorise(AUTHORISE, attempt=1, known_refs=NONE)
    assert outcome == Held(payment_ref="s-1", amount_minor=20_000)
    assert cloud.names() == ["authorize"]
    assert "200,00 kr" in cloud.asked[0].query["uiMessage"]
    assert house.seen(ArmClosed)[0].key == "arm-closed:arm-1"
    assert woken == [SERIAL]


@pytest.mark.usefixtures("presented")
@pytest.mark.parametrize(
    ("say", "outcome"),
    [
        (
            Say(200, {"state": "DECLINED", "result": "APPROVED", "authorizationResponseCode": "05"}),
            Declined("declined 05"),
        ),
        (Say(200, {"state": "FAILED", "sessionId": "s-9"}), Declined("declined")),
        (Say(401, {"status": 401}), Declined("payment service said 401")),
        (Say(404, {"status": 404}), Declined("payment service said 404")),
        (Say(409, {"status": 409}), Declined("no card in the reader")),
        (Say(403, b"<html>"), Unknown("HTTP 403")),
        (Say(500), Unknown("HTTP 500")),
        (Say(503, {"status": 503}), Unknown("HTTP 503")),
        (Say(200, b"<html>"), Unknown("unreadable body")),
        (Say(200, {}), Unknown("answered without a result")),
        (Say(200, {"state": "AUTHORIZED"}), Unknown("answered without a result")),
        (Say(200, {"state": "COMMITED", "sessionId": "s-9"}), Unknown("answered without a result")),
        (Say(200, {"state": "SOMETHING", "sessionId": "s-9"}), Unknown("answered without a result")),
        (Say(drop=True), Unknown("ServerDisconnectedError")),
        (Say(apply=True, drop=True), Unknown("ServerDisconnectedError")),
    ],
)
async def test_every_other_answer_to_authorise(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, say: Say, outcome: object
) -> None:
    cloud.script("authorize", say)
    assert await port.authorise(AUTHORISE, attempt=1, known_refs=NONE) == outcome
    assert len(cloud.calls("authorize")) == 1
    assert closed(house) is isinstance(outcome, Declined)  # while nobody knows, the interaction goes on


@pytest.mark.usefixtures("presented")
async def test_a_conflict_can_mean_that_a_hold_stands(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.add_session()
    cloud.script("authorize", Say(409, {"status": 409}))
    assert await port.authorise(AUTHORISE, attempt=1, known_refs=NONE) == Held(payment_ref="s-1", amount_minor=20_000)


@pytest.mark.usefixtures("presented")
async def test_unreachable_is_declined_for_certain(house: MemoryHouse) -> None:
    wire = Wires(options())
    port = PayterTerminals(options(), wire, house, house, clock=now, wake=lambda serial: None)
    outcome = await port.authorise(AUTHORISE, attempt=1, known_refs=NONE)
    await wire.close()
    assert outcome == Declined("payment service unreachable")


@pytest.mark.parametrize("state", [ArmState.CLOSED, None])
async def test_a_card_of_an_interaction_that_is_over_is_not_authorised(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, state: ArmState | None
) -> None:
    house.put_arm(state=ArmState.CLOSED)
    if state is None:  # a newer interaction: the card in the reader is the next driver's
        house.put_arm("arm-2", ArmState.PRESENTED)
    cloud.state = "CARD"
    assert await port.authorise(AUTHORISE, attempt=1, known_refs=NONE) == Declined("interaction over")
    assert cloud.names() == []


@pytest.mark.usefixtures("presented")
@pytest.mark.parametrize(
    ("amount", "held"), [(15_000, 15_000), (25_000, 25_000), (None, 20_000), (-5, 20_000), (0, 20_000), ("x", 20_000)]
)
async def test_the_providers_figure_counts_if_it_is_one(
    port: PayterTerminals, cloud: ScriptedCloud, amount: object, held: int
) -> None:
    cloud.script("authorize", Say(200, {"state": "AUTHORIZED", "sessionId": "s", "authorizedAmount": amount}))
    outcome = await port.authorise(AUTHORISE, attempt=1, known_refs=NONE)
    assert isinstance(outcome, Held)
    assert outcome.amount_minor == held


@pytest.mark.usefixtures("presented")
async def test_the_wrong_card_is_given_back(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.card_id = OTHER_CARD_ID
    assert await port.authorise(AUTHORISE, attempt=1, known_refs=NONE) == Declined("another card was authorised")
    assert cloud.sessions[0]["state"] == "CANCELLED"


@pytest.mark.usefixtures("presented")
async def test_the_wrong_card_that_cannot_be_given_back_is_in_the_books(
    port: PayterTerminals, cloud: ScriptedCloud
) -> None:
    cloud.card_id = OTHER_CARD_ID
    cloud.script("cancel", Say(500))
    assert isinstance(await port.authorise(AUTHORISE, attempt=1, known_refs=NONE), Held)


@pytest.mark.usefixtures("presented")
async def test_an_outcome_survives_that_the_interaction_cannot_be_closed(
    port: PayterTerminals, house: MemoryHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house.broken = 1
    assert isinstance(await port.authorise(AUTHORISE, attempt=1, known_refs=NONE), Held)
    assert not closed(house)
    assert "ConnectionError" in caplog.text
    assert "parameters" not in caplog.text


# --- authorise again, and look-up -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("presented")
async def test_what_took_effect_is_found_and_not_repeated(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.script("authorize", Say(apply=True, drop=True))
    assert isinstance(await port.authorise(AUTHORISE, attempt=1, known_refs=NONE), Unknown)
    assert await port.authorise(AUTHORISE, attempt=2, known_refs=NONE) == Held(payment_ref="s-1", amount_minor=20_000)
    assert len(cloud.calls("authorize")) == 1


@pytest.mark.usefixtures("presented")
async def test_what_took_no_effect_is_authorised_with_the_card_still_there(
    port: PayterTerminals, cloud: ScriptedCloud
) -> None:
    assert isinstance(await port.authorise(AUTHORISE, attempt=2, known_refs=NONE), Held)
    assert cloud.names() == ["terminal", "sessions", "card", "authorize"]


@pytest.mark.usefixtures("presented")
async def test_another_card_in_the_reader_is_not_authorised(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.card_id = OTHER_CARD_ID
    assert await port.authorise(AUTHORISE, attempt=2, known_refs=NONE) == NotFound()
    assert cloud.calls("authorize") == []


@pytest.mark.usefixtures("presented")
@pytest.mark.parametrize(
    ("state", "online", "outcome"),
    [
        ("IDLE", True, NotFound()),
        ("READING", True, NotFound()),
        ("AUTHORIZING", True, Unknown("terminal busy or offline")),
        ("IDLE", False, Unknown("terminal busy or offline")),
    ],
)
async def test_authorise_again_without_the_card(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, state: str, online: bool, outcome: object
) -> None:
    cloud.state, cloud.online = state, online
    assert await port.authorise(AUTHORISE, attempt=2, known_refs=NONE) == outcome
    assert await port.look_up(LOOK_UP, known_refs=NONE) == outcome
    assert cloud.calls("authorize", "stop") == []
    assert closed(house) is (outcome == NotFound())


@pytest.mark.usefixtures("presented")
async def test_authorise_again_where_the_card_cannot_be_seen(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.script("card", Say(404, {}))
    assert isinstance(await port.authorise(AUTHORISE, attempt=2, known_refs=NONE), Unknown)
    assert cloud.calls("authorize") == []


@pytest.mark.usefixtures("presented")
@pytest.mark.parametrize("call", ["terminal", "sessions"])
async def test_without_an_answer_nothing_is_known(port: PayterTerminals, cloud: ScriptedCloud, call: str) -> None:
    for _ in range(2):
        cloud.script(call, Say(500))
        outcome = await port.authorise(AUTHORISE, attempt=2, known_refs=NONE)
        assert isinstance(outcome, Unknown)
        cloud.script(call, Say(500))
        cloud.script("stop", Say(500))
        assert isinstance(await port.look_up(LOOK_UP, known_refs=NONE), Unknown)
    assert cloud.calls("authorize") == []


@pytest.mark.usefixtures("presented")
async def test_a_terminal_list_that_is_not_found_is_not_an_empty_one(
    port: PayterTerminals, cloud: ScriptedCloud
) -> None:
    cloud.script("sessions", Say(404, {"status": 404}))
    assert await port.look_up(LOOK_UP, known_refs=NONE) == Unknown("HTTP 404")


@pytest.mark.usefixtures("presented")
async def test_a_look_up_ends_the_interaction_before_it_says_no(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    assert await port.look_up(LOOK_UP, known_refs=NONE) == NotFound()
    assert cloud.names() == ["terminal", "stop", "sessions"]  # after the stop no late authorise can succeed
    assert closed(house)


@pytest.mark.usefixtures("presented")
async def test_a_look_up_that_cannot_end_the_interaction_does_not_say_no(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse
) -> None:
    cloud.script("stop", Say(500))
    assert isinstance(await port.look_up(LOOK_UP, known_refs=NONE), Unknown)
    assert not closed(house)


async def test_a_look_up_after_the_interaction_leaves_the_terminal_alone(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, woken: list[str]
) -> None:
    house.put_arm(state=ArmState.CLOSED)
    house.put_arm("arm-2", ArmState.PRESENTED)
    cloud.state = "CARD"
    assert await port.look_up(LOOK_UP, known_refs=NONE) == NotFound()
    assert await port.authorise(AUTHORISE, attempt=2, known_refs=NONE) == NotFound()
    cloud.add_session()
    assert isinstance(await port.look_up(LOOK_UP, known_refs=NONE), Held)
    assert await port.look_up(LOOK_UP, known_refs=frozenset({"s-1"})) == NotFound()
    assert isinstance(await port.authorise(AUTHORISE, attempt=3, known_refs=NONE), Held)
    assert set(cloud.names()) == {"sessions"}
    assert house.arms["arm-2"].state is ArmState.PRESENTED


def at(delta: timedelta, zone: bool = False) -> str:
    time = datetime.now(UTC) + delta
    return (
        time.isoformat(timespec="milliseconds")
        if zone
        else time.replace(tzinfo=None).isoformat(timespec="milliseconds")
    )


@pytest.mark.usefixtures("presented")
@pytest.mark.parametrize(
    ("session", "found"),
    [
        ({"transactionTime": lambda: at(timedelta(0))}, True),
        ({"transactionTime": lambda: at(timedelta(minutes=-4))}, True),  # their clock may be slow
        ({"transactionTime": lambda: at(timedelta(hours=2), zone=True)}, True),
        ({"transactionTime": lambda: at(timedelta(hours=-1))}, False),
        ({"transactionTime": "nonsense"}, True),  # better in the books than forgotten
        ({"cardId": OTHER_CARD_ID}, False),
        ({"cardId": CARD_ID.upper()}, True),
        ({"cardId": None}, False),
        ({"state": "CANCELLED"}, False),
        ({"state": "COMMITED"}, False),
        ({"state": "DECLINED"}, False),
        ({"sessionId": "known"}, False),
        ({"sessionId": None}, False),
    ],
)
async def test_which_hold_is_this_taps(
    port: PayterTerminals, cloud: ScriptedCloud, session: dict[str, Any], found: bool
) -> None:
    cloud.state = "IDLE"
    # Times are told when the test runs: it may be minutes after they were written down.
    cloud.add_session(**{name: value() if callable(value) else value for name, value in session.items()})
    outcome = await port.look_up(LOOK_UP, known_refs=frozenset({"known"}))
    assert isinstance(outcome, Held if found else NotFound)


@pytest.mark.usefixtures("presented")
async def test_of_several_the_newest(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.state = "IDLE"
    for minutes in (-3, 0, -1):
        cloud.add_session(transactionTime=at(timedelta(minutes=minutes)))
    outcome = await port.look_up(LOOK_UP, known_refs=NONE)
    assert isinstance(outcome, Held)
    assert outcome.payment_ref == "s-2"


# --- capture ----------------------------------------------------------------------------------------------------------


async def test_captured(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.add_session()
    assert await port.capture(CAPTURE, attempt=1) == Captured(amount_minor=1234)
    assert cloud.names() == ["commit"]
    assert "12,34 kr" in cloud.asked[0].query["uiMessage"]


@pytest.mark.parametrize("amount", [0, -1, 20_001])
async def test_never_zero_never_above_the_hold(port: PayterTerminals, cloud: ScriptedCloud, amount: int) -> None:
    command = CaptureHold(**{**{n: getattr(CAPTURE, n) for n in CAPTURE.__dataclass_fields__}, "amount_minor": amount})
    with pytest.raises(ValueError, match="hold"):
        await port.capture(command, attempt=1)
    assert cloud.names() == []


@pytest.mark.parametrize(
    ("say", "outcome"),
    [
        (Say(200, {"sessionId": "s-1", "state": "COMMITED"}), Captured(amount_minor=1234)),
        (Say(200, {"sessionId": "s-1", "state": "COMMITTED", "finalAmount": 1200}), Captured(amount_minor=1200)),
        (Say(200, {"sessionId": "s-1", "state": "FAILED", "result": "APPROVED"}), Failed("failed")),
        (Say(200, {"sessionId": "s-1", "state": "CANCELLED"}), Released()),
        (Say(200, {"sessionId": "s-1", "state": "EXPIRED"}), Failed("expired")),
        (Say(200, {"sessionId": "s-1", "state": "AUTHORIZED"}), Unknown("state authorized")),
        (Say(200, {"sessionId": "s-1", "state": "QUEUED"}), Unknown("state unknown")),
        (Say(404, {"status": 404}), NotFound()),
        (Say(404, b"<html>"), Unknown("HTTP 404")),
        (Say(401, {"status": 401}), Unknown("HTTP 401")),
        (Say(429), Unknown("HTTP 429")),
        (Say(500), Unknown("HTTP 500")),
        (Say(200, b"<html>"), Unknown("unreadable body")),
        (Say(drop=True), Unknown("ServerDisconnectedError")),
        (Say(apply=True, drop=True), Unknown("ServerDisconnectedError")),
    ],
)
async def test_every_answer_to_commit(port: PayterTerminals, cloud: ScriptedCloud, say: Say, outcome: object) -> None:
    cloud.add_session()
    cloud.script("commit", say)
    assert await port.capture(CAPTURE, attempt=1) == outcome
    assert cloud.names() == ["commit"]


TRUTHS = [
    ({"state": "COMMITED", "finalAmount": 1234}, Captured(amount_minor=1234)),
    ({"state": "COMMITED", "finalAmount": 999}, Captured(amount_minor=999)),
    ({"state": "CANCELLED"}, Released()),
    ({"state": "FAILED", "authorizationResponseCode": "51"}, Failed("failed 51")),
    ({"state": "HALFWAY"}, Unknown("state unknown")),
]


@pytest.mark.parametrize(("session", "outcome"), [*TRUTHS, ({"state": "AUTHORIZED"}, Unknown("state authorized"))])
@pytest.mark.parametrize("answer", [Say(409, {"status": 409}), Say(200, {})], ids=["conflict", "empty"])
async def test_after_a_conflict_the_truth_is_asked(
    port: PayterTerminals, cloud: ScriptedCloud, answer: Say, session: dict[str, Any], outcome: object
) -> None:
    cloud.add_session(**session)
    cloud.script("commit", answer)
    assert await port.capture(CAPTURE, attempt=1) == outcome
    assert cloud.names() == ["commit", "session"]


@pytest.mark.parametrize(("session", "outcome"), TRUTHS)
async def test_a_second_attempt_asks_first(
    port: PayterTerminals, cloud: ScriptedCloud, session: dict[str, Any], outcome: object
) -> None:
    cloud.add_session(**session)
    assert await port.capture(CAPTURE, attempt=2) == outcome
    assert cloud.names() == ["session"]


async def test_a_second_attempt_commits_what_is_still_held(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.add_session()
    assert await port.capture(CAPTURE, attempt=2) == Captured(amount_minor=1234)
    assert cloud.names() == ["session", "commit"]
    assert "uiMessage" not in cloud.asked[-1].query  # that driver has gone


@pytest.mark.parametrize(("say", "outcome"), [(Say(404, {}), NotFound()), (Say(500), Unknown("HTTP 500"))])
async def test_a_second_attempt_without_the_truth(
    port: PayterTerminals, cloud: ScriptedCloud, say: Say, outcome: object
) -> None:
    cloud.script("session", say, say)
    assert await port.capture(CAPTURE, attempt=2) == outcome
    assert await port.release(RELEASE, attempt=2) == outcome
    assert cloud.names() == ["session", "session"]


async def test_a_capture_that_took_effect_unseen_is_not_repeated(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.add_session()
    cloud.script("commit", Say(apply=True, drop=True))
    assert isinstance(await port.capture(CAPTURE, attempt=1), Unknown)
    assert await port.capture(CAPTURE, attempt=2) == Captured(amount_minor=1234)
    assert len(cloud.calls("commit")) == 1


@pytest.mark.usefixtures("presented")
async def test_one_drivers_total_is_not_shown_to_the_next(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.add_session()
    await port.capture(CAPTURE, attempt=1)
    cloud.add_session()
    await port.release(ReleaseHold(key="r", serial=SERIAL, payment_ref="s-2", language="nb"), attempt=1)
    assert all("uiMessage" not in asked.query for asked in cloud.asked)


# --- release ----------------------------------------------------------------------------------------------------------


async def test_released(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.add_session()
    assert await port.release(RELEASE, attempt=1) == Released()
    assert cloud.asked[0].query["uiMessage"].startswith("Takk. ")


@pytest.mark.parametrize(
    ("say", "outcome"),
    [
        (Say(200, {"sessionId": "s-1", "state": "CANCELED"}), Released()),
        (Say(200, {"sessionId": "s-1", "state": "EXPIRED"}), Released()),
        (Say(200, {"sessionId": "s-1", "state": "FAILED"}), Failed("failed")),
        (Say(200, {"sessionId": "s-1", "state": "AUTHORIZED"}), Unknown("state authorized")),
        (Say(404, {"status": 404}), NotFound()),
        (Say(500), Unknown("HTTP 500")),
        (Say(200, b"{"), Unknown("unreadable body")),
        (Say(apply=True, drop=True), Unknown("ServerDisconnectedError")),
    ],
)
async def test_every_answer_to_cancel(port: PayterTerminals, cloud: ScriptedCloud, say: Say, outcome: object) -> None:
    cloud.add_session()
    cloud.script("cancel", say)
    assert await port.release(RELEASE, attempt=1) == outcome
    assert cloud.names() == ["cancel"]


@pytest.mark.parametrize(
    ("session", "outcome"),
    [
        ({"state": "CANCELLED"}, Released()),
        ({"state": "COMMITED", "finalAmount": 900}, Captured(amount_minor=900)),
        ({"state": "COMMITED"}, Captured(amount_minor=20_000)),
        ({"state": "FAILED"}, Failed("failed")),
        ({"state": "HALFWAY"}, Unknown("state unknown")),
    ],
)
async def test_release_asks_for_the_truth(
    port: PayterTerminals, cloud: ScriptedCloud, session: dict[str, Any], outcome: object
) -> None:
    cloud.add_session(**session)
    assert await port.release(RELEASE, attempt=2) == outcome
    assert cloud.names() == ["session"]
    assert await port.release(RELEASE, attempt=1) == outcome  # the cloud answers 409
    assert cloud.names() == ["session", "cancel", "session"]


async def test_a_second_release_cancels_what_is_still_held(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    cloud.add_session()
    assert await port.release(RELEASE, attempt=2) == Released()
    assert cloud.names() == ["session", "cancel"]


# --- screens ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("presented")
async def test_the_end_of_an_interaction_is_a_stop_with_words(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, woken: list[str]
) -> None:
    assert await port.show(show(arm_id="arm-1", ends_interaction=True))
    assert [(asked.call, asked.query["uiMessage"]) for asked in cloud.asked] == [
        ("stop", "Ute av drift. Laderen er frakoblet. Du betaler ingenting")
    ]
    assert closed(house)
    assert woken == [SERIAL]


@pytest.mark.usefixtures("presented")
@pytest.mark.parametrize("say", [Say(500), Say(409, {}), Say(drop=True)])
async def test_a_stop_that_went_wrong_leaves_the_interaction_to_the_keeper(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, say: Say
) -> None:
    cloud.script("stop", say)
    assert not await port.show(show(arm_id="arm-1", ends_interaction=True))
    assert not closed(house)


@pytest.mark.parametrize("latest", [ArmState.OPEN, ArmState.PRESENTED])
async def test_a_late_end_does_not_stop_the_next_driver(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, latest: ArmState
) -> None:
    house.put_arm(state=ArmState.CLOSED)
    house.put_arm("arm-2", latest)
    shown = await port.show(show(arm_id="arm-1", ends_interaction=True))
    assert cloud.calls("stop") == []
    assert house.arms["arm-2"].state is latest
    assert shown is (latest is ArmState.OPEN)  # never over another driver's screen
    assert cloud.names() == (["ui"] if shown else [])


async def test_an_apollo_shows_a_notification(port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse) -> None:
    house.put_arm("arm-2")
    assert await port.show(show(Message.PLUG_IN, parameters={"evse": "Lader 3", "minutes": "2", "currency": "NOK"}))
    screen = cloud.asked[0].body
    assert screen["type"] == "notification"
    assert screen["properties"] == {
        "title": "Koble til",
        "message": "Lader 3: koble til kabelen innen 2 min",
        "color": "1",
    }
    assert cloud.asked[0].query["callbackUrl"].endswith("/arm-2/ui")


async def test_an_apollo_shows_the_receipts_qr_code(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    parameters = {"amount_minor": "12345", "currency": "NOK"}
    assert await port.show(show(Message.FINISHED, parameters=parameters, receipt_url_token="tok"))
    screen = cloud.asked[0].body
    assert screen["type"] == "info"
    assert screen["properties"]["qrcode"] == "https://tapvolt.example/r/tok"
    assert "123,45 kr" in screen["properties"]["subtitle"]


@pytest.mark.parametrize("message", Message)
async def test_every_message_makes_a_flat_screen(port: PayterTerminals, cloud: ScriptedCloud, message: Message) -> None:
    assert await port.show(show(message))
    properties = cloud.asked[0].body["properties"]
    assert all(isinstance(value, str) and value for value in properties.values())
    assert properties["color"] in "012"


@pytest.mark.parametrize("family", ["P66", "P66S", "P68", "something new"])
async def test_without_a_screen_nothing_is_shown(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, family: str
) -> None:
    house.records[SERIAL] = terminal(family=family)
    house.put_arm(state=ArmState.PRESENTED)
    selection = ShowSelection(key="q", session_id="ses", serial=SERIAL, items=(("CP/1", "1"),), language="nb")
    assert not await port.show(show(arm_id="arm-1"))
    assert not await port.select(selection)
    assert cloud.names() == []
    assert await port.show(show(arm_id="arm-1", ends_interaction=True))  # rides on the stop
    assert cloud.names() == ["stop"]


async def test_an_unknown_terminal_shows_nothing(port: PayterTerminals, cloud: ScriptedCloud) -> None:
    assert not await port.show(show(serial="nobody"))
    assert cloud.names() == []


@pytest.mark.parametrize("say", [Say(500), Say(404, {}), Say(drop=True)])
async def test_a_screen_that_did_not_arrive_was_not_shown(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, say: Say
) -> None:
    house.put_arm(state=ArmState.PRESENTED)
    cloud.script("ui", say, say)
    assert not await port.show(show(arm_id="arm-1"))
    assert not await port.select(
        ShowSelection(key="q", session_id="ses", serial=SERIAL, items=(("CP/1", "1"),), language="nb")
    )


async def test_a_selection(port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse) -> None:
    house.put_arm(state=ArmState.PRESENTED)
    items = (("CP1/1", "Lader 1"), ("NO.2/2", "Lader 2"))
    assert await port.select(ShowSelection(key="q", session_id="ses", serial=SERIAL, items=items, language="nb"))
    asked = cloud.asked[0]
    assert asked.query["callbackUrl"].endswith("/arm-1/ui")
    assert asked.body == {
        "id": screen_id("ses", "q"),
        "type": "selection",
        "properties": {
            "title": "Hvilket ladepunkt?",
            "type": "3",
            "items.CP1/1": "",
            "items.CP1/1.label": "Lader 1",
            "items.NO%2E2/2": "",
            "items.NO%2E2/2.label": "Lader 2",
        },
    }


@pytest.mark.parametrize("state", [ArmState.OPEN, ArmState.CLOSED])
async def test_no_selection_without_a_card(
    port: PayterTerminals, cloud: ScriptedCloud, house: MemoryHouse, state: ArmState
) -> None:
    house.put_arm(state=state)
    assert not await port.select(
        ShowSelection(key="q", session_id="ses", serial=SERIAL, items=(("CP/1", "1"),), language="nb")
    )
    assert cloud.names() == []


def test_screen_ids_and_item_names_come_back() -> None:
    assert session_of(screen_id("ses", "a")) == "ses"
    assert screen_id("ses", "a") == screen_id("ses", "a") != screen_id("ses", "b")
    assert session_of("start") == ""
    assert session_of(".x") == ""
    for choice in ("CP1/1", "NO*TAP*E1/2", "a.b/1", "50%/1", "æ å/1"):
        assert "." not in item_name(choice)
        assert choice_of(item_name(choice)) == choice
    assert item_name("CP-1/1") == "CP-1/1"
