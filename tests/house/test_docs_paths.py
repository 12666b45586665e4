"""What the pages tell people to call is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from csms.web.api.api import operations

DOCS = Path(__file__).parents[2] / "docs"
#: Pages that name operations; `terminals` names the terminals' cloud's too.
PAGES = ("owners", "first-day", "care", "payouts", "reconciliation", "operators", "pci", "terminals")
ELSEWHERE = {"GET /healthz", "GET /readyz", "POST /terminals/{serial}/start"}
_NAMED = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (?:/api/v1)?(/[A-Za-z0-9_{}<>./-]+[A-Za-z0-9_}>])")


def is_there(method: str, path: str) -> bool:
    """Whether an operation has this path; a value may stand where a parameter does."""
    told = path.split("/")
    for operation in operations():
        real = operation.path.split("/")
        same = len(told) == len(real) and operation.method == method
        if same and all(b.startswith("{") or a == b for a, b in zip(told, real, strict=True)):
            return True
    return False


@pytest.mark.parametrize("page", PAGES)
def test_every_operation_that_a_page_names_is_there(page: str) -> None:
    named = _NAMED.findall((DOCS / f"{page}.md").read_text(encoding="utf-8"))
    missing = {f"{method} {path}" for method, path in named if not is_there(method, path)}
    assert missing - ELSEWHERE == set()
