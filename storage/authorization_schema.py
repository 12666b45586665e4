"""Local authorization lists (`csms.stations`); id tokens themselves are in `storage.schema`."""
