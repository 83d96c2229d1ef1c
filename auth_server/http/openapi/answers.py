"""The answers of an operation: what succeeds with its examples and links, what fails in the form of its surface."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from auth_server.http.openapi import errors
from auth_server.http.openapi.components import Components
from auth_server.protocol.description import Answer, Schema
from auth_server.protocol.feature import Endpoint, Operation, Surface
from auth_server.protocol.photoprism import shapes

if TYPE_CHECKING:  # loaded only where a document is asked for
    from apispec import APISpec

_TEXT: Schema = {"type": "string"}
_RETRY_AFTER: Mapping[str, Schema] = {"Retry-After": {"type": "integer", "minimum": 1, "description": "Seconds."}}
_CHALLENGE: Mapping[str, Schema] = {"WWW-Authenticate": {"type": "string", "description": "How to authenticate."}}
_ETAG: Mapping[str, Schema] = {
    "ETag": {"type": "string", "description": "To be sent in If-None-Match."},
    "Cache-Control": {"type": "string", "description": "How long the answer may be kept."},
}
_DEPRECATED: Mapping[str, Schema] = {
    "Deprecation": {"type": "string", "pattern": "^@[0-9]+$", "description": "Since when (RFC 9745)."},
    "Link": {"type": "string", "description": 'What to use instead: `rel="deprecation"`, `rel="sunset"`.'},
}
_SUNSET: Mapping[str, Schema] = {"Sunset": {"type": "string", "description": "Until when it is there (RFC 8594)."}}


class Answers:
    """Describes the answers of operations.

    Args:
        known: the operationIds that there are; links to others are left out.
    """

    def __init__(self, spec: "APISpec", components: Components, known: Iterable[str]) -> None:
        self._spec, self._components, self._known = spec, components, frozenset(known)

    def of(self, endpoint: Endpoint, operation: Operation) -> dict[str, Any]:
        """Return all answers of an operation, by status."""
        made: dict[str, Any] = {}
        for status, told in operation.responses.items():
            answer = errors.declared_answer(told)
            if status < 400 or answer.schema not in (None, shapes.ERROR):
                made[str(status)] = self._declared(endpoint, operation, status, answer)
        for status, answer in errors.errors_of(endpoint, operation):
            if str(status) in made:
                continue
            own = any(example.status == status for example in operation.examples.values())
            if own or status in operation.responses or operation.deprecated:
                made[str(status)] = self._error(endpoint, operation, status, answer)
            else:
                made[str(status)] = self._shared(endpoint, operation, status, answer)
        self._add_links(made, operation)
        return dict(sorted(made.items()))

    def _declared(self, endpoint: Endpoint, operation: Operation, status: int, answer: Answer) -> dict[str, Any]:
        described: dict[str, Any] = {"description": answer.description}
        schema = answer.schema or (_TEXT if status == 200 else None)
        if schema is not None:
            medium = {"schema": self._components.schema(schema), **_examples(operation, status, answer.example)}
            described["content"] = {operation.produces if status < 400 else errors.JSON: medium}
        return described | _headers(endpoint, operation, status, answer)

    def _shared(self, endpoint: Endpoint, operation: Operation, status: int, answer: Answer) -> str:
        """The name of the component that describes an error; it is made if it is missing."""
        title = errors.form(endpoint.surface, status)[1].get("title", "Page")
        mixed = "OrTokensDiffer" if _mixes_forms(endpoint, operation, status) else ""
        name = str(title) if status == 429 else f"{title}{status}{mixed}"
        if name not in self._spec.components.responses:
            self._spec.components.response(name, self._error(endpoint, operation, status, answer))
        return name

    def _error(self, endpoint: Endpoint, operation: Operation, status: int, answer: Answer) -> dict[str, Any]:
        kind, schema = errors.form(endpoint.surface, status)
        usual = answer.example or errors.example(endpoint.surface, status)
        medium = {"schema": self._components.schema(schema), **_examples(operation, status, usual)}
        content = {kind: medium}
        if _mixes_forms(endpoint, operation, status):
            photoprism = self._components.schema(shapes.ERROR)
            if kind == errors.JSON:
                medium["schema"] = {"anyOf": [medium["schema"], photoprism]}
            else:
                content[errors.JSON] = {"schema": photoprism}
        described = {"description": answer.description, "content": content}
        return described | _headers(endpoint, operation, status, answer)

    def _add_links(self, made: Mapping[str, Any], operation: Operation) -> None:
        links: dict[str, Any] = {}
        for name, link in operation.links.items():
            if link.operation not in self._known:
                continue
            links[name] = {"operationId": link.operation, "description": link.description}
            if link.arguments:
                links[name]["parameters"] = dict(link.arguments)
            if link.request:
                links[name]["requestBody"] = dict(link.request)
        first = min((status for status in made if status < "300"), default=None)
        if links and first is not None:
            made[first]["links"] = links


def _examples(operation: Operation, status: int, usual: Any) -> dict[str, Any]:
    """The answers that examples of requests get; what is usual where there are none."""
    examples = {
        name: {"summary": example.summary, "value": example.response}
        for name, example in operation.examples.items()
        if example.status == status and example.response is not None
    }
    if examples:
        return {"examples": examples}
    return {} if usual is None else {"example": usual}


def _headers(endpoint: Endpoint, operation: Operation, status: int, answer: Answer) -> dict[str, Any]:
    headers: dict[str, Schema] = {}
    if operation.deprecated:
        headers = {**_DEPRECATED, **(_SUNSET if operation.deprecated.sunset else {})}
    if status in (429, 503):
        headers |= _RETRY_AFTER
    elif status == 401:
        headers |= _CHALLENGE
    elif endpoint.cacheable and status in (200, 304) and 304 in operation.responses:
        headers |= _ETAG
    told = {name: _header(schema) for name, schema in {**headers, **answer.headers}.items()}
    return {"headers": told} if told else {}


def _header(schema: Schema) -> dict[str, Any]:
    rest = {word: value for word, value in schema.items() if word != "description"}
    return {"description": schema.get("description", ""), "schema": rest}


def _mixes_forms(endpoint: Endpoint, operation: Operation, status: int) -> bool:
    """Tokens that differ are told alike everywhere (CONTRACT section 5)."""
    return status == 400 and "bearer" in operation.security and endpoint.surface is not Surface.PHOTOPRISM
