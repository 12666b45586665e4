"""The table of operations in `docs/api.md`, made from their declarations: ``python -m csms.web.api.operations_doc``."""

from __future__ import annotations

import inspect

from csms.web.api.api import operations

_HEAD = """\
# The operator's API

`/api/v1`, JSON over HTTP. It describes itself: `GET /api/v1/openapi.json` is an OpenAPI 3.1 document, for which
nobody needs a token. `make docs` writes this page anew.

**Tokens.** Make the first one on the machine, further ones over the API; each is shown once:

```sh
tapvolt token create "Kari" --role admin
```

Send it as `Authorization: Bearer tvk_…`. Its role is one of `admin`, `operator`, `support`, `read-only`; each may
do what the later ones may. A token ends when it is revoked or expires.

**Lists** come in pages: `limit` (50; at most 500), and `after` with the `next` of the page before. Filters are
query parameters. **Edits** of what several people edit want the `ETag` that was read, in `If-Match`: 428 without
one, 412 if somebody was quicker. **Errors** are problem documents (RFC 9457): `detail` says what to do, `errors`
which fields. **Every operation that changes something** leaves a row in `/audit` before it begins: who, what, and
how it ended; secrets masked.

**The engineer's door:** `POST /stations/{station_id}/commands/{Action}` sends any action of the station's version
([all of them](messages.md)) with its OCPP payload as the body. With `?wait=10` the answer holds the station's
reply; without, or when it takes longer, it is 202 and `Location` says where to look. A command outlives this
process: `queued` → `sent` → `accepted`, `refused` or `timed_out` (sent, unanswered: it may have taken effect), or
`offline` (never sent). One that was interrupted is not repeated.

```sh
curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
     -d '{"requestedMessage": "StatusNotification"}' \\
     "http://127.0.0.1:8080/api/v1/stations/CP-1/commands/TriggerMessage?wait=10"
```

**Live:** `GET /stations/{station_id}/messages/stream` sends a station's frames as server-sent events as they pass.

## Operations
"""


def text() -> str:
    """The whole page."""
    lines = [_HEAD]
    listed = operations()
    for tag in sorted({operation.tag for operation in listed}):
        lines += [f"### {tag[0].upper()}{tag[1:]}", "", "| | role | |", "|---|---|---|"]
        for operation in listed:
            if operation.tag == tag:
                summary = inspect.cleandoc(operation.handler.__doc__ or "").split("\n\n")[0].replace("\n", " ")
                lines.append(f"| `{operation.method} {operation.path}` | {operation.role.value} | {summary} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(text(), end="")
