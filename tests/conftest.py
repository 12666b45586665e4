"""Fixtures for all tests."""

from hypothesis import HealthCheck, settings

from tests.databases import database_url, databases

# A busy machine draws slowly, and answers late; that says nothing about what is tried.
settings.register_profile("tapvolt", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tapvolt")

__all__ = ["database_url", "databases"]
