"""Fixtures for all tests."""

from tests.databases import database_url, databases

__all__ = ["database_url", "databases"]
