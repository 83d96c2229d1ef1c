"""What all pages share: templates, languages, who is signed in, and the protection of their forms (S-058)."""

import hmac
import re
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, render_template
from flask_babel import Babel, force_locale, format_date
from markupsafe import Markup

from auth_server.domain.browsers import Browser, SignIn
from auth_server.domain.keys import base64url
from auth_server.errors import Forbidden
from auth_server.http.pages import clients, words
from auth_server.http.pages.language import LANGUAGES, choose
from auth_server.http.pages.static import file_url
from auth_server.protocol.browser_cookie import browser_of, set_cookie, value_of
from auth_server.protocol.feature import Body, Endpoint, Operation, Respond, Surface
from auth_server.protocol.interaction import Interaction
from auth_server.protocol.messages import Headers, Request, Response
from auth_server.protocol.server import Server
from auth_server.store.records import User

HTML = ("Content-Type", "text/html; charset=utf-8")
# Bootstrap has its icons as data. A form may lead on to any client, and browsers apply form-action to redirects too:
# where it leads is proven by then. Nothing comes from elsewhere: clients' logos are shown from here, too (logo.py).
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FORM_TOKEN = "csrf_token"
AFTER = "after"
_OUR_PAGE = re.compile(
    r"/(?:account/[a-z-]*|change-password|device(?:\?user_code=[A-Za-z0-9-]{1,64})?)", re.ASCII
).fullmatch  # S-063


def prepare(app: Flask, server: Server) -> None:
    """Let an application show pages."""
    Babel(app, default_locale=LANGUAGES[0])
    path = server.settings.issuer_path
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        bdi=lambda text: Markup("<bdi>{}</bdi>").format(text),
        strong=lambda text: Markup("<strong><bdi>{}</bdi></strong>").format(text),
    )
    app.jinja_env.globals.update(
        host=urlsplit(server.issuer).netloc,
        file_url=lambda name: file_url(path, name),
        page_url=lambda page: path + page,
        scope_text=partial(words.scope_text, own=server.settings.scope_claims),
        claim_text=words.claim_text,
        date_of=lambda moment: format_date(_day(moment), "long"),
    )


def _day(moment: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).date()


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
        values: for the template. Of them, `interaction` has a say in the language, and `retry_after` in when to try
            again.
    """
    cookie = cookie or value_of(request, server)
    if not cookie:
        cookie = server.browsers.new_cookie()
        headers = (*headers, set_cookie(cookie, server))
    if values.get("retry_after"):
        headers = (*headers, ("Retry-After", str(values["retry_after"])))
    language = language_of(request, values.get("interaction"))
    body = rendered(template, language, csrf_token=form_token(cookie, server), **values)
    return page_response(status, body, language, headers)


def rendered(template: str, language: str, **values: Any) -> str:
    """Return a template in one language."""
    with force_locale(language):
        return render_template(
            template, language=language, shown=lambda client: clients.shown(client, language), **values
        )


def page_response(status: int, body: str, language: str, headers: Headers = ()) -> Response:
    """Return the answer that carries a page."""
    own: Headers = (HTML, ("Vary", "Cookie, Accept-Language"), ("Content-Language", language))
    return Response(status, body.encode(), (*own, *headers), POLICY)


def language_of(request: Request, waiting: Interaction | None = None) -> str:
    """Return the language of a page."""
    wanted = request.query.get("ui_locales") or request.form.get("ui_locales", "")
    if waiting is not None:
        wanted = waiting.parameters.get("ui_locales", "")
    return choose(wanted, request.header("ACCEPT_LANGUAGE"))


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


def signed_in(request: Request, server: Server) -> tuple[User, SignIn, Browser] | None:
    """Return whom pages are for that no client has asked for: who signed in last on this browser, or was chosen."""
    browser = browser_of(request, server)
    user = server.browsers.user(browser.sign_ins[0]) if browser else None
    return (user, browser.sign_ins[0], browser) if browser and user else None


def lead_to(page: str, server: Server, headers: Headers = (), **parameters: str) -> Response:
    """Lead to a page of ours."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return Response(303, b"", (("Location", server.url(page) + (f"?{query}" if query else "")), *headers))


def sign_in_first(page: str, server: Server) -> Response:
    """Lead to the login, and from there back to a page of ours."""
    return lead_to("/login", server, after=page)


def after(request: Request) -> str:
    """The page of ours that somebody wanted to see before something else came; any other address counts as none."""
    wanted = request.query.get(AFTER) or request.form.get(AFTER, "")
    return wanted if _OUR_PAGE(wanted) else ""


def endpoint(path: str, get: Respond, post: Respond | None, summary: str, query: dict[str, str]) -> Endpoint:
    """Return a page's endpoint."""
    shown = {200: "The page.", 303: "To what comes next.", 400: "What was typed, or the link, does not count."}
    taken = {**shown, 401: "A name, password or code is wrong.", 403: "The form is too old, or another browser's."}
    operations = [Operation("GET", get, summary, query=query, responses=shown, produces="text/html")]
    if post is not None:
        operations.append(Operation("POST", post, summary, responses=taken, produces="text/html"))
    return Endpoint(
        path, surface=Surface.PAGE, tag="Pages", body=Body.FORM, operations=tuple(operations), policy=POLICY
    )
