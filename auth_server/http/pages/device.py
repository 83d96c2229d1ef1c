"""The page on which a person lets a device in (RFC 8628 §3.3): the code, then what the device asks for.

Nothing is ever allowed by opening a link (S-112): a form says yes, of a person who is signed in.
"""

from typing import Any
from urllib.parse import urlencode

from auth_server.domain import scopes
from auth_server.domain.audit import Actor
from auth_server.errors import NotFound, Throttled
from auth_server.http.pages import words
from auth_server.http.pages.change_password import PATH as CHANGE_PASSWORD
from auth_server.http.pages.page import check_form, endpoint, lead_to, show, sign_in_first, signed_in
from auth_server.protocol.feature import Endpoint, Operation, Surface
from auth_server.protocol.grants import device_authorization as device_grant
from auth_server.protocol.grants.device_authorization import PAGE, Device
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.qr_code import png
from auth_server.protocol.server import Server
from auth_server.store.records import User

USER_CODE = "user_code"


def page(request: Request, server: Server) -> Response:
    """Ask for the code; or, where the link holds it, whether its device may come in."""
    code = request.query.get(USER_CODE, "")
    return _with_code(code, request, server) if code else show("device.html", request, server)


def submit(request: Request, server: Server) -> Response:
    """Take the code, or the person's answer."""
    check_form(request, server)
    code = request.form.get(USER_CODE, "")
    decision = request.form.get("decision", "")
    if decision not in ("allow", "deny"):
        return _with_code(code, request, server)
    return _decided(code, decision == "allow", request, server)


def _with_code(code: str, request: Request, server: Server) -> Response:
    person = signed_in(request, server)
    cleaned = device_grant.clean_user_code(code)
    here = f"{PAGE}?{urlencode({USER_CODE: cleaned})}" if cleaned else PAGE
    if person is None:
        return sign_in_first(here, server)
    if person[0].must_change_password:
        return lead_to(CHANGE_PASSWORD, server, after=here)
    found = _found(code, request, server)
    return found if isinstance(found, Response) else _ask(found, person[0], request, server)


def _found(code: str, request: Request, server: Server) -> Device | Response:
    try:
        device = device_grant.find(code, request.address, server)
    except Throttled as error:
        return show("device.html", request, server, status=429, retry_after=error.retry_after)
    return device or show("device.html", request, server, status=400, user_code=code[:64], wrong=True)


def _ask(device: Device, user: User, request: Request, server: Server) -> Response:
    client = server.records.clients.get(device.client_id)
    if client is None:
        return show("device.html", request, server, status=400, wrong=True)
    asked = words.in_order(scopes.words(device.scope))
    shown = f"{device.user_code[:4]}-{device.user_code[4:]}"
    other = f"{server.url('/login')}?{urlencode({'after': f'{PAGE}?{USER_CODE}={shown}'})}"
    values: dict[str, Any] = {
        "address": device.address,
        "own": request.address,
        "client": client,
        "user": user,
        "words": asked,
        "user_code": shown,
        "other": other,
    }
    return show("device_confirm.html", request, server, **values)


def _decided(code: str, allowed: bool, request: Request, server: Server) -> Response:
    person = signed_in(request, server)
    if person is None or person[0].must_change_password:
        return _with_code(code, request, server)
    found = _found(code, request, server)
    if isinstance(found, Response):
        return found
    (user, sign_in, _), client = person, server.records.clients.get(found.client_id)
    if client is None or not client.enabled:
        return show("device.html", request, server, status=400, wrong=True)
    if allowed:
        done = device_grant.allow(found, sign_in, user, client, server)
    else:
        done = device_grant.deny(found, server)
    if not done:
        return show("device.html", request, server, status=400, wrong=True)
    if allowed:
        by = Actor(user.uid, client.client_id, request.address)
        server.consents.remember(user.uid, client.client_id, found.scope, (), by)
    return show("device_done.html", request, server, client=client, allowed=allowed)


def picture(request: Request, server: Server) -> Response:
    """Return the address of a code's page as a QR code, for the device to show. Whether the code waits, it says not.

    Raises:
        NotFound: it has not a code's form.
    """
    code = device_grant.clean_user_code(request.query.get(USER_CODE, ""))
    if len(code) != device_grant.CODE_LENGTH or not set(code) <= set(device_grant.LETTERS):
        raise NotFound("Not found")
    address = server.url(f"{PAGE}?{USER_CODE}={code[:4]}-{code[4:]}")
    return Response(200, png(address), (("Content-Type", "image/png"),))


ENDPOINTS = (
    endpoint(PAGE, page, submit, "Let a device in", {USER_CODE: "The code that the device shows."}),
    Endpoint(
        device_grant.QR_CODE,
        surface=Surface.PAGE,
        tag="Pages",
        operations=(
            Operation(
                "GET",
                picture,
                "A code as a QR code",
                query={USER_CODE: "The code that the device shows."},
                responses={200: "An image.", 404: "That is no code."},
                produces="image/png",
            ),
        ),
    ),
)
