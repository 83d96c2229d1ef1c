"""OpenAPI 3.1: what every endpoint takes and answers, written from its declaration."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from auth_server import __version__
from auth_server.protocol.feature import Body, Endpoint, Operation, Schema, Surface

if TYPE_CHECKING:  # loaded only where a document is asked for
    from apispec import APISpec

VERSION = "3.1.0"
TITLE = "Authorization server"
DESCRIPTION = (
    "OAuth 2.1 and OpenID Connect, and PhotoPrism's session API. Wherever a token is needed it may stand in "
    "`Authorization: Bearer`, `X-Auth-Token` or `X-Session-ID`; several in one request must agree."
)
TAGS = {
    "Discovery": "What this server can do, and the keys that verify what it signs.",
    "OAuth": "Endpoints of OAuth 2.1 (RFC 6749 and its companions).",
    "PhotoPrism": "The session API of PhotoPrism, for its own clients as they are.",
    "Admin": "For those who run the server: tokens with a scope `admin:…`, errors as RFC 9457 has them.",
    "Operations": "Liveness, readiness, metrics.",
    "Documentation": "This document, and pages that show it.",
}
SECURITY_SCHEMES: Mapping[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, session or app password."},
    "x_auth_token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token", "description": "The same, alone."},
    "client": {
        "type": "http",
        "scheme": "basic",
        "description": "client_id and client_secret (RFC 6749 §2.3.1); they may also stand in the body.",
    },
}
_ALTERNATIVES: Mapping[str, tuple[Mapping[str, list[str]], ...]] = {
    "bearer": ({"bearer": []}, {"x_auth_token": []}),
    "client": ({"client": []},),
    "optional": ({},),
}
_PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_REQUEST_TYPES = {Body.FORM: (_FORM,), Body.FORM_OR_JSON: (_FORM, _JSON), Body.JSON: (_JSON,), Body.ANY_JSON: (_JSON,)}
_STRING = {"type": "string"}

_ERROR_SCHEMAS: Mapping[str, Schema] = {
    "OAuthError": {
        "description": "RFC 6749 §5.2, with PhotoPrism's members beside it.",
        "type": "object",
        "required": ["error", "code"],
        "properties": {
            "error": {**_STRING, "examples": ["invalid_request"]},
            "error_description": {**_STRING, "description": "For the developer of the client."},
            "code": {"type": "integer", "description": "40 for wrong credentials, else the status."},
            "message": _STRING,
        },
    },
    "PhotoPrismError": {
        "type": "object",
        "required": ["error"],
        "properties": {"code": {"type": "integer"}, "error": _STRING, "message": _STRING},
    },
    "Problem": {
        "description": "RFC 9457.",
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {"type": _STRING, "title": _STRING, "status": {"type": "integer"}, "detail": _STRING},
    },
    "RateLimited": {
        "type": "object",
        "required": ["error", "code"],
        "properties": {"error": {**_STRING, "const": "rate limit exceeded"}, "code": {"type": "integer", "const": 429}},
    },
}
_ERROR_CONTENT: Mapping[Surface, tuple[str, Schema | str]] = {
    Surface.OAUTH: (_JSON, "OAuthError"),
    Surface.PHOTOPRISM: (_JSON, "PhotoPrismError"),
    Surface.PROBLEM: ("application/problem+json", "Problem"),
    Surface.PAGE: ("text/html", _STRING),
}
_ERROR_TEXTS = {
    400: "The request cannot be understood, or a value is not acceptable.",
    401: "No credentials that count.",
    403: "The token does not reach that far.",
    404: "There is no such thing, or not for the one who asks.",
    409: "Taken, or changed meanwhile.",
    413: "The body is too long.",
    415: "A body of this type is not taken here.",
    429: "Too many tries.",
    503: "The server cannot answer now.",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "How to authenticate.", "schema": _STRING}}


def document(endpoints: Iterable[Endpoint], issuer: str) -> dict[str, Any]:
    """Return the OpenAPI document of *endpoints*.

    Raises:
        ValueError: two operations would have one operationId.
    """
    from apispec import APISpec

    endpoints = tuple(endpoints)
    spec = APISpec(
        TITLE,
        __version__,
        VERSION,
        info={"description": DESCRIPTION, "license": {"name": "MIT"}},
        servers=[{"url": issuer}],
    )
    for name, scheme in SECURITY_SCHEMES.items():
        spec.components.security_scheme(name, dict(scheme))
    for name, schema in _ERROR_SCHEMAS.items():
        spec.components.schema(name, dict(schema), lazy=True)
    for tag in dict.fromkeys(endpoint.tag for endpoint in endpoints):
        spec.tag({"name": tag, "description": TAGS[tag]} if tag in TAGS else {"name": tag})
    identifiers: set[str] = set()
    for endpoint in endpoints:
        operations = {}
        for operation in endpoint.operations:
            described = _operation(spec, endpoint, operation)
            if described["operationId"] in identifiers:
                raise ValueError(f"there are two operations {described['operationId']}")
            identifiers.add(described["operationId"])
            operations[operation.method.lower()] = described
        spec.path(_PLACEHOLDER.sub(r"{\1}", endpoint.path), operations=operations)
    return spec.to_dict()


def operation_id(method: str, path: str) -> str:
    """Return a name for generated clients: `post_oauth_token`, `get_admin_keys`; it follows from method and path."""
    for prefix in ("/api/v1/", "/.well-known/"):
        if path.startswith(prefix):
            rest = path.removeprefix(prefix)
            break
    else:
        rest = "root" + path
    words = _PLACEHOLDER.sub(r"by_\1", rest) + ("index" if rest.endswith("/") else "")
    return re.sub(r"[^a-z0-9]+", "_", f"{method} {words}".lower())


def _operation(spec: "APISpec", endpoint: Endpoint, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation_id(operation.method, endpoint.path),
        "tags": [endpoint.tag],
        "summary": operation.summary,
        "responses": _responses(spec, endpoint, operation),
    }
    if operation.description:
        described["description"] = operation.description
    parameters = [{"name": name, "in": "path", "schema": _STRING} for name in _PLACEHOLDER.findall(endpoint.path)]
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": _STRING} for name, text in operation.query.items()
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.request is not None:
        described["requestBody"] = _request_body(operation.request, _REQUEST_TYPES[endpoint.body])
    if operation.security:
        described["security"] = [choice for word in operation.security for choice in _ALTERNATIVES[word]]
    return described


def _request_body(schema: Schema, kinds: Sequence[str]) -> dict[str, Any]:
    """A body, with the least that is needed as its example where the schema has examples of it."""
    required, properties = schema.get("required", ()), schema.get("properties", {})
    medium: dict[str, Any] = {"schema": dict(schema)}
    if required and all(properties.get(name, {}).get("examples") for name in required):
        medium["example"] = {name: properties[name]["examples"][0] for name in required}
    return {"required": bool(required), "content": dict.fromkeys(kinds, medium)}


def _responses(spec: "APISpec", endpoint: Endpoint, operation: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, told in operation.responses.items():
        text, schema = (told, None) if isinstance(told, str) else told
        if schema is not None:
            responses[str(status)] = {"description": text, "content": {operation.produces: {"schema": dict(schema)}}}
        elif status >= 400:
            responses[str(status)] = _error(endpoint.surface, status, text)
        elif status == 200:
            responses["200"] = {"description": text, "content": {operation.produces: {"schema": _STRING}}}
        else:
            responses[str(status)] = {"description": text}
    for status in _possible_errors(endpoint, operation):
        if str(status) not in responses:
            responses[str(status)] = _shared_error(spec, endpoint.surface, status)
    return dict(sorted(responses.items()))


def _possible_errors(endpoint: Endpoint, operation: Operation) -> Sequence[int]:
    """The errors that an operation has because of what it takes and whom it asks for."""
    has_body = endpoint.body is not Body.NONE and operation.method != "GET"
    secured = bool(operation.security)
    errors = [400] * (has_body or secured or bool(operation.query))
    errors += [401, 403] * secured + [404] * ("<" in endpoint.path)
    errors += [413, 415] * has_body + [429] * (has_body or secured)
    return [*errors, 503]


def _shared_error(spec: "APISpec", surface: Surface, status: int) -> str:
    """The name of the component that describes an error on a surface; it is made if it is missing."""
    schema = _ERROR_CONTENT[surface][1]
    name = "RateLimited" if status == 429 else f"{schema if isinstance(schema, str) else 'Page'}{status}"
    if name not in spec.components.responses:
        spec.components.response(name, _error(surface, status, _ERROR_TEXTS[status]))
    return name


def _error(surface: Surface, status: int, text: str) -> dict[str, Any]:
    kind, schema = (_JSON, "RateLimited") if status == 429 else _ERROR_CONTENT[surface]
    content = {kind: {"schema": schema}}
    if status == HTTPStatus.BAD_REQUEST:  # tokens that differ are told alike everywhere (CONTRACT section 5)
        content.setdefault(_JSON, {"schema": "PhotoPrismError"})
    described: dict[str, Any] = {"description": text, "content": content}
    if status in (429, 503):
        described["headers"] = _RETRY_AFTER
    elif status == HTTPStatus.UNAUTHORIZED:
        described["headers"] = _CHALLENGE
    return described
