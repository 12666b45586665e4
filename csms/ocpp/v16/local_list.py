"""OCPP 1.6 Local Auth List Management."""

from __future__ import annotations

from collections.abc import Iterator

from csms.ocpp.dialect import Payload, obj, objects, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.local_lists import Listed, ListUpdate, LocalListAnswered, LocalListVersionTold
from sessions.facts import Fact

messages = Messages("Local Auth List Management")


@messages.ask("SendLocalList")
def send_local_list(asked: Asked) -> Iterator[Fact]:
    """§5.15. Sends a full local list or the changes to one; what was accepted is known to be there."""
    entries, removed = [], dict[str, str]()
    for entry in objects(asked.request, "localAuthorizationList"):
        id_token, info = text(entry, "idTag", 64).upper(), obj(entry, "idTagInfo")
        if not info:
            removed[id_token] = ""
            continue
        entries.append(
            Listed(
                id_token=id_token,
                status=text(info, "status", 20),
                group_id=text(info, "parentIdTag", 64) or None,
                expires_at=text(info, "expiryDate", 40) or None,
            )
        )
    yield LocalListAnswered(
        key=asked.key("local-list"),
        at=asked.now,
        station_id=asked.station_id,
        update=ListUpdate(
            version=asked.request["listVersion"],
            full=asked.request["updateType"] == "Full",
            entries=tuple(entries),
            removed=removed,
        ),
        status=text(asked.response, "status", 20),
    )


@messages.ask("GetLocalListVersion")
def get_local_list_version(asked: Asked) -> Iterator[Fact]:
    """§5.10. Reads the version of the station's local list; -1: it knows no lists, 0: it has none."""
    version = whole(asked.response, "listVersion")
    if version is not None:
        yield LocalListVersionTold(
            key=asked.key("local-list-version"), at=asked.now, station_id=asked.station_id, version=version
        )


def local_list(update: ListUpdate) -> Payload:
    """§5.15: the payload of an update, whose id tokens have 20 characters at most."""
    entries: list[Payload] = []
    for entry in update.entries:
        info: Payload = {"status": entry.status}
        if entry.expires_at:
            info["expiryDate"] = entry.expires_at
        if entry.group_id:
            info["parentIdTag"] = entry.group_id[:20]
        entries.append({"idTag": entry.id_token, "idTagInfo": info})
    entries += [{"idTag": id_token} for id_token in update.removed]
    return {
        "listVersion": update.version,
        "updateType": "Full" if update.full else "Differential",
        "localAuthorizationList": entries,
    }
