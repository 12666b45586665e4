"""All tables of the one schema: `storage.schema`, and every `*_schema` module beside it."""

from __future__ import annotations

import importlib
import pkgutil

from sqlalchemy import MetaData, Table

import storage
from storage.metadata import metadata


def load() -> MetaData:
    """The metadata, once every module with tables has been imported."""
    for name in sorted(module.name for module in pkgutil.iter_modules(storage.__path__)):
        if name == "schema" or name.endswith("_schema"):
            importlib.import_module(f"storage.{name}")
    return metadata


def of(module: str) -> list[Table]:
    """The tables that one module defines."""
    return [table for table in vars(importlib.import_module(f"storage.{module}")).values() if isinstance(table, Table)]
