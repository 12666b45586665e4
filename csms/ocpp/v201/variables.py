"""2.0.1's words for variables: ComponentType, VariableType, and the results of reading and writing."""

from __future__ import annotations

from collections.abc import Iterable

from csms.ocpp.dialect import Payload, obj, objects, text, whole
from csms.stations.device_model import Attribute, VariableId


def variable_id(payload: Payload) -> VariableId | None:
    """The variable that ``component`` and ``variable`` of a payload name; None for no names."""
    component, variable = obj(payload, "component"), obj(payload, "variable")
    name, what = text(component, "name", 50), text(variable, "name", 50)
    if not name or not what:
        return None
    evse = obj(component, "evse")
    return VariableId(
        component=name,
        variable=what,
        component_instance=text(component, "instance", 50),
        variable_instance=text(variable, "instance", 50),
        evse_id=whole(evse, "id") or 0,
        connector_id=whole(evse, "connectorId") or 0,
    )


def named(variable: VariableId) -> Payload:
    """``component`` and ``variable`` for a payload of ours."""
    component: Payload = {"name": variable.component}
    if variable.component_instance:
        component["instance"] = variable.component_instance
    if variable.evse_id:
        component["evse"] = {"id": variable.evse_id}
        if variable.connector_id:
            component["evse"]["connectorId"] = variable.connector_id
    what: Payload = {"name": variable.variable}
    if variable.variable_instance:
        what["instance"] = variable.variable_instance
    return {"component": component, "variable": what}


def read(response: Payload) -> list[Attribute]:
    """What GetVariables' answer told."""
    told = []
    for result in objects(response, "getVariableResult"):
        variable = variable_id(result)
        if variable is not None and text(result, "attributeStatus", 40) == "Accepted":
            value = text(result, "attributeValue", 2500)
            told.append(Attribute(id=variable, value=value, attribute=text(result, "attributeType", 10) or "Actual"))
    return told


def written(request: Payload, response: Payload) -> list[Attribute]:
    """What SetVariables changed: the accepted values. One that needs a reboot is not in force yet."""
    asked = {
        (variable_id(data), text(data, "attributeType", 10) or "Actual"): text(data, "attributeValue", 2500)
        for data in objects(request, "setVariableData")
    }
    told = []
    for result in objects(response, "setVariableResult"):
        variable, attribute = variable_id(result), text(result, "attributeType", 10) or "Actual"
        accepted = text(result, "attributeStatus", 40) == "Accepted"
        if variable is not None and accepted and (variable, attribute) in asked:
            told.append(Attribute(id=variable, value=asked[variable, attribute], attribute=attribute))
    return told


def reported(payload: Payload) -> Iterable[Attribute]:
    """What a part of NotifyReport told."""
    for data in objects(payload, "reportData"):
        variable = variable_id(data)
        if variable is None:
            continue
        for attribute in objects(data, "variableAttribute"):
            persistent, constant = attribute.get("persistent"), attribute.get("constant")
            value = attribute.get("value")
            yield Attribute(
                id=variable,
                value=text(attribute, "value", 2500) if isinstance(value, str) else None,
                attribute=text(attribute, "type", 10) or "Actual",
                mutability=text(attribute, "mutability", 12) or "ReadWrite",
                persistent=persistent if isinstance(persistent, bool) else None,
                constant=constant if isinstance(constant, bool) else None,
                characteristics=obj(data, "variableCharacteristics") or None,
            )
