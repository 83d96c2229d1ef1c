"""Signing out: a person is asked first, unless they or their client have said enough."""

from auth_server.http.pages.page import check_form, endpoint, show
from auth_server.protocol.browser_cookie import browser_of
from auth_server.protocol.endpoints import end_session
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server

_CARRIED = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales")


def page(request: Request, server: Server) -> Response:
    """Ask, or say that it is done."""
    asked = end_session.check(request.query, server)
    browser = browser_of(request, server)
    users = [user for one in browser.sign_ins if (user := server.browsers.user(one))] if browser else []
    carried = {name: request.query[name] for name in _CARRIED if name in request.query}
    return show("logout.html", request, server, client=asked.client, users=users, carried=carried)


def submit(request: Request, server: Server) -> Response:
    """Sign everybody out who is signed in here; or nobody, if that is what they say."""
    check_form(request, server)
    carried = {name: request.form[name] for name in _CARRIED if name in request.form}
    asked = end_session.check(carried, server)
    if request.form.get("decision") == "deny":
        return Response(303, b"", (("Location", server.url("/account/")),))
    return end_session.sign_out(asked, None, request, server)


ENDPOINTS = (
    endpoint(
        end_session.PAGE,
        page,
        submit,
        "Sign out",
        dict.fromkeys((*_CARRIED, "done"), "As at the endpoint for clients."),
    ),
)
