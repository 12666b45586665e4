"""Processes for tests, forked from one that has imported everything: a system of its own starts in a moment."""

from __future__ import annotations

import multiprocessing
import pkgutil

from csms import stations
from csms.web import api

#: What a system imports only while it starts, besides itself; the migrations' library and the databases' drivers too.
_LATE = [
    f"{package.__name__}.{found.name}"
    for package in (api, stations)
    for found in pkgutil.iter_modules(package.__path__)
]

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    ["csms.app", "csms.settings", *_LATE, "aiosqlite", "asyncpg", "alembic.command", "tests.conformance.bench"]
)
