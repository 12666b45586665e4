"""The 2.0.1 device model over the settings: GetVariables, SetVariables, GetBaseReport."""

from typing import Any

from simulators.station.evse import Evse, EvseState
from simulators.station.settings import Setting, Settings

DATA_TYPES = {"integer": "integer", "boolean": "boolean", "string": "string", "list": "MemberList"}


class Variables:
    """Looks settings up by component and variable; names are CiStrings, so case does not matter."""

    def __init__(self, settings: Settings, evses: dict[int, Evse]) -> None:
        self._settings = settings
        self._evses = evses

    def get(self, request: dict[str, Any]) -> dict[str, Any]:
        """One ``GetVariableResultType``."""
        result = {"component": request["component"], "variable": request["variable"]}
        if request.get("attributeType", "Actual") != "Actual":
            return result | {"attributeStatus": "NotSupportedAttributeType", "attributeType": request["attributeType"]}
        found = self._find(request)
        if isinstance(found, str):
            return result | {"attributeStatus": found}
        if found.access == "WriteOnly":
            return result | {"attributeStatus": "Rejected"}
        return result | {"attributeStatus": "Accepted", "attributeValue": self._settings.values[found.name]}

    def check(self, request: dict[str, Any]) -> tuple[dict[str, Any], Setting | None]:
        """One ``SetVariableResultType``, and the setting to change when it is accepted."""
        result = {"component": request["component"], "variable": request["variable"]}
        if request.get("attributeType", "Actual") != "Actual":
            status = {"attributeStatus": "NotSupportedAttributeType", "attributeType": request["attributeType"]}
            return result | status, None
        found = self._find(request)
        if isinstance(found, str):
            return result | {"attributeStatus": found}, None
        if found.access == "ReadOnly" or found.refuses(request["attributeValue"]):
            return result | {"attributeStatus": "Rejected"}, None
        return result | {"attributeStatus": "Accepted"}, found

    def report(self, base: str) -> list[dict[str, Any]]:
        """The ``ReportDataType`` list of a base report: the settings, the state, or both."""
        state = [self._availability("ChargingStation", None)]
        state += [self._availability("EVSE", evse) for evse in self._evses.values()]
        if base == "SummaryInventory":
            return state
        settings = [self._setting(*where, setting) for where, setting in self._settings.with_variable()]
        return settings if base == "ConfigurationInventory" else settings + state

    def _find(self, request: dict[str, Any]) -> Setting | str:
        component = request["component"]["name"].lower()
        variable, instance = request["variable"]["name"].lower(), request["variable"].get("instance", "").lower()
        known_component = False
        for (name, its_variable, its_instance), setting in self._settings.with_variable():
            if name.lower() != component:
                continue
            known_component = True
            if its_variable.lower() == variable and (its_instance or "").lower() == instance:
                return setting
        return "UnknownVariable" if known_component else "UnknownComponent"

    def _setting(self, component: str, variable: str, instance: str | None, setting: Setting) -> dict[str, Any]:
        attribute = {"type": "Actual", "mutability": setting.access, "persistent": True}
        if setting.access != "WriteOnly":
            attribute["value"] = self._settings.values[setting.name]
        characteristics: dict[str, Any] = {"dataType": DATA_TYPES[setting.kind], "supportsMonitoring": False}
        if setting.choices:
            characteristics["valuesList"] = ",".join(setting.choices)
        if setting.name.endswith("_s"):
            characteristics["unit"] = "s"
        return {
            "component": {"name": component},
            "variable": {"name": variable} | ({"instance": instance} if instance else {}),
            "variableAttribute": [attribute],
            "variableCharacteristics": characteristics,
        }

    def _availability(self, component: str, evse: Evse | None) -> dict[str, Any]:
        if evse is None:
            usable = any(e.operative for e in self._evses.values())
            value, name = "Available" if usable else "Unavailable", {"name": component}
        else:
            free = (EvseState.AVAILABLE, EvseState.UNAVAILABLE, EvseState.FAULTED)
            value = str(evse.state) if evse.state in free else "Occupied"
            return self._available({"name": component, "evse": {"id": evse.evse_id}}, value)
        return self._available(name, value)

    @staticmethod
    def _available(component: dict[str, Any], value: str) -> dict[str, Any]:
        return {
            "component": component,
            "variable": {"name": "AvailabilityState"},
            "variableAttribute": [{"type": "Actual", "value": value, "mutability": "ReadOnly"}],
            "variableCharacteristics": {
                "dataType": "OptionList",
                "supportsMonitoring": False,
                "valuesList": "Available,Occupied,Reserved,Unavailable,Faulted",
            },
        }
