"""The OpenAPI document, and Swagger UI to read and try it; nothing is loaded from elsewhere."""

from collections.abc import Mapping, Sequence
from importlib.resources import files

import orjson

from auth_server.errors import NotFound
from auth_server.http.openapi.document import TITLE, VERSION, document
from auth_server.protocol.description import Answer, Example, Parameter
from auth_server.protocol.endpoints.discovery import cached
from auth_server.protocol.feature import Endpoint, Operation, Respond, Responses, Surface
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server

MAX_AGE = 300  # seconds
UNCHANGED = "The caller's copy is good."
_MOVED = Answer("It is in `docs/`.", headers={"Location": {"type": "string", "format": "uri-reference"}})
PAGES = "/api/v1/docs"
OWN, SWAGGER = "auth_server/static/documentation", "flask_swagger_ui/dist"
# The only files that there are: name to folder and Content-Type.
FILES = {
    "documentation.css": (OWN, "text/css"),
    "documentation.js": (OWN, "text/javascript"),
    "favicon-32x32.png": (SWAGGER, "image/png"),
    "swagger-ui.css": (SWAGGER, "text/css"),
    "swagger-ui-bundle.js": (SWAGGER, "text/javascript"),
}
# Swagger UI has its icons as data; scripts and styles are files of ours only.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Documentation:
    """Describes endpoints, itself among them.

    Args:
        described: all other endpoints.
    """

    def __init__(self, described: Sequence[Endpoint]) -> None:
        self.endpoints = (
            _document("/api/v1/openapi.json", self.respond, "This document"),
            _document("/api/v1/swagger.json", self.respond, "This document, where PhotoPrism has it"),
            _page(PAGES, Operation("GET", redirect, "To the documentation", responses={308: _MOVED})),
            _page(
                f"{PAGES}/",
                Operation(
                    "GET", index, "Documentation", responses={200: "A page.", 304: UNCHANGED}, produces="text/html"
                ),
            ),
            _page(
                f"{PAGES}/<file>",
                Operation(
                    "GET", file, "Files of that page", responses={200: "A file.", 304: UNCHANGED}, produces="*/*"
                ),
                {"file": Parameter("Its name.", {"type": "string", "enum": list(FILES)})},
            ),
        )
        self._described = (*described, *self.endpoints)
        self._body = b""

    def respond(self, request: Request, server: Server) -> Response:
        """Return the document; made when it is first asked for, since nothing in it changes."""
        if not self._body:
            self._body = orjson.dumps(document(self._described, server.issuer))
        return cached(request, self._body, MAX_AGE)


def redirect(request: Request, server: Server) -> Response:
    """Lead to the page; relatively, whatever path a proxy has put before ours."""
    return Response(308, b"", (("Location", "docs/"), ("Cache-Control", f"max-age={MAX_AGE}")))


def index(request: Request, server: Server) -> Response:
    """Return the page."""
    return _read(request, OWN, "index.html", "text/html")


def file(request: Request, server: Server) -> Response:
    """Return one of the page's files.

    Raises:
        NotFound: it is none of them.
    """
    name = request.arguments["file"]
    if name not in FILES:
        raise NotFound("Not found")
    return _read(request, FILES[name][0], name, FILES[name][1])


def _read(request: Request, folder: str, name: str, kind: str) -> Response:
    package, _, below = folder.partition("/")
    content = files(package).joinpath(below, name).read_bytes()
    charset = "; charset=utf-8" if kind.startswith("text/") else ""
    return cached(request, content, MAX_AGE, ("Content-Type", kind + charset))


def _document(path: str, respond: Respond, summary: str) -> Endpoint:
    schema = {
        "title": "OpenApi",
        "type": "object",
        "required": ["openapi", "info", "paths"],
        "properties": {
            "openapi": {"type": "string"},
            "info": {"type": "object"},
            "paths": {"type": "object"},
            "components": {"type": "object"},
        },
        "additionalProperties": True,
    }
    abridged = Example("Abridged", response={"openapi": VERSION, "info": {"title": TITLE}, "paths": {}})
    responses: Responses = {200: ("OpenAPI 3.1.", schema), 304: UNCHANGED}
    operation = Operation("GET", respond, summary, responses=responses, examples={"abridged": abridged})
    return Endpoint(path, Surface.PHOTOPRISM, (operation,), "Documentation", cacheable=True)


def _page(path: str, operation: Operation, arguments: Mapping[str, Parameter] | None = None) -> Endpoint:
    return Endpoint(
        path,
        Surface.PHOTOPRISM,
        (operation,),
        "Documentation",
        cacheable=True,
        policy=POLICY,
        arguments=arguments or {},
    )
