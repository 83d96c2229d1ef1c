"""Consent: a person allows a client what it asks for, or does not."""

from urllib.parse import urlencode, urlsplit

from auth_server.domain import scopes
from auth_server.domain.audit import Actor
from auth_server.http.pages import words
from auth_server.http.pages.page import check_form, endpoint, show
from auth_server.protocol import interaction
from auth_server.protocol.authorization_request import AuthorizationRequest
from auth_server.protocol.browser_cookie import browser_of, value_of
from auth_server.protocol.errors import AccessDenied
from auth_server.protocol.interaction import PARAMETER, Answered, Interaction, Step
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.claims import claims_of
from auth_server.store.records import User


def page(request: Request, server: Server) -> Response:
    """Return the form."""
    waiting = interaction.find(request, server)
    asked, user = _asked(waiting, request, server)
    if user is None:
        return interaction.resume(waiting, value_of(request, server), server)
    return _form(request, server, waiting, asked, user)


def submit(request: Request, server: Server) -> Response:
    """Remember what was allowed, and go on; or tell the client that it was not. A double click is one click."""
    cookie = check_form(request, server)
    decision = request.form.get("decision", "")
    sent = f"{cookie} {decision}"
    try:
        waiting = interaction.find(request, server)
        asked, user = _asked(waiting, request, server)
        if user is None:
            return interaction.resume(waiting, cookie, server)
        if decision == "deny":
            answer = interaction.deny(waiting, AccessDenied("The person said no"), server)
        elif decision == "allow":
            by = Actor(user.uid, asked.client.client_id, request.address)
            agreed = interaction.consented(waiting, user.uid, asked.scope)
            answer = interaction.resume(agreed, cookie, server, by=by)
        else:
            return _form(request, server, waiting, asked, user)
    except Answered as error:
        return interaction.repeat(error, sent, server) or _wait(error, decision, request, server)
    interaction.keep_answer(waiting, answer, sent, server)
    return answer


def _wait(error: Answered, decision: str, request: Request, server: Server) -> Response:
    """Let whoever was too quick send the form once more, when the answer that is being made can be had.

    Raises:
        Answered: it was made, and not for this form.
    """
    if error.answer:
        raise error
    return show("answered.html", request, server, answered=error, decision=decision)


def _asked(waiting: Interaction, request: Request, server: Server) -> tuple[AuthorizationRequest, User | None]:
    """The request, and the person who is to be asked; None if something else comes first."""
    _, asked = interaction.asked_by(waiting, server)
    browser = browser_of(request, server)
    step, sign_in = interaction.next_step(asked, browser, waiting, server)
    if step is not Step.CONSENT or sign_in is None:
        return asked, None
    return asked, server.browsers.user(sign_in)


def _form(request: Request, server: Server, waiting: Interaction, asked: AuthorizationRequest, user: User) -> Response:
    asked_words = scopes.words(asked.scope)
    told = {claim for word in asked_words for claim in claims_of(word, server)}
    other = f"{server.url(Step.SELECT.value)}?{urlencode({PARAMETER: waiting.secret})}"
    return show(
        "consent.html",
        request,
        server,
        interaction=waiting,
        client=asked.client,
        user=user,
        words=words.in_order(asked_words),
        claims=[claim for claim in asked.claims.names() if claim not in told],
        answer_to=_place(asked.redirect.uri),
        other=other,
    )


def _place(uri: str) -> str:
    """Where an answer goes, as people know it: the host; or what a program on this device registers for itself."""
    parts = urlsplit(uri)
    return parts.netloc if parts.netloc and parts.scheme in ("https", "http") else f"{parts.scheme}:"


ENDPOINTS = (endpoint("/consent", page, submit, "Allow a client", {PARAMETER: "The request that it is for."}),)
