"""Fixtures for all tests, and a rule: what they print and log has no card number in it."""

from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from billing.pan import contains_pan, redact_pans
from tests.databases import database_url, databases

# A busy machine draws slowly, and answers late; that says nothing about what is tried.
settings.register_profile("tapvolt", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tapvolt")

__all__ = ["database_url", "databases"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that left a card number in its output or log (PCI DSS 3.4)."""
    report = yield
    found = [name for name, text in report.sections if contains_pan(text)]
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"a card number stands in: {', '.join(found)}"
    if found:
        report.sections = [(name, redact_pans(text)) for name, text in report.sections]
    return report
