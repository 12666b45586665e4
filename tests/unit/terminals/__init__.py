"""Owners and care."""
