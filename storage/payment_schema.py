"""OCPP 2.1 at stations that take payments themselves: settlements, tariffs set at stations."""
