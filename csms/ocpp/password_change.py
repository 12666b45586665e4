"""How each version tells a station its new HTTP Basic password."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field

from csms.ocpp.dialect import Payload, obj, objects, text

_ALPHABET = string.ascii_letters + string.digits

_KEY = "AuthorizationKey"  # 1.6 security whitepaper §5.1
_COMPONENT, _VARIABLE = "SecurityCtrlr", "BasicAuthPassword"  # 2.0.1 A01


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChange:
    """The call, and what the station may come back with."""

    action: str
    payload: Payload = field(repr=False)
    forms: tuple[str, ...] = field(repr=False)


def new_password(version: str) -> PasswordChange:
    """A new random password for a station of ``version``."""
    if version == "ocpp1.6":
        # 20 characters of 119 bits, sent as the 40 hexadecimal digits that every station must take. Those that do not
        # decode them come back with the digits.
        password = _random(20)
        digits = password.encode().hex()
        return PasswordChange(action="ChangeConfiguration", payload=_payload(version, digits), forms=(password, digits))
    password = _random(32)
    return PasswordChange(action="SetVariables", payload=_payload(version, password), forms=(password,))


def shown_change(version: str, mask: str) -> tuple[str, Payload]:
    """Action and payload with ``mask`` in the password's place."""
    return ("ChangeConfiguration" if version == "ocpp1.6" else "SetVariables"), _payload(version, mask)


def sets_password(action: str, payload: Payload) -> bool:
    """Whether a call would set a station's password past the rotation."""
    if action == "ChangeConfiguration":
        return text(payload, "key").strip().casefold() == _KEY.casefold()
    if action == "SetNetworkProfile":  # 2.1 has one there
        return "basicAuthPassword" in obj(payload, "connectionData")
    return action == "SetVariables" and any(
        text(obj(data, "variable"), "name").strip().casefold() == _VARIABLE.casefold()
        for data in objects(payload, "setVariableData")
    )


def _payload(version: str, password: str) -> Payload:
    if version == "ocpp1.6":
        return {"key": _KEY, "value": password}
    data = {"component": {"name": _COMPONENT}, "variable": {"name": _VARIABLE}, "attributeValue": password}
    return {"setVariableData": [data]}


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
