"""Firmware and log transfers, and what stations uploaded."""
