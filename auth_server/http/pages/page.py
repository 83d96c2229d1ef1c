"""What all pages share: templates, and the protection of their forms (S-058)."""

import hmac
from typing import Any

from flask import render_template

from auth_server.domain.keys import base64url
from auth_server.errors import Forbidden
from auth_server.protocol.browser_cookie import set_cookie, value_of
from auth_server.protocol.feature import Body, Endpoint, Operation, Respond, Surface
from auth_server.protocol.messages import Headers, Request, Response
from auth_server.protocol.server import Server

HTML = ("Content-Type", "text/html; charset=utf-8")
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data: https:; font-src 'self';"
    " connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FORM_TOKEN = "csrf_token"


def show(
    template: str,
    request: Request,
    server: Server,
    *,
    cookie: str = "",
    status: int = 200,
    headers: Headers = (),
    **values: Any,
) -> Response:
    """Return a page; the browser gets a cookie if it has none, for its forms are bound to that.

    Args:
        cookie: of the browser, where it is a new one.
    """
    cookie = cookie or value_of(request, server)
    if not cookie:
        cookie = server.browsers.new_cookie()
        headers = (*headers, set_cookie(cookie, server))
    # A form may lead on to any client; where to is proven by then, and browsers apply form-action to redirects too.
    body = render_template(template, csrf_token=form_token(cookie, server), static=server.url("/static"), **values)
    return Response(status, body.encode(), (HTML, ("Vary", "Cookie"), *headers), POLICY)


def form_token(cookie: str, server: Server) -> str:
    """Return what a form of this browser must send back; another one after each sign-in."""
    return base64url(hmac.digest(server.sealing.derive("forms"), cookie.encode(), "sha256")).decode()


def check_form(request: Request, server: Server) -> str:
    """Return the browser's cookie, if the form that it has sent is one of ours.

    Raises:
        Forbidden: it is not, or too old, or of another browser.
    """
    cookie = value_of(request, server)
    expected = form_token(cookie, server) if cookie else ""
    if not expected or not hmac.compare_digest(expected.encode(), request.form.get(FORM_TOKEN, "").encode()):
        raise Forbidden("This form has expired, or was not sent from this page; go back, reload it and try again")
    return cookie


def endpoint(path: str, get: Respond, post: Respond | None, summary: str, query: dict[str, str]) -> Endpoint:
    """Return a page's endpoint."""
    responses = {200: "The page.", 303: "To what comes next."}
    operations = [Operation("GET", get, summary, query=query, responses=responses, produces="text/html")]
    if post is not None:
        operations.append(Operation("POST", post, summary, responses=responses, produces="text/html"))
    return Endpoint(
        path, surface=Surface.PAGE, tag="Pages", body=Body.FORM, operations=tuple(operations), policy=POLICY
    )
