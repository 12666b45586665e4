"""An operation of the API: a function with its method, path, role, query, body and answers declared beside it.

The declaration is all there is: it guards the call, reads and checks what came, writes the audit trail, and is what the
OpenAPI document is made from.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

import orjson
from aiohttp import web
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.pan import contains_pan
from csms.web.api import audit
from csms.web.api.access import Caller, Role, who
from csms.web.api.path_parameters import PATH_PARAMETERS
from csms.web.api.problem import Problem, invalid
from storage.engine import reading

if TYPE_CHECKING:
    from csms.web.api.api import Api

log = logging.getLogger(__name__)

PREFIX = "/api/v1"

#: Whose something is: (database, path value) → owner's id, None where there is none.
Owned = Callable[[AsyncConnection, Any], Awaitable[str | None]]

#: What stands in paths and belongs to a site owner, by name: how to find out whose it is (None: there is none).
OWNED: dict[str, Owned] = {}


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("is before the first or after the last day there is") from None


#: A time with its zone, kept as UTC.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


def _no_card_number(text: str) -> str:
    if contains_pan(text):
        raise ValueError("looks like a card number, and those are kept nowhere")
    return text.strip()


#: What a person writes and others read: never a card number.
FreeText = Annotated[str, AfterValidator(_no_card_number)]


class Body(BaseModel):
    """What callers send: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """What callers are shown."""

    @classmethod
    def of(cls, value: Any, **more: Any) -> Self:
        """Made of what ``value`` (a row, a dataclass) calls the same, and of ``more``."""
        same = {name: getattr(value, name) for name in cls.model_fields if name not in more}
        return cls(**same, **more)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a status or headers of its own."""

    content: BaseModel | None
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ApiCall:
    """One call, checked: path values have their types, ``query`` and ``body`` are what the operation declared."""

    api: Api
    caller: Caller
    path: dict[str, Any]
    query: Any
    body: Any
    if_match: str | None
    request: web.Request

    @property
    def now(self) -> datetime:
        """The clock."""
        return self.api.now()

    @property
    def owner_id(self) -> str | None:
        """The owner whose user is calling; None for the platform's own people."""
        return self.caller.owner_id

    def mine(self, query: Select[Any], column: ColumnElement[str]) -> Select[Any]:
        """``query``, for an owner's user held to the rows whose ``column`` is that owner."""
        return query if self.owner_id is None else query.where(column == self.owner_id)

    def require_mine(self, owner_id: str | None) -> None:
        """Refuse what is another owner's as if it were not there. Raises `Problem` 404."""
        if self.owner_id is not None and owner_id != self.owner_id:
            raise nothing_of_yours()

    def require_revision(self, revision: int) -> None:
        """Refuse an edit of what somebody else has edited meanwhile. Raises `Problem` 428, 412."""
        if self.if_match is None:
            raise Problem(428, "Send If-Match with the ETag you read, so that nobody's change is overwritten unseen.")
        if self.if_match != etag(revision):
            raise Problem(412, "This was changed meanwhile: read it again, and send its new ETag in If-Match.")


Handler = Callable[[ApiCall], Awaitable[Any]]
H = TypeVar("H", bound=Callable[[ApiCall], Awaitable[Any]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. ``body``: a model, or ``dict`` for any JSON object. ``answers``: success → model.

    ``takes_file``: the body is a file, which the handler reads from the request itself. ``owners``: site owners' users
    may call it too: what its path names is checked to be theirs (`OWNED`); lists and bodies are the handler's to hold
    to `ApiCall.owner_id`. ``may_be_empty``: no body at all is an empty object.
    """

    tag: str
    method: str
    path: str
    role: Role
    query: type[BaseModel] | None
    body: Any
    answers: Mapping[int, Any]
    errors: frozenset[int]
    edits: bool
    takes_file: bool
    content_type: str
    owners: bool
    may_be_empty: bool
    handler: Handler

    @property
    def operation_id(self) -> str:
        """The function's name."""
        return self.handler.__name__

    @property
    def parameters(self) -> list[str]:
        """The names in the path."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def statuses(self) -> frozenset[int]:
        """Every status it may answer with, the common refusals included."""
        common = {401, 403, 500, 503}
        common |= {400} if self.query is not None or self.body is not None else set()
        common |= {404} if self.parameters else set()
        common |= {413, 415, 422} if self.body is not None else set()
        common |= {413} if self.takes_file else set()
        common |= {412, 428} if self.edits else set()
        return frozenset({*self.answers, *self.errors, *common})


class Resource:
    """The operations of one noun.

    ``parameters``: what its paths name beyond `PATH_PARAMETERS`, in the same form. ``owned``: of those and others,
    whose they are.
    """

    def __init__(
        self,
        tag: str,
        *,
        parameters: Mapping[str, dict[str, Any]] | None = None,
        owned: Mapping[str, Owned] | None = None,
    ) -> None:
        self.tag = tag
        self.operations: list[Operation] = []
        PATH_PARAMETERS.update(parameters or {})
        OWNED.update(owned or {})

    def operation(
        self,
        method: str,
        path: str,
        *,
        role: Role,
        answers: Mapping[int, Any],
        query: type[BaseModel] | None = None,
        body: Any = None,
        errors: tuple[int, ...] = (),
        edits: bool = False,
        takes_file: bool = False,
        content_type: str = "application/json",
        owners: bool = False,
        may_be_empty: bool = False,
    ) -> Callable[[H], H]:
        """Enter a function. ``edits``: wants If-Match. ``content_type``: of the answer, where it is no JSON.

        ``owners``: site owners' users may call it, about what is theirs.
        """

        def enter(handler: H) -> H:
            self.operations.append(
                Operation(
                    tag=self.tag,
                    method=method,
                    path=path,
                    role=role,
                    query=query,
                    body=body,
                    answers=answers,
                    errors=frozenset(errors),
                    edits=edits,
                    takes_file=takes_file,
                    content_type=content_type,
                    owners=owners,
                    may_be_empty=may_be_empty,
                    handler=handler,
                )
            )
            return handler

        return enter

    def get(self, path: str, answer: Any, *, role: Role = Role.READ_ONLY, **rest: Any) -> Callable[[H], H]:
        """Enter a reading."""
        return self.operation("GET", path, role=role, answers={200: answer}, **rest)


def etag(revision: int) -> str:
    """The entity tag of a revision."""
    return f'"{revision}"'


def route(api: Api, operation: Operation) -> web.RouteDef:
    """The operation as a route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await _answer(api, operation, request)
        except Problem as problem:
            return problem.response()
        except (web.HTTPException, ConnectionResetError):
            raise
        except Exception:
            log.exception("%s failed", operation.operation_id)
            return Problem(
                500, "This is a defect of ours, and is in the log. Try again; report it if it stays."
            ).response()

    return web.route(operation.method, PREFIX + operation.path, handle)


async def _answer(api: Api, operation: Operation, request: web.Request) -> web.StreamResponse:
    caller = await who(api.engine, request.headers.get("Authorization"), api.now())
    if caller is None:
        raise Problem(
            401,
            "Send a valid token: Authorization: Bearer tvk_…; make one with `tapvolt token create`.",
            headers={"WWW-Authenticate": 'Bearer realm="tapvolt"'},
        )
    if operation.method == "GET":
        return await _carry_out(api, operation, request, caller, None)
    body: Any = None
    if operation.body is not None:
        body = {} if operation.may_be_empty and not request.can_read_body else await _json(request)
    audit_id = await audit.begin(api.engine, caller, operation.operation_id, request.path, body, api.now())
    status = 500
    try:
        answer = await _carry_out(api, operation, request, caller, body)
        status = answer.status
        return answer
    except Problem as problem:
        status = problem.status
        raise
    finally:
        await audit.end(api.engine, audit_id, status)


async def _carry_out(
    api: Api, operation: Operation, request: web.Request, caller: Caller, raw_body: Any
) -> web.StreamResponse:
    if not caller.role.may(operation.role):
        raise Problem(403, f"This needs the role {operation.role.value!r}; this token has {caller.role.value!r}.")
    if caller.owner_id is not None and not operation.owners:
        raise Problem(403, "This is for the platform's own people; this token is a site owner's.")
    path = {name: _path_value(name, request.match_info[name]) for name in operation.parameters}
    await _only_mine(api, caller, path)
    call = ApiCall(
        api=api,
        caller=caller,
        path=path,
        query=_query(operation, request),
        body=_body(operation, raw_body),
        if_match=request.headers.get("If-Match"),
        request=request,
    )
    result = await operation.handler(call)
    if isinstance(result, web.StreamResponse):
        return result
    reply = result if isinstance(result, Reply) else Reply(result, next(iter(operation.answers)))
    if reply.content is None:
        return web.Response(status=reply.status, headers=dict(reply.headers))
    body = orjson.dumps(reply.content.model_dump(mode="json"))
    return web.Response(status=reply.status, body=body, content_type="application/json", headers=dict(reply.headers))


async def _only_mine(api: Api, caller: Caller, path: Mapping[str, Any]) -> None:
    """An owner's user names nothing in a path that is not that owner's: it is as if it were not there.

    Before query and body are looked at, so that no refusal of theirs tells that it is.
    """
    if caller.owner_id is None:
        return
    async with reading(api.engine) as connection:
        for name, value in path.items():
            if name in OWNED and await OWNED[name](connection, value) != caller.owner_id:
                raise nothing_of_yours()


def nothing_of_yours() -> Problem:
    """404, the same for what is not there and for what is somebody else's."""
    return Problem(404, "There is none of yours with this name.")


def owned_by(owner: ColumnElement[Any], key: ColumnElement[Any]) -> Owned:
    """Whose the row with this ``key`` is: its ``owner`` column."""

    async def look(connection: AsyncConnection, value: Any) -> str | None:
        found: str | None = (await connection.execute(select(owner).where(key == value))).scalar()
        return found

    return look


def _path_value(name: str, text: str) -> Any:
    schema = PATH_PARAMETERS[name]
    if schema["type"] == "integer":
        number = int(text) if re.fullmatch(r"-?[0-9]{1,10}", text, re.ASCII) else None
        if number is None or not schema["minimum"] <= number <= schema["maximum"]:
            raise Problem(404, f"There is none: {name} is a number from {schema['minimum']} to {schema['maximum']}.")
        return number
    if not re.fullmatch(schema["pattern"].removeprefix("^").removesuffix("$"), text):
        raise Problem(404, f"There is none: no {name} looks like that.")
    return text


def _query(operation: Operation, request: web.Request) -> Any:
    model = operation.query or _NoQuery
    given: dict[str, Any] = {}
    for name in request.query:
        values = request.query.getall(name)
        if len(values) > 1 or "\0" in values[0]:
            raise Problem(400, "A query parameter stands there twice, or holds NUL.")
        given[name] = values[0]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise invalid(400, "The query is wrong; see errors.", error) from None


class _NoQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")


async def _json(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise Problem(415, "Send Content-Type: application/json.")
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Problem(413, "The body is larger than this system takes.") from None
    if b"\\u0000" in raw or b"\0" in raw:
        raise Problem(422, "The body holds NUL, which cannot be stored.")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Problem(400, "The body is not JSON.") from None


def _body(operation: Operation, raw: Any) -> Any:
    if operation.body is None:
        return None
    if operation.body is dict:
        if not isinstance(raw, dict):
            raise Problem(422, "The body is to be a JSON object.")
        return raw
    try:
        # JSON rules: a date is written as a string, a list is no tuple.
        return TypeAdapter(operation.body).validate_json(orjson.dumps(raw))
    except ValidationError as error:
        raise invalid(422, "The body is wrong; see errors.", error) from None
    except (TypeError, ValueError):
        raise Problem(422, "The body cannot be read.") from None
