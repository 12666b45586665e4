"""The central system: the OCPP shell, the pages, the application and its command line."""
