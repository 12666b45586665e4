"""Screens of the Apollo family, as JSON for the /ui call: ``{id, type, properties}``, properties a flat string map [D].

Screen ids and item names carry what the UI callback must bring back, because that callback has no other id:
``{session_id}.{mark}`` says whose choice it is, and of which asking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote

from bridge.options import PayterOptions
from bridge.texts import Words
from sessions.commands import Message

BLACK, GREEN, RED = "0", "1", "2"  # colours of the notification screen [D]
_GOOD = {Message.PLUG_IN, Message.STARTING, Message.CHARGING, Message.FINISHED, Message.NOT_CHARGED}
_PLAIN = {Message.AUTHORISING, Message.CHOOSE_EVSE, Message.STOPPING, Message.PLUG_IN_FIRST}


def selection(screen_id: str, title: str, items: Sequence[tuple[str, str]], options: PayterOptions) -> dict[str, Any]:
    """A list to choose from. ``items``: (choice, label)."""
    properties = {"title": title, "type": options.selection_type}
    for choice, label in items:
        name = item_name(choice)
        properties[f"items.{name}"] = ""  # adds the item; the next line labels it
        properties[f"items.{name}.label"] = label
    return {"id": screen_id, "type": "selection", "properties": properties}


def notification(screen_id: str, message: Message, words: Words) -> dict[str, Any]:
    """A message, with the icon and colour that go with it."""
    color = GREEN if message in _GOOD else BLACK if message in _PLAIN else RED
    properties = {"title": words.title, "message": words.message, "color": color}
    if message is Message.DECLINED:
        properties["icon"] = "declined"
    elif message is Message.FINISHED:
        properties["icon"] = "approved"
    return {"id": screen_id, "type": "notification", "properties": properties}


def with_receipt(screen_id: str, words: Words, receipt_url: str, options: PayterOptions) -> dict[str, Any]:
    """A message with the QR code of the receipt's page. The type and the property's name are options: [A] for /ui."""
    properties = {"title": words.title, "subtitle": words.message, options.qr_property: receipt_url}
    return {"id": screen_id, "type": options.qr_screen_type, "properties": properties}


def start_screen(words: Words) -> dict[str, Any]:
    """What an Apollo shows at rest, around the payment application's own screens: the price, and what a hold is."""
    return {
        "id": "start",
        "type": "notification",
        "properties": {"title": words.title, "message": words.message, "color": BLACK},
    }


def screen_id(session_id: str, command_key: str) -> str:
    """The id of a session's screen: the same for a repeated command, another for the next one."""
    return f"{session_id}.{hashlib.sha256(command_key.encode()).hexdigest()[:12]}"


def session_of(screen: str) -> str:
    """The session that a screen id belongs to; "" if it is none of ours."""
    session_id, dot, mark = screen.rpartition(".")
    return session_id if dot and mark else ""


def item_name(choice: str) -> str:
    """A choice as part of a property's name, where a dot would end it ("station_id/evse_id" stays as it is)."""
    return quote(choice, safe="/:*@=+|").replace(".", "%2E")


def choice_of(response: str) -> str:
    """The choice that an item's name stands for."""
    return unquote(response)
