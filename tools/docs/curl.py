"""A curl command for an operation of the OpenAPI document. The tests run each of them."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
WIDTH = 100
VARIABLES = {
    "id": "$SESSION_ID",
    "ref_id": "$REF_ID",
    "refid": "$REF_ID",
    "uid": "$USER_UID",
    "file": "swagger-ui.css",
    "client_id": "$CLIENT_ID",
}
"""What stands for a placeholder of a path."""


def example(method: str, path: str, operation: Json) -> str:
    """Return the command, with continued lines where it is long."""
    parts = ["curl" if method == "GET" else f"curl -X {method}", *_credentials(operation), *_body(operation)]
    parts.append(f'"$ISSUER{_filled(path)}{_query(operation)}"')
    line = " ".join(parts)
    return line if len(line) <= WIDTH else " \\\n    ".join(parts)


def _filled(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: VARIABLES.get(found[1].lower(), f"${found[1].upper()}"), path)


def _query(operation: Json) -> str:
    given = [
        f"{one['name']}={one.get('example', one.get('schema', {}).get('examples', ['10'])[0])}"
        for one in operation.get("parameters", ())
        if one.get("in") == "query" and one.get("required")
    ]
    return f"?{'&'.join(given)}" if given else ""


def _credentials(operation: Json) -> Iterator[str]:
    ways = next(iter(operation.get("security", ())), {})  # the first is the usual one
    if any(name.startswith("client") for name in ways):
        yield '-u "$CLIENT_ID:$CLIENT_SECRET"'
    elif "bearer" in ways:
        yield '-H "Authorization: Bearer $TOKEN"'
    elif "x_auth_token" in ways:
        yield '-H "X-Auth-Token: $TOKEN"'


def _body(operation: Json) -> Iterator[str]:
    body = operation.get("requestBody", {}).get("content", {})
    if not body:
        return
    kind = next(iter(body))
    values = body[kind].get("example") or next(
        (each["value"] for each in body[kind].get("examples", {}).values() if "value" in each), {}
    )
    if kind == "application/x-www-form-urlencoded":
        yield from (f"-d {shlex.quote(f'{name}={value}')}" for name, value in values.items())
    else:
        yield f"-H 'Content-Type: {kind}'"
        yield f"-d {shlex.quote(json.dumps(values))}"
