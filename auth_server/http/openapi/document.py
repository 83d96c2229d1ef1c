"""The document: endpoints to paths, operations, parameters, bodies."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from auth_server import __version__
from auth_server.http.openapi.answers import Answers
from auth_server.http.openapi.components import Components
from auth_server.protocol.description import Deprecated, Parameter, Schema
from auth_server.protocol.feature import Body, Endpoint, Operation

VERSION = "3.1.0"
TITLE = "Authorization server"
DESCRIPTION = (
    "OAuth 2.1 and OpenID Connect, and PhotoPrism's session API. Wherever a token is needed it may stand in "
    "`Authorization: Bearer`, `X-Auth-Token` or `X-Session-ID`; several in one request must agree. One that is "
    "bound to a key (`token_type` DPoP) is sent as `Authorization: DPoP` with a proof in the header `DPoP` (RFC 9449). "
    "What is deprecated says so here and in the headers `Deprecation`, `Sunset` and `Link`."
)
TAGS = {
    "Discovery": "What this server can do, and the keys that verify what it signs.",
    "OAuth": "Endpoints of OAuth 2.1 (RFC 6749 and its companions).",
    "PhotoPrism": "The session API of PhotoPrism, for its own clients as they are.",
    "Admin": "For those who run the server: tokens with a scope `admin:…`, errors as RFC 9457 has them.",
    "Operations": "Liveness, readiness, metrics.",
    "Pages": "For people, in a browser: their forms work for those who have the page only.",
    "Documentation": "This document, and pages that show it.",
}
SECURITY_SCHEMES: Mapping[str, Schema] = {
    "client": {
        "type": "http",
        "scheme": "basic",
        "description": "client_id and client_secret, each form-encoded (RFC 6749 §2.3.1). They, or an assertion, may "
        "stand in the body instead: then nothing is filled in here.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, session or app password."},
    "x_auth_token": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "The same, alone, as PhotoPrism's scripts send it.",
    },
    "x_session_id": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Session-ID",
        "description": "The same by its older name.",
    },
}
# `client` has one more alternative, no header at all: OpenAPI has no word for credentials in the body.
_ALTERNATIVES: Mapping[str, tuple[str, ...]] = {
    "bearer": ("bearer", "x_auth_token", "x_session_id"),
    "client": ("client", ""),
    "optional": ("",),
}
_PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
_REQUEST_TYPES = {Body.FORM: (_FORM,), Body.FORM_OR_JSON: (_FORM, _JSON), Body.JSON: (_JSON,), Body.ANY_JSON: (_JSON,)}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of the copy that the caller has; 304 if that is still good.",
    "schema": {"type": "string"},
}


def document(endpoints: Iterable[Endpoint], issuer: str) -> dict[str, Any]:
    """Return the OpenAPI document of *endpoints*.

    Raises:
        ValueError: two operations would have one operationId, or two schemas one title.
    """
    from apispec import APISpec

    endpoints = tuple(endpoints)
    info = {"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}}
    spec = APISpec(TITLE, __version__, VERSION, info=info, servers=[{"url": issuer}])
    for name, scheme in SECURITY_SCHEMES.items():
        spec.components.security_scheme(name, dict(scheme))
    for tag in dict.fromkeys(endpoint.tag for endpoint in endpoints):
        spec.tag({"name": tag, "description": TAGS[tag]} if tag in TAGS else {"name": tag})
    components = Components()
    answers = Answers(spec, components, _operation_ids(endpoints))
    for endpoint in endpoints:
        operations = {
            operation.method.lower(): _operation(components, answers, endpoint, operation, issuer)
            for operation in endpoint.operations
        }
        spec.path(_PLACEHOLDER.sub(r"{\1}", endpoint.path), operations=operations)
    for name, schema in sorted(components.schemas.items()):
        spec.components.schema(name, schema)
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


def _operation_ids(endpoints: Iterable[Endpoint]) -> set[str]:
    found: set[str] = set()
    for endpoint in endpoints:
        for operation in endpoint.operations:
            name = operation_id(operation.method, endpoint.path)
            if name in found:
                raise ValueError(f"there are two operations {name}")
            found.add(name)
    return found


def _operation(
    components: Components, answers: Answers, endpoint: Endpoint, operation: Operation, issuer: str
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation_id(operation.method, endpoint.path),
        "tags": [endpoint.tag],
        "summary": operation.summary,
        "responses": answers.of(endpoint, operation),
    }
    if text := _description(operation, issuer):
        described["description"] = text
    if operation.deprecated:
        described["deprecated"] = True
    if parameters := _parameters(components, endpoint, operation):
        described["parameters"] = parameters
    if operation.request is not None:
        described["requestBody"] = _request_body(components, operation, _REQUEST_TYPES[endpoint.body])
    if operation.security:
        described["security"] = _security(operation)
    return described


def _description(operation: Operation, issuer: str) -> str:
    parts = [operation.description] if operation.description else []
    if operation.scope:
        parts.append(f"Needs a token whose scope names `{operation.scope}`.")
    if operation.deprecated:
        parts.append(_end(operation.deprecated, issuer))
    return "\n\n".join(parts)


def _end(deprecated: Deprecated, issuer: str) -> str:
    text = f"**Deprecated** since {deprecated.since}"
    if deprecated.sunset:
        text += f", and may be gone from {deprecated.sunset} on"
    return f"{text}; see [what to use instead]({deprecated.url(issuer)})."


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    """The ways to authenticate; of a token also which word its scope must name (a role, as OpenAPI 3.1 calls it)."""
    choices = dict.fromkeys(name for word in operation.security for name in _ALTERNATIVES[word])
    words = [operation.scope] if operation.scope else []
    ways = [{name: words if name in _ALTERNATIVES["bearer"] else []} for name in choices if name]
    return ways + [{}] * ("" in choices)


def _parameters(components: Components, endpoint: Endpoint, operation: Operation) -> list[dict[str, Any]]:
    told = [("path", name, endpoint.arguments.get(name, "")) for name in _PLACEHOLDER.findall(endpoint.path)]
    told += [("query", name, text) for name, text in operation.query.items()]
    made = []
    for place, name, text in told:
        parameter = Parameter(text) if isinstance(text, str) else text
        described: dict[str, Any] = {"name": name, "in": place}
        if parameter.description:
            described["description"] = parameter.description
        if parameter.required or place == "path":
            described["required"] = True
        described["schema"] = components.schema(parameter.schema)
        examples = {
            title: {"summary": example.summary, "value": example.arguments[name]}
            for title, example in operation.examples.items()
            if name in example.arguments
        }
        if examples:
            described["examples"] = examples
        made.append(described)
    if endpoint.cacheable and 304 in operation.responses:
        made.append(dict(_IF_NONE_MATCH))
    return made


def _request_body(components: Components, operation: Operation, kinds: Sequence[str]) -> dict[str, Any]:
    """A body, with the operation's examples of it."""
    schema = operation.request or {}
    examples = {
        name: {"summary": example.summary, "value": dict(example.request)}
        for name, example in operation.examples.items()
        if example.request is not None
    }
    content = {}
    for kind in kinds:
        variant = _without_null(schema) if kind == _FORM else schema
        if variant is schema and len(kinds) > 1 and "title" in schema:
            variant = {**schema, "title": f"{schema['title']}Json"}
        content[kind] = {"schema": components.schema(variant), **({"examples": examples} if examples else {})}
    # Where a body of several types is required, openapi-python-client (0.29) writes code that cannot be imported; that
    # `grant_type` is needed is said by the schema all the same.
    return {"required": bool(schema.get("required")) and len(kinds) == 1, "content": content}


def _without_null(schema: Schema) -> Schema:
    """The schema of a form: it cannot say null, which in JSON means the same as an absent member."""
    members = {name: dict(member) for name, member in schema.get("properties", {}).items()}
    for member in members.values():
        if isinstance(member.get("type"), list):
            kinds = [kind for kind in member["type"] if kind != "null"]
            member["type"] = kinds[0] if len(kinds) == 1 else kinds
    return {**schema, "properties": members}
