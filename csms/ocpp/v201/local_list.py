"""OCPP 2.0.1 D. Local authorization list."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, obj, objects, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.local_lists import Listed, ListUpdate, LocalListAnswered, LocalListVersionTold
from sessions.facts import Fact

messages = Messages("D. Local authorization list")


@messages.ask("SendLocalList")
def send_local_list(asked: Asked) -> Iterator[Fact]:
    """D01. Sends a full local list or the changes to one; what was accepted is known to be there."""
    entries, removed = [], dict[str, str]()
    for entry in objects(asked.request, "localAuthorizationList"):
        token, info = obj(entry, "idToken"), obj(entry, "idTokenInfo")
        id_token = text(token, "idToken", 64).upper()
        if not info:  # D01: an entry without its info is to be removed
            removed[id_token] = text(token, "type", 20)
            continue
        entries.append(
            Listed(
                id_token=id_token,
                status=text(info, "status", 20),
                token_type=text(token, "type", 20),
                group_id=text(obj(info, "groupIdToken"), "idToken", 64) or None,
                expires_at=text(info, "cacheExpiryDateTime", 40) or None,
            )
        )
    yield LocalListAnswered(
        key=asked.key("local-list"),
        at=asked.now,
        station_id=asked.station_id,
        update=ListUpdate(
            version=asked.request["versionNumber"],
            full=asked.request["updateType"] == "Full",
            entries=tuple(entries),
            removed=removed,
        ),
        status=text(asked.response, "status", 20),
    )


@messages.ask("GetLocalListVersion")
def get_local_list_version(asked: Asked) -> Iterator[Fact]:
    """D02. Reads the version of the station's local list; 0: it has none."""
    version = whole(asked.response, "versionNumber")
    if version is not None:
        yield LocalListVersionTold(
            key=asked.key("local-list-version"), at=asked.now, station_id=asked.station_id, version=version
        )


def local_list(update: ListUpdate) -> Payload:
    """D01: the payload of an update."""
    entries: list[Payload] = []
    for entry in update.entries:
        info: Payload = {"status": entry.status}
        if entry.expires_at:
            info["cacheExpiryDateTime"] = entry.expires_at
        if entry.group_id:
            info["groupIdToken"] = {"idToken": entry.group_id, "type": "Central"}
        entries.append({"idToken": {"idToken": entry.id_token, "type": entry.token_type}, "idTokenInfo": info})
    entries += [{"idToken": {"idToken": id_token, "type": its_type}} for id_token, its_type in update.removed.items()]
    payload: Payload = {
        "versionNumber": update.version,
        "updateType": "Full" if update.full else "Differential",
    }
    return payload | ({"localAuthorizationList": entries} if entries else {})
