"""Licences of terminals (`csms.terminals.licences`): what is sold, what was ordered, and what is in force where."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from storage.columns import UtcDateTime
from storage.metadata import metadata

licence_skus = Table(
    "licence_skus",
    metadata,
    Column("sku", String(40), primary_key=True),
    Column("kind", String(12), nullable=False),  # billing.licence.LicenceKind
    Column("name", String(120), nullable=False),
    Column("price_minor", BigInteger, nullable=False),  # of one, without VAT
    Column("currency", String(3), nullable=False),
    Column("vat_percent", String(10), nullable=False),  # a decimal number
    Column("includes", Text, nullable=False),  # JSON: billing.licence.Included
    Column("on_sale", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

licence_orders = Table(
    "licence_orders",
    metadata,
    Column("order_id", String(32), primary_key=True),
    Column("owner_id", String(32), ForeignKey("owners.owner_id"), nullable=False),
    Column("state", String(12), nullable=False),  # new → confirmed | cancelled
    Column("currency", String(3), nullable=False),
    Column("reference", String(80), nullable=False),  # the owner's own
    Column("ordered_by", String(80), nullable=False),
    Column("ordered_at", UtcDateTime, nullable=False),
    Column("decided_by", String(80)),
    Column("decided_at", UtcDateTime),
    Index("ix_licence_orders_owner_id", "owner_id", "ordered_at"),
)

#: What was ordered, at the price of that moment: a line is never changed.
licence_order_lines = Table(
    "licence_order_lines",
    metadata,
    Column("order_id", String(32), ForeignKey("licence_orders.order_id"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("sku", String(40), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("name", String(120), nullable=False),
    Column("includes", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    Column("vat_percent", String(10), nullable=False),
    Column("net_minor", BigInteger, nullable=False),
    Column("vat_minor", BigInteger, nullable=False),
)

licences = Table(
    "licences",
    metadata,
    Column("licence_id", String(32), primary_key=True),
    Column("order_id", String(32), ForeignKey("licence_orders.order_id"), nullable=False),
    Column("line", Integer, nullable=False),
    Column("owner_id", String(32), nullable=False),
    Column("sku", String(40), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("name", String(120), nullable=False),
    Column("includes", Text, nullable=False),
    Column("confirmed_at", UtcDateTime),  # NULL: new
    # The terminal; NULL: available. An activation is bought once for each.
    Column("serial", String(40)),
    Column("activates", String(40), unique=True),  # an activation's serial again: the second one is refused
    Column("assigned_by", String(80)),
    Column("assigned_at", UtcDateTime),
    Column("starts_at", UtcDateTime),
    Column("ends_at", UtcDateTime),  # NULL: it does not end
    Column("renews", String(32), unique=True),  # the plan that it goes on from
    UniqueConstraint("serial", "starts_at", "kind"),
    Index("ix_licences_owner_id", "owner_id", "licence_id"),
    Index("ix_licences_order_id", "order_id"),
    Index("ix_licences_ends_at", "ends_at"),
)
