"""The files that pages need: Bootstrap's style sheet, our own, and a picture."""

from functools import cache
from hashlib import sha256
from importlib.resources import files

from auth_server.errors import NotFound
from auth_server.protocol.description import Parameter
from auth_server.protocol.endpoints.discovery import cached
from auth_server.protocol.feature import Endpoint, Operation, Surface
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server

MAX_AGE = 86400  # seconds; a page names each file together with what is in it, so that nobody keeps an old one
# The only files that there are: name to package, folder and Content-Type.
FILES = {
    "bootstrap.min.css": ("flask_bootstrap", "static/bootstrap5/css", "text/css; charset=utf-8"),
    "pages.css": ("auth_server", "static/pages", "text/css; charset=utf-8"),
    "check_session.js": ("auth_server", "static/pages", "text/javascript; charset=utf-8"),
    "logout.js": ("auth_server", "static/pages", "text/javascript; charset=utf-8"),
    "mark.svg": ("auth_server", "static/pages", "image/svg+xml"),
}


def respond(request: Request, server: Server) -> Response:
    """Return a file.

    Raises:
        NotFound: it is none of them.
    """
    name = request.arguments["file"]
    if name not in FILES:
        raise NotFound("Not found")
    return cached(request, content(name), MAX_AGE, ("Content-Type", FILES[name][2]))


@cache
def content(name: str) -> bytes:
    """Return what is in a file; without the note about a source map, which nobody has."""
    package, folder, _ = FILES[name]
    read = files(package).joinpath(folder, name).read_bytes()
    return read.partition(b"/*# sourceMappingURL")[0]


@cache
def file_url(issuer_path: str, name: str) -> str:
    """Return the address of a file, another one when it has changed."""
    return f"{issuer_path}/static/{name}?v={sha256(content(name)).hexdigest()[:12]}"


ENDPOINTS = (
    Endpoint(
        "/static/<file>",
        surface=Surface.PAGE,
        tag="Pages",
        cacheable=True,
        operations=(
            Operation(
                "GET",
                respond,
                "Files of the pages",
                responses={200: "A file.", 304: "The caller's copy is good."},
                produces="*/*",
            ),
        ),
        arguments={"file": Parameter("Its name.", {"type": "string", "enum": list(FILES)})},
    ),
)
