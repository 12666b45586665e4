"""Configuration as desired state: templates, and how each station stands to them."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from datetime import datetime
from typing import Any, Self

import orjson
from pydantic import Field, model_validator
from sqlalchemy import delete, select, update

from csms.stations.configuration import CheckConfiguration, ConfigurationAsked, Scope, Status, Wanted, layers, resolved
from csms.stations.device_model import VariableId
from csms.stations.masking import names_a_secret
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Reply, Resource, Shown, etag
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.stations import require_station
from storage import device_model_schema as t
from storage.engine import reading, writing

resource = Resource("configuration")


class WantedVariable(Body):
    """A variable and its value.

    OCPP 1.6's keys go by the 2.0.1 names they correspond to; the others are variables of the component
    `ConfigurationKey`.
    """

    component: str = Field(min_length=1, max_length=50, description="2.0.1 component.")
    variable: str = Field(min_length=1, max_length=50, description="2.0.1 variable.")
    component_instance: str = Field("", max_length=50, description="Which of several such components.")
    variable_instance: str = Field("", max_length=50, description="Which of several such variables.")
    evse_id: int = Field(0, ge=0, le=2**31 - 1, description="0: the station.")
    connector_id: int = Field(0, ge=0, le=2**31 - 1, description="0: the EVSE.")
    value: str = Field(max_length=1000, description="The value it should have, as OCPP writes it.")
    version: str | None = Field(
        None, pattern=r"^ocpp(1\.6|2\.0\.1|2\.1)$", description="Only on this version; null: on every one."
    )

    @model_validator(mode="after")
    def _no_secret(self) -> Self:
        if names_a_secret(self.variable):
            raise ValueError("passwords are not configured by templates: use POST /stations/{station_id}/password")
        return self

    def wanted(self) -> Wanted:
        """As the check knows it."""
        names = VariableId.__dataclass_fields__
        return Wanted(id=VariableId(**self.model_dump(include=set(names))), value=self.value, version=self.version)


class TemplateWanted(Body):
    """A template."""

    scope: Scope = Field(description="Whose: all, vendor, model, site or station; the more special one wins.")
    name: str = Field("", max_length=64, description="Which vendor, model, site or station; empty for all.")
    variables: list[WantedVariable] = Field(min_length=1, max_length=200, description="What is wanted.")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.scope is Scope.ALL) != (self.name == ""):
            raise ValueError("name says which vendor, model, site or station; for scope all it is empty")
        return self


class TemplateShown(Shown):
    """A template."""

    template_id: str
    scope: Scope
    name: str
    variables: list[Any]
    revision: int
    updated_at: datetime


class CheckedShown(Shown):
    """How a wanted variable stands at a station."""

    component: str
    component_instance: str
    evse_id: int
    connector_id: int
    variable: str
    variable_instance: str
    wanted: str
    actual: str | None
    status: Status = Field(description="unknown: the station has no such variable.")
    detail: str = Field(description="The station's word.")
    drifts: int = Field(description="How often it was found changed after it had been in force.")
    checked_at: datetime


class WantedShown(Shown):
    """A wanted variable that was not checked yet."""

    variable: str
    value: str


class StationConfiguration(Shown):
    """How a station stands to what is wanted of it."""

    checked: list[CheckedShown]
    pending: list[WantedShown] = Field(description="Wanted, and not checked yet: since a template was changed.")


@resource.get("/configuration-templates", Page[TemplateShown], query=PageQuery)
async def list_templates(call: ApiCall) -> Page[TemplateShown]:
    """List templates. What billing needs is built in, comes before them all, and is not listed."""
    async with reading(call.api.engine) as connection:
        query = select(t.configuration_templates)
        return await fetch_page(connection, query, [t.configuration_templates.c.template_id], call.query, _template)


@resource.operation(
    "POST", "/configuration-templates", role=Role.OPERATOR, body=TemplateWanted, answers={201: TemplateShown}
)
async def make_template(call: ApiCall) -> Reply:
    """Write a template. Stations are set at their next boot or check; `apply` does it at once."""
    template_id = f"tpl_{secrets.token_hex(8)}"
    row = _row(call.body) | {"template_id": template_id, "revision": 1, "updated_at": call.now}
    async with writing(call.api.engine) as connection:
        await connection.execute(t.configuration_templates.insert().values(row))
    return _reply(await _get(call, template_id), 201)


@resource.get("/configuration-templates/{template_id}", TemplateShown)
async def get_template(call: ApiCall) -> Reply:
    """Show a template."""
    return _reply(await _get(call, call.path["template_id"]), 200)


@resource.operation(
    "PUT",
    "/configuration-templates/{template_id}",
    role=Role.OPERATOR,
    body=TemplateWanted,
    answers={200: TemplateShown},
    edits=True,
)
async def change_template(call: ApiCall) -> Reply:
    """Write a template anew."""
    shown = await _get(call, call.path["template_id"])
    call.require_revision(shown.revision)
    c = t.configuration_templates.c
    row = _row(call.body) | {"revision": shown.revision + 1, "updated_at": call.now}
    async with writing(call.api.engine) as connection:
        same = (c.template_id == shown.template_id, c.revision == shown.revision)
        changed = await connection.execute(update(t.configuration_templates).where(*same).values(row))
    if not changed.rowcount:
        raise Problem(412, "This was changed meanwhile: read it again, and send its new ETag in If-Match.")
    return _reply(await _get(call, shown.template_id), 200)


@resource.operation(
    "DELETE", "/configuration-templates/{template_id}", role=Role.OPERATOR, answers={204: None}, edits=True
)
async def delete_template(call: ApiCall) -> Reply:
    """Delete a template. Stations keep what they were set to; it is no longer looked after."""
    shown = await _get(call, call.path["template_id"])
    call.require_revision(shown.revision)
    c = t.configuration_templates.c
    async with writing(call.api.engine) as connection:
        await connection.execute(delete(t.configuration_templates).where(c.template_id == shown.template_id))
    return Reply(None, 204)


@resource.get("/stations/{station_id}/configuration", StationConfiguration)
async def get_configuration(call: ApiCall) -> StationConfiguration:
    """Show how a station stands to what is wanted of it."""
    station = await require_station(call)
    s = t.configuration_state.c
    query = select(t.configuration_state).where(s.station_id == station.station_id).order_by(s.component, s.variable)
    async with reading(call.api.engine) as connection:
        rows = (await connection.execute(query)).all()
    checked = [CheckedShown(**{name: getattr(row, name) for name in CheckedShown.model_fields}) for row in rows]
    wanted = resolved(await layers(call.api.engine, call.api.built_in, station.station_id), station.version or "")
    names = VariableId.__dataclass_fields__
    known = {VariableId(**{name: getattr(row, name) for name in names}): row.wanted for row in rows}
    pending = [WantedShown(variable=str(v), value=value) for v, value in wanted.items() if known.get(v) != value]
    return StationConfiguration(checked=checked, pending=pending)


@resource.operation(
    "POST", "/stations/{station_id}/configuration/apply", role=Role.OPERATOR, answers={202: None}, errors=(409,)
)
async def apply_configuration(call: ApiCall) -> Reply:
    """Check the station now, and set what differs. Look at its configuration for the outcome."""
    station = await require_station(call)
    if not station.connected:
        raise Problem(409, "The station is not connected; it is checked when it boots.")
    key = f"configuration:{station.station_id}:{secrets.token_hex(8)}"
    command = CheckConfiguration(key=key, station_id=station.station_id)
    await call.api.service.submit(
        ConfigurationAsked(key=f"{key}:asked", at=call.now, station_id=station.station_id, command_key=command.key)
    )
    return Reply(None, 202)


async def _get(call: ApiCall, template_id: str) -> TemplateShown:
    c = t.configuration_templates.c
    async with reading(call.api.engine) as connection:
        query = select(t.configuration_templates).where(c.template_id == template_id)
        row = (await connection.execute(query)).first()
    if row is None:
        raise Problem(404, "There is no template of this id.")
    return _template(row)


def _row(body: TemplateWanted) -> dict[str, Any]:
    variables = [asdict(variable.wanted()) for variable in body.variables]
    return {"scope": body.scope.value, "name": body.name, "variables": orjson.dumps(variables).decode()}


def _template(row: Any) -> TemplateShown:
    values = {name: getattr(row, name) for name in TemplateShown.model_fields}
    stored = orjson.loads(row.variables)
    values["variables"] = [v["id"] | {"value": v["value"], "version": v["version"]} for v in stored]
    return TemplateShown(**values)


def _reply(shown: TemplateShown, status: int) -> Reply:
    return Reply(shown, status, {"ETag": etag(shown.revision)})
