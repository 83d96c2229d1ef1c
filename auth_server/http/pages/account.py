"""A person's own page: who is signed in on this browser, and what they have allowed."""

from typing import Any

from auth_server.domain.audit import Actor
from auth_server.http.pages.change_password import PATH as CHANGE_PASSWORD
from auth_server.http.pages.clients import Shown, shown
from auth_server.http.pages.page import check_form, endpoint, language_of, lead_to, show, sign_in_first, signed_in
from auth_server.protocol.browser_cookie import cookies
from auth_server.protocol.endpoints import end_session
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server
from auth_server.store.records import Consent, User
from auth_server.store.state import Page

PATH = "/account/"
MOST = 200  # consents that are shown
DONE = "done"


def page(request: Request, server: Server) -> Response:
    """Return the page; whoever must set a new password does that first."""
    found = signed_in(request, server)
    if found is None:
        return sign_in_first(PATH, server)
    user, _, browser = found
    if user.must_change_password:
        return lead_to(CHANGE_PASSWORD, server, after=PATH)
    request.actor = user.uid
    users = [other for one in browser.sign_ins if (other := server.browsers.user(one))]
    consents = _consents(user, language_of(request), server)
    values: dict[str, Any] = {"user": user, "users": users, "consents": consents, "done": request.query.get(DONE, "")}
    return show("account.html", request, server, wide=True, **values)


def from_root(request: Request, server: Server) -> Response:
    """Lead who types only the address of the server to the page that everybody has."""
    return lead_to(PATH, server)


def submit(request: Request, server: Server) -> Response:
    """Take a permission back, show another account, or end all that a person has open anywhere."""
    cookie = check_form(request, server)
    found = signed_in(request, server)
    if found is None:
        return sign_in_first(PATH, server)
    user = found[0]
    request.actor = user.uid
    if request.form.get("everywhere"):
        answer = end_session.sign_out(end_session.NOBODY_ASKED, user.uid, request, server)
        server.users.sign_out_everywhere(user.uid, Actor(user.uid, address=request.address))
        return answer
    client_id, uid = request.form.get("withdraw", ""), request.form.get("account", "")
    if client_id:
        server.consents.withdraw(user.uid, client_id, Actor(user.uid, client_id, request.address))
        return lead_to(PATH, server, done="withdrawn")
    chosen = server.browsers.select(cookie, uid) if uid else None
    return lead_to(PATH, server, cookies(chosen[0], request, server) if chosen else ())


def _consents(user: User, language: str, server: Server) -> list[tuple[Consent, Shown]]:
    """What a person has allowed, with the clients that are still there."""
    given = server.consents.page(user.uid, Page(MOST))
    pairs = ((consent, server.records.clients.get(consent.client_id)) for consent in given)
    return [(consent, shown(client, language)) for consent, client in pairs if client is not None]


ENDPOINTS = (
    endpoint("/", from_root, None, "The way to one's own account", {}),
    endpoint(PATH, page, submit, "One's own account", {DONE: "What has just been done."}),
)
