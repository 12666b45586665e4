"""Simulators pretend: a charging station and a terminals' cloud. They speak only the wires."""
