"""The OpenAPI 3.1 document, made from the operations' declarations."""

from __future__ import annotations

import http
import inspect
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from csms.web.api.operation import PREFIX, Operation
from csms.web.api.path_parameters import PATH_PARAMETERS
from csms.web.api.problem import ProblemDocument

_REF = "#/components/schemas/{model}"


def document(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """The whole document."""
    listed = list(operations)
    schemas, definitions = _schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    for operation in listed:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tapvolt",
            "version": version,
            "summary": "The operator's API: stations, charges, tokens, certificates, and every OCPP message.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in listed)],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "tvk_…"}},
        },
    }


Schemas = dict[tuple[Any, JsonSchemaMode], dict[str, Any]]


def _schemas(operations: list[Operation]) -> tuple[Schemas, dict[str, Any]]:
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ProblemDocument, "serialization"): None}
    for operation in operations:
        if inspect.isclass(operation.body) and issubclass(operation.body, BaseModel):
            wanted[operation.body, "validation"] = None
        for model in operation.answers.values():
            if model is not None:
                wanted[model, "serialization"] = None
    schemas, top = models_json_schema(list(wanted), ref_template=_REF)
    return dict(schemas), top.get("$defs", {})


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    summary, _, description = inspect.cleandoc(operation.handler.__doc__ or "").partition("\n\n")
    made: dict[str, Any] = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": summary.replace("\n", " "),
        "description": f"{description}\n\n{_who(operation)}".strip(),
        "parameters": _parameters(operation),
        "responses": {str(status): _response(operation, status, schemas) for status in sorted(operation.statuses)},
    }
    if operation.body is not None:
        schema = {"type": "object"} if operation.body is dict else schemas[operation.body, "validation"]
        content = {"application/json": {"schema": schema}}
        made["requestBody"] = {"required": not operation.may_be_empty, "content": content}
    if operation.takes_file:
        content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _who(operation: Operation) -> str:
    owners = " Site owners' users may call it, about what is their owner's." if operation.owners else ""
    return f"Needs the role `{operation.role.value}`.{owners}"


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found = []
    for name in operation.parameters:
        schema = dict(PATH_PARAMETERS[name])
        about = {key: schema.pop(key) for key in ("description", "example")}
        found.append({"name": name, "in": "path", "required": True, "schema": schema} | about)
    if operation.query is not None:
        schema = operation.query.model_json_schema()
        for name, field in schema.get("properties", {}).items():
            entry = {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": field}
            found.append(entry | {"description": field.get("description", name)})
    if operation.edits:
        entry = {"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"}}
        found.append(entry | {"description": "The ETag that was read."})
    return found


def _response(operation: Operation, status: int, schemas: Schemas) -> dict[str, Any]:
    made: dict[str, Any] = {"description": http.HTTPStatus(status).phrase}
    if status not in operation.answers:
        made["content"] = {"application/problem+json": {"schema": schemas[ProblemDocument, "serialization"]}}
        return made
    model = operation.answers[status]
    if model is not None:
        made["content"] = {"application/json": {"schema": schemas[model, "serialization"]}}
    elif operation.content_type != "application/json":
        made["content"] = {operation.content_type: {}}
    return made
