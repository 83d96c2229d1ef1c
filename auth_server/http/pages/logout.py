"""Signing out: a person is asked first, unless they or their client have said enough; then clients hear of it."""

from collections.abc import Sequence
from typing import Any

from auth_server.http.pages.page import check_form, endpoint, show
from auth_server.protocol.browser_cookie import browser_of
from auth_server.protocol.endpoints import end_session
from auth_server.protocol.endpoints.end_session import ENDED
from auth_server.protocol.extensions import frontchannel_logout
from auth_server.protocol.extensions.frontchannel_logout import Farewell
from auth_server.protocol.messages import Headers, Request, Response
from auth_server.protocol.server import Server
from auth_server.store.records import User

_CARRIED = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales")


def page(request: Request, server: Server) -> Response:
    """Ask, or say that it is done."""
    browser = browser_of(request, server)
    users = [user for one in browser.sign_ins if (user := server.browsers.user(one))] if browser else []
    if not users or ENDED in request.query or "done" in request.query:
        return _farewell(users, request, server)
    asked = end_session.check(request.query, server)
    carried = {name: request.query[name] for name in _CARRIED if name in request.query}
    return show("logout.html", request, server, client=asked.client, users=users, carried=carried)


def _farewell(users: Sequence[User], request: Request, server: Server) -> Response:
    """Say that it is done, and load what clients have registered to be loaded now; nothing else can be."""
    left = frontchannel_logout.find(request.query.get(ENDED, ""), server) or Farewell()
    found = server.records.clients.get
    clients = [client for client_id in left.client_ids if (client := found(client_id))]
    values: dict[str, Any] = {"users": users, "frames": left.frames, "clients": clients, "onward": left.onward}
    on: Headers = (("Refresh", f"5; url={left.onward}"),) if left.onward else ()  # also where a script does not run
    answer = show("logged_out.html", request, server, headers=on, asked_by=found(left.asked_by), **values)
    if left.sources:
        answer.policy += f"; frame-src {' '.join(left.sources)}"
    return answer


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
        dict.fromkeys((*_CARRIED, ENDED, "done"), "As at the endpoint for clients."),
    ),
)
