"""Firmware and log transfers, what stations uploaded, and firmware images."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from storage.columns import Identity, UtcDateTime
from storage.metadata import metadata

firmware_images = Table(
    "firmware_images",
    metadata,
    Column("image_id", String(40), primary_key=True),
    Column("version", String(50), nullable=False),
    Column("vendor", String(60)),
    Column("model", String(60)),
    Column("file_name", String(100), nullable=False),
    Column("signature", Text),  # base64, as UpdateFirmware wants it
    Column("signing_certificate", Text),  # PEM
    Column("size", BigInteger),  # bytes; NULL: the file has not been uploaded
    Column("sha256", String(64)),
    Column("md5", String(32)),  # what PublishFirmware asks for; proves nothing
    Column("created_by", String(80), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

transfers = Table(
    "transfers",
    metadata,
    Column("transfer_id", String(40), primary_key=True),
    Column("station_id", String(64), nullable=False),
    Column("kind", String(12), nullable=False),  # firmware | publication | log
    Column("action", String(60)),  # NULL: the station spoke of a request that is not ours
    Column("request_id", Integer),
    Column("command_id", String(40)),
    Column("state", String(12), nullable=False),  # csms.stations.transfers.TransferState
    Column("status", String(40)),  # the station's last word
    Column("log_type", String(40)),
    Column("file_name", String(255)),  # as the station calls it
    Column("location", Text),  # where it is not this system's own
    Column("image_id", String(40)),
    Column("checksum", String(32)),  # of a publication
    Column("published_at", Text),  # the addresses of a publication, JSON
    Column("token_hash", String(64), unique=True),  # of the link's secret: upload, or firmware download
    Column("link_expires_at", UtcDateTime),
    Column("requested_by", String(80)),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("fetched_at", UtcDateTime),  # the station began to download the image
    Column("upload_name", String(100)),
    Column("upload_size", BigInteger),
    Column("upload_sha256", String(64)),
    Column("uploaded_at", UtcDateTime),
    Column("upload_removed_at", UtcDateTime),
    Index("ix_transfers_station_id_kind_requested_at", "station_id", "kind", "requested_at"),
    Index("ix_transfers_requested_at", "requested_at"),
    Index("ix_transfers_command_id", "command_id"),
)

transfer_progress = Table(
    "transfer_progress",
    metadata,
    Column("progress_id", Identity, primary_key=True, autoincrement=True),
    Column("transfer_id", String(40), ForeignKey("transfers.transfer_id"), nullable=False),
    Column("status", String(40), nullable=False),
    Column("detail", Text),  # 2.1: statusInfo, JSON
    Column("at", UtcDateTime, nullable=False),
    Index("ix_transfer_progress_transfer_id", "transfer_id"),
)
