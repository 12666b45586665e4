"""Charging profiles, composite schedules, limits and EV needs."""
