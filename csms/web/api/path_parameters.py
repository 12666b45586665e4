"""What stands in the API's paths. A resource adds its own (`csms.web.api.operation.Resource`)."""

from __future__ import annotations

from typing import Any

#: What stands in paths, by name: JSON schema (also what is accepted), with an example.
PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "station_id": {
        "type": "string",
        "pattern": r"^[A-Za-z0-9*_=:+|@.-]{1,48}$",
        "description": "Its identity.",
        "example": "CS1",
    },
    "evse_id": {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**31 - 1,
        "description": "EVSE; 0 is the station.",
        "example": 1,
    },
    "action": {
        "type": "string",
        "pattern": r"^[A-Za-z0-9]{1,60}$",
        "description": "OCPP action, as it is written.",
        "example": "TriggerMessage",
    },
    "command_id": {
        "type": "string",
        "pattern": r"^cmd_[0-9a-f]{24}$",
        "description": "As it was answered.",
        "example": "cmd_0123456789abcdef01234567",
    },
    "id_token": {
        "type": "string",
        "pattern": r"^[A-Za-z0-9*_=:+|@.-]{1,36}$",
        "description": "The token, as stations read it; case does not matter.",
        "example": "04A1B2C3",
    },
    "message_id": {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**31 - 1,
        "description": "The display message's number.",
        "example": 1,
    },
    "request_id": {
        "type": "integer",
        "minimum": -(2**31),
        "maximum": 2**31 - 1,
        "description": "OCPP's request id.",
        "example": 1,
    },
    "transfer_id": {
        "type": "string",
        "pattern": r"^trf_[0-9a-f]{24}$",
        "description": "As it was answered.",
        "example": "trf_0123456789abcdef01234567",
    },
    "image_id": {
        "type": "string",
        "pattern": r"^img_[0-9a-f]{24}$",
        "description": "As it was answered.",
        "example": "img_0123456789abcdef01234567",
    },
    "reservation_id": {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**31 - 1,
        "description": "The reservation's number.",
        "example": 1,
    },
    "profile_id": {
        "type": "integer",
        "minimum": -(2**31),
        "maximum": 2**31 - 1,
        "description": "The charging profile's number.",
        "example": 1,
    },
    "template_id": {
        "type": "string",
        "pattern": r"^tpl_[0-9a-f]{16}$",
        "description": "As it was answered.",
        "example": "tpl_0123456789abcdef",
    },
    "token_id": {
        "type": "string",
        "pattern": r"^[0-9a-f]{12}$",
        "description": "As it is listed.",
        "example": "0123456789ab",
    },
    "session_id": {
        "type": "string",
        "pattern": r"^[A-Za-z0-9_-]{1,40}$",
        "description": "As it is listed.",
        "example": "0123456789abcdef0123456789abcdef",
    },
}
