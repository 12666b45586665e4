"""OCPP 2.1 (edition 1): what it adds to 2.0.1 or says anew. A module per functional block."""

from csms.ocpp.message import Messages

BLOCKS: tuple[Messages, ...] = ()
