"""Monitors, the events they raise, security events, customer information."""
