"""Consent: a person allows a client what it asks for, or does not."""

from urllib.parse import urlsplit

from auth_server.domain import scopes
from auth_server.domain.audit import Actor
from auth_server.http.pages.page import check_form, endpoint, show
from auth_server.protocol import interaction
from auth_server.protocol.authorization_request import AuthorizationRequest
from auth_server.protocol.browser_cookie import browser_of, value_of
from auth_server.protocol.errors import AccessDenied
from auth_server.protocol.interaction import PARAMETER, Interaction, Step
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server
from auth_server.store.records import User


def page(request: Request, server: Server) -> Response:
    """Return the form."""
    waiting = interaction.find(request, server)
    asked, user = _asked(waiting, request, server)
    if user is None:
        return interaction.resume(waiting, value_of(request, server), server)
    return _form(request, server, waiting, asked, user)


def submit(request: Request, server: Server) -> Response:
    """Remember what was allowed, and go on; or tell the client that it was not."""
    cookie = check_form(request, server)
    waiting = interaction.find(request, server)
    asked, user = _asked(waiting, request, server)
    if user is None:
        return interaction.resume(waiting, cookie, server)
    decision = request.form.get("decision", "")
    if decision == "deny":
        return interaction.deny(waiting, AccessDenied("The person said no"), server)
    if decision != "allow":
        return _form(request, server, waiting, asked, user)
    by = Actor(user.uid, asked.client.client_id, request.address)
    server.consents.remember(user.uid, asked.client.client_id, asked.scope, asked.claims.names(), by)
    return interaction.resume(interaction.consented(waiting, user.uid, asked.scope), cookie, server)


def _asked(waiting: Interaction, request: Request, server: Server) -> tuple[AuthorizationRequest, User | None]:
    """The request, and the person who is to be asked; None if something else comes first."""
    _, asked = interaction.asked_by(waiting, server)
    browser = browser_of(request, server)
    step, _ = interaction.next_step(asked, browser, waiting, server)
    if step is not Step.CONSENT or browser is None:
        return asked, None
    uid = waiting.account or browser.sign_ins[0].uid
    return asked, server.records.users.get(uid)


def _form(request: Request, server: Server, waiting: Interaction, asked: AuthorizationRequest, user: User) -> Response:
    words = sorted(scopes.words(asked.scope))
    host = urlsplit(asked.redirect.uri).hostname or asked.redirect.uri
    return show(
        "consent.html",
        request,
        server,
        interaction=waiting,
        client=asked.client,
        user=user,
        words=words,
        claims=asked.claims.names(),
        host=host,
    )


ENDPOINTS = (endpoint("/consent", page, submit, "Allow a client", {PARAMETER: "The request that it is for."}),)
