"""How the API tells that something ends: one declaration, seen in headers, in the document, and from other origins."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from auth_server.errors import NotAuthenticated, Unavailable
from auth_server.protocol.description import Deprecated
from auth_server.protocol.feature import Body, Cors, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server
from tests import proves
from tests.sites import ISSUER, Site, site

SINCE, SUNSET = date(2027, 1, 1), date(2028, 1, 1)
OLD, NEW = "/api/v1/old", "/api/v1/new"
PAGES = "https://app.example.org"


def answer(request: Request, server: Server) -> Response:
    """Succeeds, or fails as the header says."""
    how = request.header("X_HOW")
    if how:
        raise {"401": NotAuthenticated("Please log in"), "503": Unavailable(), "500": RuntimeError("a bug")}[how]
    return json_response({"status": "ok"})


def feature(path: str, *operations: Operation, lane: bool = False) -> Feature:
    endpoint = Endpoint(path, Surface.PROBLEM, operations, "Things", Body.JSON, lane=lane, cors=Cors.CLIENTS)
    return Feature(path, specs=(), endpoints=(endpoint,))


def with_old_things(folder: Path, deprecated: Deprecated, *, lane: bool = False) -> Site:
    """A server with an operation that is to go, and one beside it that stays."""
    text = {"q": "What to look for."}
    going = Operation("GET", answer, "Old things", query=text, responses={200: "Things."}, deprecated=deprecated)
    staying = Operation("POST", answer, "A new thing", responses={200: "It."})
    return site(folder, lambda: (feature(OLD, going, staying, lane=lane), feature(NEW, staying)))


Made = Callable[[Deprecated], Site]


@pytest.fixture(params=[True, False], ids=["lane", "flask"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    return lambda deprecated: with_old_things(tmp_path, deprecated, lane=request.param)


@proves("RFC 9745 §2.1", "RFC 8594 §3")
@pytest.mark.parametrize("how", ["", "401", "503", "500", "400"])
def test_every_answer_tells_that_the_operation_ends(made: Made, how: str):
    """On the lane and through Flask, with success and with errors, bugs among them."""
    here = made(Deprecated(SINCE, "https://docs.example.org/old", SUNSET))
    given = here.http.get(f"{OLD}?q=a&q=b") if how == "400" else here.http.get(OLD, headers={"X-How": how})
    assert given.status_code == int(how or 200)
    assert given.headers["Deprecation"] == "@1798761600"
    assert parsedate_to_datetime(given.headers["Sunset"]).date() == SUNSET
    assert given.headers["Sunset"].endswith("GMT")
    assert given.headers.getlist("Link") == [
        '<https://docs.example.org/old>; rel="deprecation"; type="text/html",'
        ' <https://docs.example.org/old>; rel="sunset"; type="text/html"'
    ]


def test_other_operations_tell_nothing(made: Made):
    """Neither another method of the same path nor another path, nor what nobody declared."""
    here = made(Deprecated(SINCE, "https://docs.example.org/old", SUNSET))
    for given in (here.http.post(OLD), here.http.post(NEW), here.http.delete(OLD), here.http.get("/livez")):
        assert not {"Deprecation", "Sunset"} & {*given.headers.keys()}
    assert "Deprecation" in here.http.head(OLD).headers


def test_the_end_may_be_open(made: Made):
    """Without a last day there is no Sunset; a link may lead to this server, below the issuer's path too."""
    here = made(Deprecated(SINCE, "/old-things"))
    given = here.http.get(OLD)
    assert "Sunset" not in given.headers
    assert given.headers["Link"] == f'<{ISSUER}/old-things>; rel="deprecation"; type="text/html"'
    told = here.http.get("/api/v1/openapi.json").json["paths"][OLD]["get"]
    assert f"({ISSUER}/old-things)" in told["description"]


def test_pages_of_other_origins_can_read_it(tmp_path: Path):
    """The headers are exposed to those whom CORS lets read at all."""
    here = with_old_things(tmp_path, Deprecated(SINCE, "https://docs.example.org/old"))
    client = {"client_name": "app", "token_endpoint_auth_method": "none", "redirect_uris": [f"{PAGES}/back"]}
    here.server.clients.add(client)
    exposed = here.http.get(OLD, headers={"Origin": PAGES}).headers["Access-Control-Expose-Headers"]
    assert {"Deprecation", "Sunset", "Link"} <= set(exposed.split(", "))


def test_the_document_marks_it(tmp_path: Path):
    """`deprecated`, both days and the link in the description, and the headers; nothing at operations that stay."""
    here = with_old_things(tmp_path, Deprecated(SINCE, "https://docs.example.org/old", SUNSET))
    told: dict[str, Any] = here.http.get("/api/v1/openapi.json").json["paths"][OLD]
    assert told["get"]["deprecated"] is True
    for word in ("2027-01-01", "2028-01-01", "https://docs.example.org/old"):
        assert word in told["get"]["description"]
    for status, described in told["get"]["responses"].items():
        assert {"Deprecation", "Sunset", "Link"} <= described["headers"].keys(), status
    assert "deprecated" not in told["post"]


def test_a_short_notice_is_refused():
    """What the manual promises is checked where it is declared."""
    with pytest.raises(ValueError, match="365 days"):
        Deprecated(SINCE, "https://docs.example.org/old", SINCE + timedelta(days=364))
    Deprecated(SINCE, "https://docs.example.org/old", SINCE + timedelta(days=365))


def test_the_manual_says_what_the_code_does(tmp_path: Path):
    """The headers of docs/api-stability.md are those of a server, and so is the shortest notice."""
    manual = Path(__file__).parents[2].joinpath("docs/api-stability.md").read_text()
    given = with_old_things(tmp_path, Deprecated(SINCE, "https://auth.example.org/gone", SUNSET)).http.get(OLD)
    for name in ("Deprecation", "Sunset", "Link"):
        assert f"{name}: {given.headers[name]}\n" in manual
    assert "At least 365 days" in manual


def test_the_copy_of_the_token_is_marked(tmp_path: Path):
    """PhotoPrism's `id` is the one thing that is deprecated now, and the manual names it."""
    told = site(tmp_path).http.get("/api/v1/openapi.json").json
    members = told["components"]["schemas"]["Session"]["properties"]
    assert [name for name, schema in members.items() if schema.get("deprecated")] == ["id"]
    operations = [operation for path in told["paths"].values() for operation in path.values()]
    assert not any(operation.get("deprecated") for operation in operations)
    manual = Path(__file__).parents[2].joinpath("docs/api-stability.md").read_text()
    assert re.search(r"\| member `id` of a session", manual)
