"""The OpenAPI document and the pages that show it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from auth_server import __version__
from auth_server.http.endpoints import documented_endpoints
from auth_server.http.openapi.document import document, operation_id
from auth_server.protocol.catalogue import FEATURES
from auth_server.protocol.description import Link, Parameter
from auth_server.protocol.feature import Body, Endpoint, Operation, Surface
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server
from tests.sites import ISSUER, Site, site

DOCUMENT, PAGE = "/api/v1/openapi.json", "/api/v1/docs/"


@pytest.fixture
def here(tmp_path: Path) -> Site:
    return site(tmp_path)


def told(here: Site) -> dict[str, Any]:
    return here.http.get(DOCUMENT).json


def test_document_is_valid_openapi(here: Site):
    """OpenAPI 3.1 by its own schema, with every reference resolved."""
    openapi = told(here)
    OpenAPIV31SpecValidator(openapi).validate()
    assert openapi["openapi"].startswith("3.1.")
    assert openapi["info"]["version"] == __version__
    assert openapi["servers"] == [{"url": ISSUER}]


def test_documented_endpoints_is_described(here: Site):
    """Each method of each endpoint, and nothing that is not there."""
    described = {(path, method) for path, methods in told(here)["paths"].items() for method in methods}
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", endpoint.path), operation.method.lower())
        for endpoint in documented_endpoints(here.server.features)
        for operation in endpoint.operations
    }
    assert described == served


def test_every_described_path_is_routed(here: Site):
    """Nobody is sent to a path that the router does not know, or with a method that it refuses."""
    for path, methods in told(here)["paths"].items():
        for method in methods:
            answer = here.http.open(path.replace("{file}", "swagger-ui.css"), method=method.upper())
            assert answer.status_code not in (405, 500), (method, path)
            assert answer.status_code != 404 or "{" in path, (method, path)


def test_both_names_give_the_same_document(here: Site):
    assert here.http.get(DOCUMENT).data == here.http.get("/api/v1/swagger.json").data


def test_document_may_be_kept(here: Site):
    """An ETag, and 304 to those who have the document."""
    first = here.http.get(DOCUMENT)
    again = here.http.get(DOCUMENT, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert "max-age" in first.headers["Cache-Control"]


def test_operation_ids_follow_from_method_and_path():
    """Names of generated clients stay as they are when other endpoints come."""
    assert operation_id("POST", "/api/v1/oauth/token") == "post_oauth_token"
    assert operation_id("GET", "/api/v1/users/<uid>/sessions") == "get_users_by_uid_sessions"
    assert operation_id("GET", "/.well-known/jwks.json") == "get_jwks_json"
    assert operation_id("GET", "/metrics") != operation_id("GET", "/api/v1/metrics")


def _nothing(request: Request, server: Server) -> Response:
    return Response(204)


def test_an_operation_is_told_completely():
    """Path and query parameters, body types, ways to authenticate, errors of the surface."""
    count = Parameter("How many.", {"type": "integer", "minimum": 1}, required=True)
    operation = Operation(
        "PUT",
        _nothing,
        "Change it",
        query={"q": "What to look for.", "count": count},
        request={"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        responses={204: "Done.", 409: "The name is taken."},
        security=("bearer",),
        scope="a:b",
    )
    made = document([Endpoint("/api/v1/things/<id>", Surface.PROBLEM, (operation,), "Things", Body.JSON)], ISSUER)
    OpenAPIV31SpecValidator(made).validate()
    told = made["paths"]["/api/v1/things/{id}"]["put"]
    assert [(p["in"], p["name"], p.get("required", False)) for p in told["parameters"]] == [
        ("path", "id", True),
        ("query", "q", False),
        ("query", "count", True),
    ]
    assert told["parameters"][2]["schema"] == {"type": "integer", "minimum": 1}
    assert list(told["requestBody"]["content"]) == ["application/json"]
    assert told["requestBody"]["required"]
    assert told["security"] == [{"bearer": ["a:b"]}, {"x_auth_token": ["a:b"]}, {"x_session_id": ["a:b"]}]
    assert "`a:b`" in told["description"]
    assert list(told["responses"]) == "204 400 401 403 404 409 413 415 429 503".split()
    assert told["responses"]["409"]["description"] == "The name is taken."
    assert list(told["responses"]["409"]["content"]) == ["application/problem+json"]
    assert told["responses"]["404"] == {"$ref": "#/components/responses/Problem404"}


NAMED = {"title": "Named", "type": "object", "properties": {"title": {"type": "string"}}}


def described(*operations: Operation, **options: Any) -> dict[str, Any]:
    return document([Endpoint("/api/v1/things", Surface.PROBLEM, operations, "Things", **options)], ISSUER)


def test_a_schema_with_a_title_is_a_component():
    """Wherever it stands; a property that is called title is none."""
    told = described(Operation("GET", _nothing, "All", responses={200: ("Them.", {"type": "array", "items": NAMED})}))
    schema = told["paths"]["/api/v1/things"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"type": "array", "items": {"$ref": "#/components/schemas/Named"}}
    assert told["components"]["schemas"]["Named"] == NAMED


def test_objects_of_bodies_have_names(here: Site):
    """What generated clients make classes of; only parts of a few members stand without one."""
    openapi = told(here)
    contents = []
    for methods in openapi["paths"].values():
        for operation in methods.values():
            contents += [operation.get("requestBody", {}).get("content", {})]
            contents += [answer.get("content", {}) for answer in operation["responses"].values()]
    contents += [answer["content"] for answer in openapi["components"]["responses"].values()]
    schemas = [medium["schema"] for content in contents for medium in content.values()]
    assert len(schemas) > 50
    assert not [schema for schema in schemas if "properties" in schema]


def test_two_schemas_of_one_title_are_refused():
    """A generated client would have one class for both."""
    one = Operation("GET", _nothing, "One", responses={200: ("One.", NAMED)})
    other = Operation("POST", _nothing, "Other", responses={200: ("Other.", {**NAMED, "type": "array"})})
    with pytest.raises(ValueError, match="Named"):
        described(one, other)


def test_links_lead_to_operations_that_are_there():
    """A link to what is switched off is left out."""
    links = {"again": Link("get_things", "Once more."), "gone": Link("get_nothing", "Nowhere.")}
    told = described(Operation("GET", _nothing, "All", responses={200: "Them."}, links=links))
    answer = told["paths"]["/api/v1/things"]["get"]["responses"]["200"]
    assert answer["links"] == {"again": {"operationId": "get_things", "description": "Once more."}}


def test_one_operation_id_for_two_operations_is_refused():
    """A mistake that would break generated clients does not stay unseen."""
    twice = [Endpoint("/api/v1/a", Surface.PROBLEM, (Operation("GET", _nothing, "A"),), "A")] * 2
    with pytest.raises(ValueError, match="get_a"):
        document(twice, ISSUER)


def test_schemas_admit_what_is_answered(here: Site):
    """Error bodies have the described members and Content-Type, on each surface."""
    openapi = told(here)
    for method, path, schema in (
        ("POST", "/api/v1/oauth/token", "OAuthError"),
        ("GET", "/api/v1/metrics", "PhotoPrismError"),
        ("GET", "/api/v1/admin/keys", "Problem"),
    ):
        answer = here.http.open(path, method=method)
        shape = openapi["components"]["schemas"][schema]
        assert set(shape["required"]) <= answer.json.keys() <= shape["properties"].keys(), path
        reference = openapi["paths"][path][method.lower()]["responses"][str(answer.status_code)]["$ref"]
        described = openapi["components"]["responses"][reference.rpartition("/")[2]]
        assert answer.mimetype in described["content"], path


def test_apispec_is_loaded_only_when_asked_for():
    """A server that nobody asks for its document does not pay for it with memory."""
    code = "import sys, auth_server.assembly; sys.exit('apispec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_page_loads_its_own_files_only(here: Site):
    """Every script, style and picture is one of ours, and there."""
    page = here.http.get(PAGE)
    assert page.mimetype == "text/html"
    names = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert names
    for name in names:
        assert not re.match(r"(\w+:)?//", name)
        assert here.http.get(PAGE + name if not name.startswith("../") else f"/api/v1/{name[3:]}").status_code == 200
    assert "<script>" not in page.text
    assert " style=" not in page.text


def test_page_has_its_own_policy_and_nothing_else_has(here: Site):
    """Scripts come from here only; every other answer forbids everything."""
    policy = here.http.get(PAGE).headers.getlist("Content-Security-Policy")
    assert len(policy) == 1
    assert "script-src 'self';" in policy[0]
    assert "frame-ancestors 'none'" in policy[0]
    assert "unsafe" not in policy[0]
    assert here.http.get(DOCUMENT).headers["Content-Security-Policy"].startswith("default-src 'none'; frame-ancestors")


def test_page_without_slash_leads_to_the_page(tmp_path: Path):
    """Relatively, so that an issuer's path and a proxy's stay."""
    below = site(tmp_path, issuer=f"{ISSUER}/tenant")
    answer = below.http.get("/tenant/api/v1/docs")
    assert (answer.status_code, answer.headers["Location"]) == (308, "docs/")
    assert below.http.get("/tenant/api/v1/docs/").status_code == 200
    assert below.http.get("/tenant/api/v1/docs/swagger-ui.css").status_code == 200
    assert told_servers(below) == [f"{ISSUER}/tenant"]


def told_servers(here: Site) -> list[str]:
    return [server["url"] for server in here.http.get("/tenant/api/v1/openapi.json").json["servers"]]


@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "VERSION",
        "../VERSION",
        "..%2fVERSION",
        "%2e%2e/__init__.py",
        "....//x",
        "/etc/passwd",
        "swagger-ui.js",
        "a%00",
    ],
)
def test_no_other_file_is_given_out(here: Site, name: str):
    """A fixed set of names: there is no path to walk."""
    assert here.http.get(PAGE + name).status_code == 404


def test_catalogue_makes_the_same_document_each_time():
    """Nothing in it depends on order or chance, so that ETags of replicas agree."""
    assert document(documented_endpoints(FEATURES), ISSUER) == document(documented_endpoints(FEATURES), ISSUER)
