"""Certificates: our authority, what it issued, what stations have installed."""
