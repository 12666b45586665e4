"""Errors as problem documents (RFC 9457) that say what to do. Values that were sent are never repeated in them."""

from __future__ import annotations

import http
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Where, as a dotted path.")
    detail: str = Field(description="What is wrong with it.")


class ProblemDocument(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(title="Problem")

    type: str = Field("about:blank", description="Kind of problem.")
    title: str = Field(description="The kind, in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened here, and what to do.")
    errors: list[FieldProblem] = Field(default_factory=list, description="Field by field, where fields are wrong.")


class Problem(Exception):
    """Raise it from an operation; it becomes the answer."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers or {}

    def response(self) -> web.Response:
        """The answer."""
        document = ProblemDocument(
            title=http.HTTPStatus(self.status).phrase, status=self.status, detail=self.detail, errors=self.errors
        )
        body = orjson.dumps(document.model_dump())
        return web.Response(
            status=self.status, body=body, content_type="application/problem+json", headers=self.headers
        )


def invalid(status: int, detail: str, error: ValidationError) -> Problem:
    """What pydantic found, without the values."""
    errors = [
        FieldProblem(field=".".join(str(part) for part in found["loc"]), detail=_text(found))
        for found in error.errors(include_url=False, include_input=False, include_context=True)[:50]
    ]
    return Problem(status, detail, errors=errors)


def _text(found: Any) -> str:
    """Pydantic's sentence; texts of ours are made without values, its own quote none but enum members and bounds."""
    return str(found["msg"]).removeprefix("Value error, ")[:300]
