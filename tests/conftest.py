"""Fixtures for all tests, and a rule: what they print and log has no card number in it."""

import gc
from collections.abc import Generator, Iterator

import pytest
from aiohttp import web_app
from hypothesis import HealthCheck, settings

from billing.pan import contains_pan, redact_pans
from tests.databases import database_url, databases, databases_of_the_test, kinds_of

# A busy machine draws slowly, and answers late; that says nothing about what is tried.
settings.register_profile("tapvolt", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tapvolt")

__all__ = ["database_url", "databases", "databases_of_the_test"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Deal the databases out, to tests that do not choose themselves."""
    chosen = any(mark.args[0] == "database_url" for mark in metafunc.definition.iter_markers("parametrize"))
    if "database_url" in metafunc.fixturenames and not chosen:
        metafunc.parametrize("database_url", kinds_of(metafunc.definition.nodeid), indirect=True)


def pytest_collection() -> None:
    """Collecting tests makes nothing but what stays: nothing for the collector of garbage to find."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What is there now it need not look through again and again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def no_system_outlives_its_test() -> Iterator[None]:
    """aiohttp remembers every application it has served, and with it all of its system; hundreds are a gigabyte."""
    yield
    web_app._cached_build_middleware.cache_clear()


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
