"""The document's examples are true: each request is sent to a real server, and each answer is what was promised."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.test import TestResponse

from auth_server.http.endpoints import documented_endpoints
from auth_server.http.openapi.document import document, operation_id
from auth_server.protocol import examples
from auth_server.protocol.catalogue import FEATURES
from auth_server.protocol.description import Example
from auth_server.protocol.feature import Body, Endpoint, Operation
from tests.documented import prepare
from tests.people import bearer
from tests.servers.visitors import basic_header
from tests.sites import ISSUER, Site, site

ABRIDGED = {"Discovery", "Documentation"}  # tags whose documents are longer than an example may be


@dataclass(frozen=True)
class Sent:
    """One example, and where it stands."""

    endpoint: Endpoint
    operation: Operation
    name: str
    example: Example

    @property
    def identifier(self) -> str:
        return operation_id(self.operation.method, self.endpoint.path)


def operations() -> Iterator[tuple[Endpoint, Operation]]:
    for endpoint in documented_endpoints(FEATURES):
        for operation in endpoint.operations:
            yield endpoint, operation


def all_examples() -> list[Sent]:
    return [Sent(e, o, name, example) for e, o in operations() for name, example in o.examples.items()]


@cache
def told() -> dict[str, Any]:
    return document(documented_endpoints(FEATURES), ISSUER)


def described(endpoint: Endpoint, operation: Operation) -> dict[str, Any]:
    """What the document says of an operation."""
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", endpoint.path)
    found: dict[str, Any] = told()["paths"][path][operation.method.lower()]
    return found


def resolved(thing: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in thing:
        found: Any = told()
        for step in thing["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        thing = found
    return thing


def validate(value: object, schema: dict[str, Any]) -> None:
    """Check a value by a schema of the document, formats included."""
    whole = Resource.from_contents(told(), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:document", whole)
    based = {"$id": "urn:here", **_based(schema)}
    Draft202012Validator(based, registry=registry, format_checker=FormatChecker()).validate(value)


def _based(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: f"urn:document{value}" if name == "$ref" else _based(value) for name, value in schema.items()}
    return [_based(item) for item in schema] if isinstance(schema, list) else schema


# ---- the server that the examples speak of
@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What such a server keeps; each test has a copy."""
    made = site(tmp_path_factory.mktemp("examples"), registration="open")
    prepare(made.server)
    made.server.close()
    return made.server.settings.home.parent


@pytest.fixture
def here(prepared: Path, tmp_path: Path) -> Site:
    return site(Path(shutil.copytree(prepared, tmp_path / "copy")), registration="open")


def send(here: Site, sent: Sent, headers: dict[str, str], **more: Any) -> TestResponse:
    """Send an example's request."""
    arguments = dict(sent.example.arguments)
    names = re.findall(r"<(?:\w+:)?(\w+)>", sent.endpoint.path)
    path = sent.endpoint.path
    for name in names:
        path = re.sub(rf"<(?:\w+:)?{name}>", quote(str(arguments.pop(name, "x")), safe=""), path)
    if arguments:
        path += f"?{urlencode(arguments)}"
    body: dict[str, Any] = {}
    if sent.example.request is not None:
        form = sent.endpoint.body in (Body.FORM, Body.FORM_OR_JSON)
        body = {"data" if form else "json": dict(sent.example.request)}
    return here.http.open(path, method=sent.operation.method, headers=headers, **{**body, **more})


def credentials_of(here: Site, sent: Sent) -> dict[str, str]:
    """The header of whoever sends an example."""
    way = sent.example.security or next(iter(sent.operation.security), "none")
    if way == "client":
        return {"Authorization": basic_header(examples.CLIENT_ID, examples.CLIENT_SECRET)}
    if way == "bearer" and sent.endpoint.path.endswith("/userinfo"):
        return bearer(examples.OPENID_TOKEN)
    if way == "bearer" and "/oauth/register/" in sent.endpoint.path:
        return bearer(examples.REGISTRATION_TOKEN)
    if way == "bearer":
        return bearer(here.token(sent.operation.scope) if sent.operation.scope else examples.SESSION_TOKEN)
    return {}


def members(value: object, at: str = "") -> set[str]:
    """Every member of a JSON value, by the way that leads to it; of a list those of its first entry."""
    if isinstance(value, dict):
        return {f"{at}/{name}" for name in value}.union(*(members(v, f"{at}/{n}") for n, v in value.items()))
    return members(value[0], f"{at}/0") if isinstance(value, list) and value else set()


@pytest.mark.parametrize("sent", all_examples(), ids=lambda sent: f"{sent.identifier}-{sent.name}")
def test_every_example_is_true(here: Site, sent: Sent):
    """It is answered with the promised status; body and headers fit the document, members are those of the example."""
    answer = send(here, sent, credentials_of(here, sent))
    assert answer.status_code == sent.example.status, answer.data
    promised = resolved(described(sent.endpoint, sent.operation)["responses"][str(answer.status_code)])
    if answer.status_code == 204:
        assert not answer.data
        return
    schema = promised["content"][answer.mimetype]["schema"]
    value = answer.json if answer.is_json else answer.text
    validate(value, schema)
    for name, header in promised.get("headers", {}).items():
        assert not header.get("required") or name in answer.headers
    if sent.example.response is None:
        return
    validate(sent.example.response, schema)
    if sent.endpoint.tag in ABRIDGED:
        validate({**value, **sent.example.response}, schema)
    elif isinstance(value, str):
        assert sent.example.response in value
    else:
        assert members(sent.example.response) == members(value)


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body of the document, with where it stands."""
    for endpoint, operation in operations():
        name, about = operation_id(operation.method, endpoint.path), described(endpoint, operation)
        for kind, medium in about.get("requestBody", {}).get("content", {}).items():
            yield f"{name} {kind}", medium
        for status, answer in about["responses"].items():
            for kind, medium in resolved(answer).get("content", {}).items():
                yield f"{name} {status} {kind}", medium


def test_every_example_of_the_document_fits_its_schema():
    """Requests, answers and errors, by JSON schema 2020-12."""
    count = 0
    for where, medium in bodies():
        values = [example["value"] for example in medium.get("examples", {}).values()]
        values += [medium["example"]] if "example" in medium else []
        for value in values:
            count += 1
            try:
                validate(value, medium["schema"])
            except Exception as error:
                raise AssertionError(where) from error
    assert count > 100


@pytest.mark.parametrize(("endpoint", "operation"), list(operations()), ids=lambda part: getattr(part, "path", None))
def test_no_operation_is_told_of_briefly(endpoint: Endpoint, operation: Operation):
    """Each has summary and description, a tag that is described, described parameters, and examples of everything."""
    about = described(endpoint, operation)
    assert about["summary"]
    assert about["description"]
    tags = {tag["name"] for tag in told()["tags"] if tag.get("description")}
    assert set(about["tags"]) <= tags
    for parameter in about.get("parameters", []):
        assert parameter.get("description"), parameter["name"]
    for medium in about.get("requestBody", {}).get("content", {}).values():
        assert medium["examples"]
    statuses = [int(status) for status in about["responses"]]
    assert any(status < 400 for status in statuses)
    assert any(status >= 400 for status in statuses)
    for status, answer in about["responses"].items():
        for kind, medium in resolved(answer).get("content", {}).items():
            if kind not in ("text/html", "*/*") and not (int(status) == 400 and kind == "application/json"):
                assert medium.get("examples") or "example" in medium, (status, kind)


def secured() -> list[Sent]:
    """One example of each operation that nobody may use without credentials."""
    found = {}
    for sent in all_examples():
        if sent.operation.security and not {"client", "optional"} & {*sent.operation.security}:
            found.setdefault(sent.identifier, sent)
    return list(found.values())


@pytest.mark.parametrize("sent", secured(), ids=lambda sent: sent.identifier)
@pytest.mark.parametrize("headers", [{}, bearer("0" * 48)], ids=["none", "unknown"])
def test_who_has_no_token_is_told_what_the_document_says(here: Site, sent: Sent, headers: dict[str, str]):
    """401 with exactly the body of the example, and the challenge."""
    answer = send(here, sent, headers)
    assert answer.status_code == 401
    promised = resolved(described(sent.endpoint, sent.operation)["responses"]["401"])
    assert answer.json == promised["content"][answer.mimetype]["example"]
    assert set(promised["headers"]) <= {*answer.headers.keys()}


def with_body() -> list[Sent]:
    """One example of each operation that takes a body."""
    found = {sent.identifier: sent for sent in all_examples() if sent.example.request is not None}
    return list(found.values())


@pytest.mark.parametrize("sent", with_body(), ids=lambda sent: sent.identifier)
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, b'{"a": "' + b"x" * 65536 + b'"}', 413),
        ({"Content-Encoding": "gzip"}, b"{}", 415),
        ({}, b"{", 400),
        ({"X-Auth-Token": "1" * 48}, b"{}", 400),
    ],
    ids=["long", "compressed", "broken", "tokens that differ"],
)
def test_bad_requests_are_told_what_the_document_says(
    here: Site, sent: Sent, headers: dict[str, str], body: bytes, status: int
):
    """Bodies that nobody takes, and tokens that differ: the documented status, in the documented form."""
    token = bearer(here.token(sent.operation.scope) if sent.operation.scope else examples.SESSION_TOKEN)
    form = sent.endpoint.body is Body.FORM
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    if form and status == 400:
        body = b"%ff=1"
    answer = send(here, sent, {**token, "Content-Type": kind, **headers}, data=body, json=None)
    assert answer.status_code == status, answer.data
    promised = resolved(described(sent.endpoint, sent.operation)["responses"][str(status)])
    validate(answer.json, promised["content"][answer.mimetype]["schema"])
