"""docs/messages.md and docs/api.md say what the tables say, and the tables leave no message out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from csms.ocpp import messages_doc
from csms.ocpp.message import Answer, Ask, Send
from csms.ocpp.schemas import actions, unanswered
from csms.ocpp.versions import DIALECTS
from csms.web.api import operations_doc
from tests.house.repository import ROOT


@pytest.mark.parametrize(("page", "text"), [("messages", messages_doc.text), ("api", operations_doc.text)])
def test_the_page_is_up_to_date(page: str, text: Callable[[], str]) -> None:
    written = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    assert written == text(), f"docs/{page}.md is stale: run `make docs`"


@pytest.mark.parametrize("version", DIALECTS)
def test_every_message_of_the_version_has_its_place(version: str) -> None:
    dialect = DIALECTS[version]
    assert set(dialect.answers) | set(dialect.asks) == actions(version)
    assert set(dialect.answers) & set(dialect.asks) <= {"DataTransfer"}
    assert set(dialect.sends) == unanswered(version)


@pytest.mark.parametrize("version", DIALECTS)
def test_every_message_says_what_it_does(version: str) -> None:
    dialect = DIALECTS[version]
    messages: list[Answer | Ask | Send] = [*dialect.answers.values(), *dialect.asks.values(), *dialect.sends.values()]
    for message in messages:
        assert message.does.endswith("."), message.action
        assert "|" not in message.does, message.action
