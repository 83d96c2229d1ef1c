"""Errors as the document tells them: schemas, examples from the renderers themselves, and a list for the manual."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from auth_server.errors import (
    AuthServerError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    Throttled,
    Unavailable,
)
from auth_server.http.errors import Bug, HttpError, render
from auth_server.protocol import bearer
from auth_server.protocol.description import Answer, Schema
from auth_server.protocol.errors import InvalidClient, InvalidRequest
from auth_server.protocol.feature import Body, Endpoint, Operation, Surface
from auth_server.protocol.photoprism import shapes

JSON, PROBLEM, HTML = "application/json", "application/problem+json", "text/html"
_STRING, _INTEGER = {"type": "string"}, {"type": "integer"}

OAUTH_ERROR: Schema = {
    "title": "OAuthError",
    "description": "RFC 6749 §5.2, with PhotoPrism's members beside it.",
    "type": "object",
    "required": ["error", "code"],
    "properties": {
        "error": {**_STRING, "examples": ["invalid_request"]},
        "error_description": {**_STRING, "description": "For the developer of the client."},
        "code": {**_INTEGER, "description": "40 for wrong credentials, 32 for a missing code, else the status."},
        "message": {**_STRING, "description": "For the person."},
    },
}
PROBLEM_DETAILS: Schema = {
    "title": "Problem",
    "description": "RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {**_STRING, "format": "uri-reference"},
        "title": _STRING,
        "status": _INTEGER,
        "detail": {**_STRING, "description": "What is wrong, and what to send instead."},
    },
}
RATE_LIMITED: Schema = {
    "title": "RateLimited",
    "type": "object",
    "required": ["error", "code"],
    "properties": {"error": {**_STRING, "const": "rate limit exceeded"}, "code": {**_INTEGER, "const": 429}},
}
_FORMS: Mapping[Surface, tuple[str, Schema]] = {
    Surface.OAUTH: (JSON, OAUTH_ERROR),
    Surface.PHOTOPRISM: (JSON, shapes.ERROR),
    Surface.PROBLEM: (PROBLEM, PROBLEM_DETAILS),
    Surface.PAGE: (HTML, _STRING),
}
TEXTS: Mapping[int, str] = {
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
_SAMPLES: Mapping[int, AuthServerError] = {
    400: InvalidInput("body", "must be a JSON object"),
    401: NotAuthenticated(bearer.LOGIN_NEEDED),
    403: Forbidden(bearer.DENIED),
    404: NotFound("Not found"),
    409: Conflict("It was changed meanwhile, try again"),
    413: HttpError(413, "The body must have at most 65536 bytes"),
    415: HttpError(415, f"The body must be {JSON}"),
    429: Throttled(60),
    503: Unavailable(),
}
_OAUTH_SAMPLES: Mapping[int, AuthServerError] = {400: InvalidRequest("A parameter is repeated"), 401: InvalidClient()}
# What any request may meet, whatever it asks for.
_EVERYWHERE: Sequence[tuple[AuthServerError, str]] = (
    (HttpError(404, "Not found"), "There is no such path."),
    (HttpError(405, "Method not allowed"), "The path has no such method; Allow names those that it has."),
    (HttpError(408, "The body did not arrive in time"), "The body stopped for longer than REQUEST_TIMEOUT."),
    (Bug("4f1c0a9be27d5386"), "A bug; the log has the rest under the id that the answer names."),
)


@dataclass(frozen=True)
class DocumentedError:
    """One line of an error table.

    Attributes:
        text: when it comes.
        body: an example of the answer's body; None for a page.
        where: method and path of each operation that has it; empty for all.
    """

    status: int
    text: str
    body: Mapping[str, Any] | None
    where: tuple[str, ...]


def documented_errors(endpoints: Iterable[Endpoint]) -> list[DocumentedError]:
    """Return every error that the document of *endpoints* tells of, by status; those of any path come first."""
    where: dict[tuple[int, str, Surface], list[str]] = {}
    for endpoint in endpoints:
        for operation in endpoint.operations:
            for status, answer in errors_of(endpoint, operation):
                places = where.setdefault((status, answer.description, endpoint.surface), [])
                places.append(f"{operation.method} {endpoint.path}")
    found = [_everywhere(error, text) for error, text in _EVERYWHERE]
    found += [
        DocumentedError(status, text, example(surface, status), tuple(places))
        for (status, text, surface), places in where.items()
    ]
    return sorted(found, key=lambda error: (error.status, bool(error.where), error.where))


def _everywhere(error: AuthServerError, text: str) -> DocumentedError:
    answer = render(error, Surface.PHOTOPRISM)
    return DocumentedError(answer.status, text, orjson.loads(answer.body), ())


def errors_of(endpoint: Endpoint, operation: Operation) -> Iterator[tuple[int, Answer]]:
    """Yield the errors that an operation declares, and those that it has because of what it takes and whom it asks."""
    declared = {status: declared_answer(told) for status, told in operation.responses.items() if status >= 400}
    yield from declared.items()
    has_body = endpoint.body is not Body.NONE and operation.method != "GET"
    secured = bool(operation.security)
    implied = [400] * (has_body or secured or bool(operation.query))
    implied += [401, 403] * secured + [404] * ("<" in endpoint.path)
    implied += [413, 415] * has_body + [429] * (has_body or secured) + [503]
    for status in implied:
        if status not in declared:
            yield status, Answer(TEXTS[status])


def declared_answer(told: str | tuple[str, Schema] | Answer) -> Answer:
    """Return an answer as an Answer, however short it was declared."""
    if isinstance(told, Answer):
        return told
    return Answer(told) if isinstance(told, str) else Answer(*told)


def form(surface: Surface, status: int) -> tuple[str, Schema]:
    """Return Content-Type and schema of an error's body."""
    return (JSON, RATE_LIMITED) if status == 429 and surface is not Surface.PAGE else _FORMS[surface]


def example(surface: Surface, status: int) -> Any:
    """Return a body as the renderer of the surface makes it; None for pages."""
    if surface is Surface.PAGE:
        return None
    samples = {**_SAMPLES, **_OAUTH_SAMPLES} if surface is Surface.OAUTH else _SAMPLES
    return orjson.loads(render(samples[status], surface).body) if status in samples else None
