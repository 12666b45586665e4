"""Owners and the care for their terminals: the pure parts."""
