"""A simulated charging station: one in software that behaves like one of metal."""

from simulators.clock import SimClock
from simulators.station.car import Car
from simulators.station.config import Quirks, StationConfig
from simulators.station.evse import Evse, EvseState
from simulators.station.station import Station

__all__ = ["Car", "Evse", "EvseState", "Quirks", "SimClock", "Station", "StationConfig"]
