"""Logout at the wish of a client (OpenID Connect RP-Initiated Logout 1.0).

Nobody is signed out by a link: without an ID token that names the person who is signed in, a page asks first (S-092).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from auth_server.domain import credentials
from auth_server.domain.audit import Actor
from auth_server.domain.browsers import SignIn
from auth_server.protocol.authorization_request import parse
from auth_server.protocol.browser_cookie import browser_of, clear_cookie, state_cookie, state_name_of, value_of
from auth_server.protocol.cross_site_post import as_link
from auth_server.protocol.errors import Refusal
from auth_server.protocol.extensions.frontchannel_logout import farewell, keep
from auth_server.protocol.feature import Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Headers, Request, Response
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.id_token import audience_of, verified_hint
from auth_server.protocol.tokens.subject import subject
from auth_server.store.records import Client

PATH, PAGE = "/api/v1/oauth/logout", "/logout"
ENDED = "ended"


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A request that is in order.

    Args:
        client: that asks; None if it does not say who it is, or is gone.
        subject: the `sub` that its hint names; empty without one.
        redirect_uri: where to go then, proven to be the client's; empty for a page of ours.
        languages: for that page, the best first.
    """

    client: Client | None
    subject: str
    redirect_uri: str
    state: str
    languages: str = ""


NOBODY_ASKED = LogoutRequest(None, "", "", "")
"""A logout that no client has asked for."""


def respond(request: Request, server: Server) -> Response:
    """Sign out the person that the client means, or ask whether that is what they want.

    Raises:
        Refusal: the hint is not ours, or the way back is not the client's.
    """
    by_link = as_link(request, PATH, server)
    if by_link is not None:
        return by_link
    parameters, repeated = parse(request.pairs)
    if repeated:
        raise Refusal("The link names something twice")
    asked = check(parameters, server)
    meant = _meant(asked, request, server)
    if meant is not None:
        return sign_out(asked, meant.uid, request, server)
    if browser_of(request, server) is None:
        return _away(asked, server)
    return Response(303, b"", (("Location", f"{server.url(PAGE)}?{urlencode(parameters)}"),))


def check(parameters: Mapping[str, str], server: Server) -> LogoutRequest:
    """Return the request in order.

    An expired hint still says who is meant (§2).

    Raises:
        Refusal: the hint is not ours, or the way back is not the client's (S-093).
    """
    hint, client_id = parameters.get("id_token_hint", ""), parameters.get("client_id", "")
    named = audience_of(hint) if hint else client_id
    if client_id and named != client_id:
        raise Refusal("The link contradicts itself about the application that it comes from")
    client = server.records.clients.get(named) if credentials.CLIENT_ID(named) else None
    claims = verified_hint(hint, server, client) if hint and client else None
    if hint and claims is None:
        raise Refusal("The link says who should be signed out in a way that this server does not recognise")
    uri = parameters.get("post_logout_redirect_uri", "")
    if uri and (client is None or not client.enabled or uri not in client.post_logout_redirect_uris):
        raise Refusal("The way back to the application is not one that it has registered")
    state, languages = parameters.get("state", ""), parameters.get("ui_locales", "")
    return LogoutRequest(client, str(claims["sub"]) if claims else "", uri, state, languages)


def _meant(asked: LogoutRequest, request: Request, server: Server) -> SignIn | None:
    """The sign-in of the person that the hint names, if they are signed in on this browser."""
    browser = browser_of(request, server)
    if browser is None or not asked.subject:
        return None
    return next((one for one in browser.sign_ins if subject(one.uid, asked.client, server) == asked.subject), None)


def sign_out(asked: LogoutRequest, uid: str | None, request: Request, server: Server) -> Response:
    """End a person's sign-in on this browser, tell its clients, and lead on.

    Args:
        uid: whose; None for everybody's.
    """
    ended = server.browsers.sign_out(value_of(request, server), uid)
    for one in ended:
        server.audit.change("logout", Actor(one.uid, address=request.address), uid=one.uid)
    browser = browser_of(request, server)
    headers: Headers = () if browser else (clear_cookie(server),)
    if request.cookie(state_name_of(server)):
        headers += (state_cookie(browser, server),)
    left = farewell(ended, _onward(asked), asked.client, server)
    if left is None:
        return _away(asked, server, headers)
    return _page(server, headers, **{ENDED: keep(left, server), "ui_locales": asked.languages})


def _away(asked: LogoutRequest, server: Server, headers: Headers = ()) -> Response:
    if not asked.redirect_uri:
        return _page(server, headers, done="1", ui_locales=asked.languages)
    return Response(303, b"", (("Location", _onward(asked)), *headers))


def _page(server: Server, headers: Headers, **parameters: str) -> Response:
    query = urlencode({name: value for name, value in parameters.items() if value})
    return Response(303, b"", (("Location", f"{server.url(PAGE)}?{query}"), *headers))


def _onward(asked: LogoutRequest) -> str:
    """Where the client wants the browser to go then; empty for nowhere."""
    if not asked.redirect_uri or not asked.state:
        return asked.redirect_uri
    joint = "&" if urlsplit(asked.redirect_uri).query else "?"
    return f"{asked.redirect_uri}{joint}{urlencode({'state': asked.state})}"


_TEXTS = {
    "id_token_hint": "An ID token of the session that should end.",
    "client_id": "Who asks, where there is no hint.",
    "post_logout_redirect_uri": "Where to go then; one that the client has registered.",
    "state": "Comes back with that.",
    "logout_hint": "Taken, and without effect.",
    "ui_locales": "Languages, the best first.",
}

FEATURE = Feature(
    name="end_session",
    specs=("OpenID Connect RP-Initiated Logout 1.0",),
    endpoints=(
        Endpoint(
            PATH,
            surface=Surface.PAGE,
            tag="OAuth",
            repeats=True,
            operations=tuple(
                Operation(
                    method,
                    respond,
                    "Sign a person out",
                    "Opened in the person's browser. Without an ID token that fits, a page asks first.",
                    query=_TEXTS if method == "GET" else {},
                    responses={
                        303: "To the client, or to a page.",
                        400: "The link is not in order: a page.",
                    },
                    produces="text/html",
                )
                for method in ("GET", "POST")
            ),
        ),
    ),
    metadata=lambda server: {"end_session_endpoint": server.url(PATH)},
)
