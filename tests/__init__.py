"""Tests, by floor."""
