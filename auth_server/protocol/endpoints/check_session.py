"""Session management (OpenID Connect Session Management 1.0): clients see whether a sign-in still stands.

A client's page loads ours in a frame, and asks it by postMessage. The frame's script compares what the client was told
with a cookie that says nothing but whether the sign-ins are still the same.
"""

from functools import cache
from hashlib import sha256
from importlib.resources import files

from auth_server.domain import scopes
from auth_server.domain.browsers import Browser
from auth_server.domain.clients import origin
from auth_server.protocol.authorization_request import ProvenRedirect
from auth_server.protocol.browser_cookie import browser_state, state_name_of
from auth_server.protocol.feature import Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server

PATH = "/api/v1/oauth/check_session"
SCRIPT = "check_session.js"
# Any client's page may frame it: it shows nothing, and nothing in it can be clicked (S-025).
POLICY = "default-src 'none'; script-src 'self'; base-uri 'none'; frame-ancestors *"
MAX_AGE = 3600  # seconds
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Session</title>'
    '<script src="{path}/static/{script}?v={version}" data-cookie="{cookie}"></script></html>'
)


def session_state(redirect: ProvenRedirect, scope: str, browser: Browser | None, server: Server) -> dict[str, str]:
    """Return the member of an authentication response by which a client asks later; only OpenID requests have it.

    The frame calculates the same from the cookie, and from the origin of the page that asks it.
    """
    if not scopes.has(scope, "openid"):
        return {}
    salt = server.random(8).hex()
    text = f"{redirect.client.client_id} {origin(redirect.uri)} {browser_state(browser, server)} {salt}"
    return {"session_state": f"{sha256(text.encode()).hexdigest()}.{salt}"}


def respond(request: Request, server: Server) -> Response:
    """Return the page that a client's page loads in a frame; it is the same for everybody."""
    page = _PAGE.format(
        path=server.settings.issuer_path, script=SCRIPT, version=_version(), cookie=state_name_of(server)
    )
    headers = (("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", f"public, max-age={MAX_AGE}"))
    return Response(200, page.encode(), headers)


@cache
def _version() -> str:
    script = files("auth_server").joinpath("static/pages", SCRIPT).read_bytes()
    return sha256(script).hexdigest()[:12]


FEATURE = Feature(
    name="check_session",
    specs=("OpenID Connect Session Management 1.0",),
    endpoints=(
        Endpoint(
            PATH,
            surface=Surface.PAGE,
            tag="OAuth",
            cacheable=True,
            policy=POLICY,
            operations=(
                Operation(
                    "GET",
                    respond,
                    "The frame that tells whether a sign-in still stands",
                    "Loaded in a frame by a client's page, and asked by postMessage: `client_id session_state`.",
                    responses={200: "The page."},
                    produces="text/html",
                ),
            ),
        ),
    ),
    metadata=lambda server: {"check_session_iframe": server.url(PATH)},
)
