"""The OCPP shell: the only place that knows which version a station speaks."""
