"""OCPP 2.1 I. Tariff and cost: tariffs at the station."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from csms.ocpp.dialect import moment, obj, objects, text, whole
from csms.ocpp.message import Asked, Messages
from csms.stations.station_tariffs import Assignment, DefaultTariffSet, TariffsCleared, TariffsReported
from sessions.facts import Fact

messages = Messages("I. Tariff and cost")

#: More than any station has; what a hostile one lists beyond is not kept.
MOST_TARIFFS, MOST_EVSES = 100, 30


@messages.ask("SetDefaultTariff")
def set_default_tariff(asked: Asked) -> Iterable[Fact]:
    """I07. Sets the tariff of an EVSE, or of all; kept with its content once the station accepted it."""
    tariff, evse_id = obj(asked.request, "tariff"), whole(asked.request, "evseId")
    if asked.response.get("status") == "Accepted" and evse_id is not None:
        yield DefaultTariffSet(
            key=asked.key("default-tariff"),
            at=asked.now,
            station_id=asked.station_id,
            evse_id=evse_id,
            ocpp_tariff_id=text(tariff, "tariffId", 60),
            content=tariff,
            valid_from=moment(tariff.get("validFrom")),
        )


@messages.ask("GetTariffs")
def get_tariffs(asked: Asked) -> Iterable[Fact]:
    """I09. Asks which tariffs are in use; the answer takes the place of what was known."""
    status, evse_id = asked.response.get("status"), whole(asked.request, "evseId")
    if status not in ("Accepted", "NoTariff") or evse_id is None:
        return
    yield TariffsReported(
        key=asked.key("tariffs"),
        at=asked.now,
        station_id=asked.station_id,
        evse_id=evse_id,
        assignments=tuple(
            Assignment(
                ocpp_tariff_id=text(one, "tariffId", 60),
                kind=text(one, "tariffKind", 16),
                evse_ids=_whole_numbers(one.get("evseIds")),
                valid_from=moment(one.get("validFrom")),
            )
            for one in objects(asked.response, "tariffAssignments")[:MOST_TARIFFS]
        ),
    )


@messages.ask("ClearTariffs")
def clear_tariffs(asked: Asked) -> Iterable[Fact]:
    """I10. Removes tariffs; those that the station removed, or did not have, are forgotten here."""
    told = objects(asked.response, "clearTariffsResult")[:MOST_TARIFFS]
    results = [one for one in told if one.get("status") in ("Accepted", "NoTariff")]
    named = tuple(name for one in results if (name := text(one, "tariffId", 60)))
    if results and (named or not asked.request.get("tariffIds")):
        yield TariffsCleared(
            key=asked.key("tariffs-cleared"),
            at=asked.now,
            station_id=asked.station_id,
            evse_id=whole(asked.request, "evseId"),
            ocpp_tariff_ids=named,
        )


def _whole_numbers(value: Any) -> tuple[int, ...]:
    listed = value[:MOST_EVSES] if isinstance(value, list) else []
    numbers = (whole({"n": one}, "n") for one in listed)
    return tuple(number for number in numbers if number is not None)


messages.plain(
    "ChangeTransactionTariff", "I11. Gives a running transaction another tariff; our own price stays as it was shown."
)
