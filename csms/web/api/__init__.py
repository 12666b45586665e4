"""The operator's API, `/api/v1`: one resource a file, described by itself (OpenAPI 3.1 at `/api/v1/openapi.json`)."""
