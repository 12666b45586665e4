"""The receipt's page and the page of a session that has none yet. No script, no outside resource.

`CONTENT_SECURITY_POLICY` is the strictest policy under which both pages work; the style sheet is allowed by its hash.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from billing.money import format_money
from billing.receipt import SalesDocument
from billing.receipt_view import Row, format_energy, format_moment, receipt_view
from billing.words import words

_pages = Environment(
    loader=PackageLoader("billing"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
# The hash is over exactly what stands between <style> and </style>.
_STYLE = Markup(_pages.get_template("page.css").render())  # noqa: S704 — our own style sheet
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

REFRESH_S = 10


class StatusState(StrEnum):
    """What a driver needs to know of a session that has no receipt."""

    STARTING = "starting"
    CHARGING = "charging"
    FINISHING = "finishing"
    NOT_CHARGED = "not_charged"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """A session without a receipt. Energy in Wh, amounts in minor units of ``currency``, times aware.

    ``reason``: why nothing was charged, in the driver's language.
    """

    state: StatusState
    as_of: datetime
    time_zone: str
    currency: str
    held_minor: int = 0
    station_label: str = ""
    evse_label: str = ""
    started_at: datetime | None = None
    energy_wh: int | None = None
    cost_minor: int | None = None
    reason: str = ""


def render_html(document: SalesDocument, language: str, *, links: Mapping[str, str]) -> str:
    """The receipt's page in en or nb. ``links``: addresses of the downloads, under the keys ``pdf`` and ``json``."""
    view = receipt_view(document, language)
    downloads = [(words(language)[key], links[key]) for key in ("pdf", "json") if key in links]
    return _pages.get_template("receipt.html").render(
        view=view,
        text=words(language),
        style=_STYLE,
        downloads=downloads,
    )


def render_status_html(status: SessionStatus, language: str) -> str:
    """The page until there is a receipt. It asks again every `REFRESH_S` seconds, unless nothing more will happen."""
    text = words(language)

    def money(amount_minor: int) -> str:
        return format_money(amount_minor, status.currency, language)

    rows: list[Row] = [(text["station"], status.station_label), (text["evse"], status.evse_label)]
    if status.started_at is not None:
        rows.append((text["started_at"], format_moment(status.started_at, status.time_zone, language)))
    if status.energy_wh is not None:
        rows.append((text["energy_so_far"], format_energy(status.energy_wh, language)))
    if status.cost_minor is not None:
        rows.append((text["so_far"], money(status.cost_minor)))
    rows.append((text["reason"], status.reason))
    rows.append((text["as_of"], format_moment(status.as_of, status.time_zone, language)))
    notes = [text[f"explain_{status.state}"]]
    if status.held_minor and status.state is StatusState.NOT_CHARGED:
        notes = [text["hold_released"].format(held=money(status.held_minor))]
    elif status.held_minor:
        notes.append(text["explain_reserved"].format(held=money(status.held_minor)))
    return _pages.get_template("status.html").render(
        language="nb" if language == "nb" else "en",
        title=text[f"status_{status.state}"],
        state=str(status.state),
        rows_shown=[row for row in rows if row[1]],
        notes=notes,
        refresh_s=None if status.state is StatusState.NOT_CHARGED else REFRESH_S,
        style=_STYLE,
    )
