"""Customer information: what a station knows of a customer."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import Field, model_validator
from sqlalchemy import select

from csms.stations.customer_information import reports
from csms.stations.transfers import new_request_id
from csms.web.api.access import Role
from csms.web.api.operation import ApiCall, Body, Reply, Resource, Shown
from csms.web.api.paging import Page, PageQuery, fetch_page
from csms.web.api.problem import Problem
from csms.web.api.station_commands import CommandShown, Wait, send
from csms.web.api.stations import require_station
from storage import diagnostics_schema as t
from storage.engine import reading, writing

resource = Resource("customer information")


class IdTokenGiven(Body):
    """An id token."""

    id_token: str = Field(min_length=1, max_length=255, description="As the station reads it.")
    type: str = Field(min_length=1, max_length=20, description="OCPP's IdTokenEnumType, such as ISO14443.")


class CertificateGiven(Body):
    """A certificate, by its hashes (OCPP's CertificateHashDataType)."""

    hash_algorithm: Literal["SHA256", "SHA384", "SHA512"] = Field(description="Of the hashes.")
    issuer_name_hash: str = Field(max_length=128, description="Hexadecimal.")
    issuer_key_hash: str = Field(max_length=128, description="Hexadecimal.")
    serial_number: str = Field(max_length=40, description="Hexadecimal.")


class NewRequest(Body):
    """Whose information, and what to do with it: report, clear, or both."""

    report: bool = Field(True, description="Have it reported.")
    clear: bool = Field(False, description="Have it cleared. A cleared id token leaves the station's local list too.")
    id_token: IdTokenGiven | None = Field(None, description="The customer, by id token.")
    customer_identifier: str | None = Field(
        None, min_length=1, max_length=64, description="Or by a vendor's identifier."
    )
    customer_certificate: CertificateGiven | None = Field(None, description="Or by certificate.")

    @model_validator(mode="after")
    def _one_customer(self) -> NewRequest:
        given = [self.id_token, self.customer_identifier, self.customer_certificate]
        if sum(customer is not None for customer in given) != 1:
            raise ValueError("give exactly one of id_token, customer_identifier and customer_certificate")
        if not self.report and not self.clear:
            raise ValueError("ask for report, clear, or both")
        return self

    def payload(self, request_id: int) -> dict[str, Any]:
        """2.0.1 CustomerInformationRequest."""
        made: dict[str, Any] = {"requestId": request_id, "report": self.report, "clear": self.clear}
        if self.id_token is not None:
            made["idToken"] = {"idToken": self.id_token.id_token, "type": self.id_token.type}
        if self.customer_identifier is not None:
            made["customerIdentifier"] = self.customer_identifier
        if self.customer_certificate is not None:
            given = self.customer_certificate
            made["customerCertificate"] = {
                "hashAlgorithm": given.hash_algorithm,
                "issuerNameHash": given.issuer_name_hash,
                "issuerKeyHash": given.issuer_key_hash,
                "serialNumber": given.serial_number,
            }
        return made


class InformationShown(Shown):
    """A request for customer information."""

    request_id: int
    status: str | None = Field(description="The station's answer; null: it reported unasked.")
    report: bool
    clear: bool
    customer: Any = Field(description="Whose, as OCPP names it.")
    requested_by: str | None
    requested_at: datetime
    completed_at: datetime | None = Field(description="When its last missing part had come.")


class InformationWithText(InformationShown):
    """A request for customer information, and what has been reported so far."""

    parts: int
    information: str


@resource.operation(
    "POST",
    "/stations/{station_id}/customer-information",
    role=Role.OPERATOR,
    query=Wait,
    body=NewRequest,
    answers={200: CommandShown, 202: CommandShown},
    errors=(409,),
)
async def request_customer_information(call: ApiCall) -> Reply:
    """Ask a station to report or clear what it knows of a customer. It is found under the request id of the call."""
    return await send(call, "CustomerInformation", call.body.payload(new_request_id()))


@resource.get("/stations/{station_id}/customer-information", Page[InformationShown], query=PageQuery)
async def list_customer_information(call: ApiCall) -> Page[InformationShown]:
    """List requests for customer information, the newest first."""
    await require_station(call)
    c = t.customer_information.c
    query = select(t.customer_information).where(c.station_id == call.path["station_id"])
    keys = [c.requested_at, c.request_id]
    async with reading(call.api.engine) as connection:
        return await fetch_page(
            connection, query, keys, call.query, lambda row: InformationShown(**_head(row)), newest_first=True
        )


@resource.get("/stations/{station_id}/customer-information/{request_id}", InformationWithText, role=Role.SUPPORT)
async def get_customer_information(call: ApiCall) -> InformationWithText:
    """Show what a station knows of a customer, as far as it has come."""
    station_id, request_id = call.path["station_id"], call.path["request_id"]
    c = t.customer_information.c
    async with reading(call.api.engine) as connection:
        query = select(t.customer_information).where(c.station_id == station_id, c.request_id == request_id)
        row = (await connection.execute(query)).first()
        if row is None:
            raise _none()
        parts = await reports.bodies(connection, station_id, request_id)
    return InformationWithText(**_head(row), parts=len(parts), information="".join(part.body for part in parts))


@resource.operation(
    "DELETE",
    "/stations/{station_id}/customer-information/{request_id}",
    role=Role.OPERATOR,
    answers={204: None},
)
async def forget_customer_information(call: ApiCall) -> Reply:
    """Forget what was reported here of a customer. The station is not asked anything."""
    async with writing(call.api.engine) as connection:
        known = await reports.forget(connection, call.path["station_id"], call.path["request_id"])
    if not known:
        raise _none()
    return Reply(None, 204)


def _none() -> Problem:
    return Problem(404, "There is no customer information with this request id.")


def _head(row: Any) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in InformationShown.model_fields}
    return values | {"customer": orjson.loads(row.customer) if row.customer else None}
