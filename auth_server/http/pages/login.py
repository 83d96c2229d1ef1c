"""Signing in: name and password, then the verification code where an account asks for one."""

from base64 import urlsafe_b64decode
from typing import Any

import orjson

from auth_server.domain.keys import base64url
from auth_server.domain.sealing import SealBroken
from auth_server.errors import LoginFailed, PasscodeInvalid, PasscodeRequired, Throttled
from auth_server.http.pages.change_password import PATH as CHANGE_PASSWORD
from auth_server.http.pages.page import AFTER, after, check_form, endpoint, lead_to, show
from auth_server.protocol import interaction
from auth_server.protocol.browser_cookie import cookies
from auth_server.protocol.errors import Refusal
from auth_server.protocol.interaction import PARAMETER, Interaction
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server
from auth_server.store.records import User

PENDING_TTL = 300  # seconds between password and code


def page(request: Request, server: Server) -> Response:
    """Return the form."""
    waiting = _waiting(request, server)
    name = waiting.parameters.get("login_hint", "") if waiting else ""
    return _form(request, server, waiting, username=name[:255])


def submit(request: Request, server: Server) -> Response:
    """Sign somebody in, and go on."""
    cookie = check_form(request, server)
    waiting = _waiting(request, server)
    pending = request.form.get("pending", "")
    if pending:
        return _second(request, server, waiting, cookie, pending)
    name, password = request.form.get("username", ""), request.form.get("password", "")
    try:
        user = server.login.by_password(name, password, request.address)
    except PasscodeRequired:
        return _code_form(request, server, waiting, _pending(name, cookie, server))
    except LoginFailed:
        return _form(request, server, waiting, 401, username=name[:255], wrong=True)
    except Throttled as error:
        return _form(request, server, waiting, 429, username=name[:255], retry_after=error.retry_after)
    return _signed_in(user, ("pwd",), request, server, waiting, cookie)


def _second(request: Request, server: Server, waiting: Interaction | None, cookie: str, pending: str) -> Response:
    """The code, after a password that was right a moment ago."""
    user = _opened(pending, cookie, server)
    if user is None:
        return _form(request, server, waiting, 400, expired=True)
    recovery = bool(request.form.get("recovery"))
    if request.form.get("recovery") == "ask":
        return _code_form(request, server, waiting, pending, recovery=True)
    try:
        user = server.login.by_code(user, request.form.get("passcode", ""), request.address)
    except (PasscodeRequired, PasscodeInvalid):
        return _code_form(request, server, waiting, pending, 401, wrong=True, recovery=recovery)
    except LoginFailed:
        return _form(request, server, waiting, 401, username=user.name, wrong=True)
    except Throttled as error:
        return _code_form(request, server, waiting, pending, 429, retry_after=error.retry_after, recovery=recovery)
    return _signed_in(user, ("pwd", "otp", "mfa"), request, server, waiting, cookie)


def _signed_in(
    user: User, amr: tuple[str, ...], request: Request, server: Server, waiting: Interaction | None, cookie: str
) -> Response:
    """Give the browser a new cookie (S-056), and lead on."""
    new, _ = server.browsers.sign_in(cookie, user, amr)
    headers = cookies(new, request, server)
    request.actor = user.uid
    if waiting is not None:
        return interaction.resume(interaction.signed_in(waiting, user.uid), new, server, headers)
    if user.must_change_password:
        return lead_to(CHANGE_PASSWORD, server, headers, after=after(request))
    return Response(303, b"", (("Location", server.url(after(request) or "/account/")), *headers))


def _pending(name: str, cookie: str, server: Server) -> str:
    """Whose password was right, sealed for this browser and a few minutes: nobody is signed in yet (S-069)."""
    user = server.users.find(name)
    values = [user.uid, user.password_version, server.clock() + PENDING_TTL]
    return base64url(server.sealing.seal(orjson.dumps(values), f"second factor {cookie}")).decode()


def _opened(pending: str, cookie: str, server: Server) -> User | None:
    """The person whose password was right; None if that was too long ago, or is not so any more."""
    try:
        sealed = urlsafe_b64decode(pending + "=" * (-len(pending) % 4))
        uid, version, until = orjson.loads(server.sealing.open(sealed, f"second factor {cookie}"))
    except (SealBroken, ValueError):
        return None
    user = server.records.users.get(uid)
    current = user is not None and user.enabled and user.password_version == version
    return user if current and until > server.clock() else None


def _waiting(request: Request, server: Server) -> Interaction | None:
    """The request of a client that somebody signs in for; None where they came by themselves."""
    if request.query.get(PARAMETER) or request.form.get(PARAMETER):
        return interaction.find(request, server)
    return None


def _form(request: Request, server: Server, waiting: Interaction | None, status: int = 200, **values: Any) -> Response:
    return _show("login.html", request, server, waiting, status, values)


def _code_form(
    request: Request, server: Server, waiting: Interaction | None, pending: str, status: int = 200, **values: Any
) -> Response:
    return _show("passcode.html", request, server, waiting, status, {"pending": pending, **values})


def _show(
    template: str, request: Request, server: Server, waiting: Interaction | None, status: int, values: dict[str, Any]
) -> Response:
    known: dict[str, Any] = {"interaction": waiting, "client": _client(waiting, server), "after": after(request)}
    return show(template, request, server, status=status, **known, **values)


def _client(waiting: Interaction | None, server: Server) -> object:
    if waiting is None:
        return None
    client = server.records.clients.get(waiting.parameters.get("client_id", ""))
    if client is None:
        raise Refusal("The application that sent you here is not known any more")
    return client


ENDPOINTS = (
    endpoint("/login", page, submit, "Sign in", {PARAMETER: "The request that it is for.", AFTER: "A page of ours."}),
)
