"""Device authorization (RFC 8628): a device without a keyboard shows a code, a person allows it on another screen."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson

from auth_server.clock import Random
from auth_server.domain import credentials, scopes
from auth_server.domain.browsers import SignIn
from auth_server.domain.keys import base64url
from auth_server.errors import Unavailable
from auth_server.protocol.authorization_grant import Allowed, authorization, kept, read, refresh_key, still_allowed
from auth_server.protocol.client_authentication import authenticate, spend_once
from auth_server.protocol.description import Example, Schema
from auth_server.protocol.errors import (
    AccessDenied,
    AuthorizationPending,
    ExpiredToken,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    SlowDown,
    UnauthorizedClient,
)
from auth_server.protocol.feature import Authorization, Body, Caller, Endpoint, Feature, Grant, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.id_token import Authentication
from auth_server.protocol.tokens.subject import DEVICE_CODE
from auth_server.store.records import Client, User
from auth_server.store.state import Entry, Index, Kind, Rate

GRANT_TYPE = DEVICE_CODE
TTL = 600  # seconds that a person has (RFC 8628 §3.2; at most 15 minutes: S-110)
KNOWN_FOR = 600  # seconds more that an expired code is told from an unknown one
INTERVAL = 5  # seconds between two questions of a device
TRIES = 10  # to write an answer down while the device goes on asking
PAGE, QR_CODE = "/device", "/device/qr-code"
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words; nothing that looks like something else (RFC 8628 §6.1)
CODE_LENGTH = 8  # of 20 letters: 34 bits
FLOOD = Rate(600, 2)  # requests of one address that wait for a person
GUESSES = Rate(5, 180)  # wrong user codes of one address


@dataclass(frozen=True, slots=True)
class Device:
    """A device that waits for its person.

    Args:
        key: digest of its device code.
        user_code: as the person types it, without the dash.
        status: pending, allowed or denied.
        address: from where it asked, so that people can see whether it is theirs (RFC 8628 §5.4); empty where the
            version before has kept it.
        interval: seconds that it must leave between two questions.
        granted: what was allowed, as a code would keep it; empty before.
        stored: all of this as the store had it, which tells whether it has changed since; empty of a new one.
    """

    key: bytes
    client_id: str
    scope: str
    user_code: str
    expires_at: int
    status: str = "pending"
    interval: int = INTERVAL
    asked_at: int = 0
    address: str = ""
    uid: str = ""
    granted: Mapping[str, Any] | None = None
    stored: bytes = b""


# ---- the device asks
def respond(request: Request, server: Server) -> Response:
    """Return the codes: one for the device, one for the person."""
    caller = authenticate(request, server)
    client = caller.client
    if client is None or GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("The client is not registered for this grant_type")
    scope = _scope(request.form.get("scope", ""), client)
    server.throttles.waiting(request.address, FLOOD)
    spend_once(request, caller, server)
    device_code = base64url(server.random(32)).decode()
    now = server.clock()
    key, code = credentials.digest(device_code), new_user_code(server.random)
    device = Device(key, client.client_id, scope, code, now + TTL, address=request.address)
    _keep(device, server)
    named = Entry(_name(device.user_code), device.expires_at, device.key, subject=None)
    server.state.put(Kind.USER_CODE, named, now)
    shown = f"{device.user_code[:4]}-{device.user_code[4:]}"
    return json_response(
        {
            "device_code": device_code,
            "user_code": shown,
            "verification_uri": server.url(PAGE),
            "verification_uri_complete": server.url(f"{PAGE}?user_code={shown}"),
            "verification_qr_uri": server.url(f"{QR_CODE}?user_code={shown}"),
            "expires_in": TTL,
            "interval": INTERVAL,
        }
    )


def _scope(asked: str, client: Client) -> str:
    if asked and not scopes.is_valid(asked):
        raise InvalidScope("scope is malformed")
    scope = scopes.narrowed(asked, client.scope)
    if not scope:
        raise InvalidScope("The client may not have this scope")
    return scope


def new_user_code(random: Random) -> str:
    """Return a code that a person can type without mistakes: 34 bits."""
    return credentials.random_text(random, LETTERS, CODE_LENGTH)


def clean_user_code(text: str) -> str:
    """Return a code as it is compared: capitals, without what people put between."""
    return "".join(letter for letter in text[:64].upper() if letter.isascii() and letter.isalnum())


# ---- the person answers
def find(user_code: str, address: str, server: Server) -> Device | None:
    """Return the device that waits under a code; None if none does, which costs the address one of its guesses.

    Raises:
        Throttled: it has made too many (S-110).
    """
    server.throttles.check_user_code(address, GUESSES)
    now, code = server.clock(), clean_user_code(user_code)
    named = server.state.get(Kind.USER_CODE, _name(code), now) if len(code) == CODE_LENGTH else None
    device = _find(named.data, server) if named is not None else None
    if device is None or device.status != "pending" or device.expires_at <= now:
        server.throttles.wrong_user_code(address, GUESSES)
        return None
    return device


def allow(device: Device, sign_in: SignIn, user: User, client: Client, server: Server) -> bool:
    """Let a device have what it asked for; tell whether it still waited.

    Raises:
        Unavailable: it asked again at every try; nothing has changed.
    """
    authentication = Authentication(user.uid, sign_in.auth_time, sign_in.amr)  # it outlives this browser's sign-in
    versions = (user.password_version, user.token_version, client.token_version)
    granted = kept(Allowed(device.scope, authentication, device.key, *versions))
    return _answer(device, server, status="allowed", uid=user.uid, granted=granted)


def deny(device: Device, server: Server) -> bool:
    """Let a device know that its person said no; tell whether it still waited.

    Raises:
        Unavailable: as of `allow`.
    """
    return _answer(device, server, status="denied")


def _answer(device: Device, server: Server, **answer: Any) -> bool:
    """Write an answer down if there is none yet: of two people at the same moment the first one counts."""
    waiting: Device | None = device
    for _ in range(TRIES):
        if waiting is None or waiting.status != "pending":
            return False
        if _swap(waiting, replace(waiting, **answer), server):
            with suppress(Unavailable):  # it leads to nobody who waits any more
                server.state.revoke(Index.KEY, _name(device.user_code).hex(), Kind.USER_CODE)
            return True
        waiting = _find(device.key, server)  # it has asked meanwhile, and that was written down
    raise Unavailable("the device asks too often to be answered")


# ---- the device comes back
def authorize(request: Request, caller: Caller, server: Server) -> Authorization:
    """Give the device what its person has allowed, once.

    Raises:
        UnauthorizedClient: the client is not registered for this grant.
        InvalidRequest: the code is missing.
        AuthorizationPending, SlowDown, AccessDenied, ExpiredToken: RFC 8628 §3.5.
        InvalidGrant: it is unknown, another client's, or was redeemed before; or its person counts no more.
    """
    client = caller.client
    if client is None or GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("The client is not registered for this grant_type")
    code = request.form.get("device_code", "")
    if not code:
        raise InvalidRequest("device_code is missing")
    device = _find(credentials.digest(code), server)
    if device is None or device.client_id != client.client_id:
        raise InvalidGrant("The device_code is unknown, used, or not this client's")
    if device.expires_at <= server.clock():
        raise ExpiredToken("The code has expired; begin again")
    if device.status == "denied":
        raise AccessDenied("The person said no")
    if device.status == "pending":
        raise _too_early(device, server)
    taken = server.state.take(Kind.DEVICE_CODE, device.key, client.client_id, server.clock())
    if taken is None or not taken.first or device.granted is None:
        raise InvalidGrant("The device_code is unknown, used, or not this client's")
    allowed = replace(read(device.granted, device.uid, device.key), jkt=refresh_key(caller))
    user = still_allowed(allowed, client, server)
    request.actor = client.client_id
    return authorization(allowed, client, user, GRANT_TYPE, server)


def _too_early(device: Device, server: Server) -> AuthorizationPending | SlowDown:
    """The person has not answered; a device that asks too often must ask less often, wherever it asked (S-111)."""
    now = server.clock()
    hasty = device.asked_at and now - device.asked_at < device.interval
    interval = device.interval + INTERVAL if hasty else device.interval
    _swap(device, replace(device, asked_at=now, interval=interval), server)
    if hasty:
        return SlowDown(f"Wait {interval} seconds between two requests")
    return AuthorizationPending("The person has not answered yet")


# ---- how it is kept
def _name(user_code: str) -> bytes:
    return credentials.digest(f"user_code {user_code}")


def _keep(device: Device, server: Server) -> None:
    server.state.put(Kind.DEVICE_CODE, _entry(device), server.clock())


def _find(key: bytes, server: Server) -> Device | None:
    entry = server.state.get(Kind.DEVICE_CODE, key, server.clock())
    if entry is None:
        return None
    return Device(key, entry.client_id or "", **orjson.loads(entry.data), stored=entry.data)


def _swap(device: Device, changed: Device, server: Server) -> bool:
    """Keep a device as it is now, unless somebody else has changed it since it was found; tell whether it was kept."""
    found = replace(_entry(device), data=device.stored)  # not as we would write it: another version may have done so
    return server.state.swap(Kind.DEVICE_CODE, found, _entry(changed), server.clock())


def _entry(device: Device) -> Entry:
    names = ("scope", "user_code", "expires_at", "status", "interval", "asked_at", "address", "uid", "granted")
    data = orjson.dumps({name: getattr(device, name) for name in names})
    return Entry(device.key, device.expires_at + KNOWN_FOR, data, device.client_id, family=device.key)


_REQUEST: Schema = {
    "title": "DeviceAuthorizationRequest",
    "type": "object",
    "properties": {
        "client_id": {"type": "string"},
        "scope": {"type": "string", "description": "Words parted by spaces; all of the client's where absent."},
    },
}
_SCHEMA: Schema = {
    "title": "DeviceAuthorization",
    "type": "object",
    "required": ["device_code", "user_code", "verification_uri", "expires_in", "interval"],
    "properties": {
        "device_code": {"type": "string"},
        "user_code": {"type": "string", "examples": ["WDJB-MJHT"]},
        "verification_uri": {"type": "string", "format": "uri"},
        "verification_uri_complete": {"type": "string", "format": "uri"},
        "verification_qr_uri": {
            "type": "string",
            "format": "uri",
            "description": "That address as a QR code, for devices that can show an image and make none (PNG).",
        },
        "expires_in": {"type": "integer", "description": "Seconds."},
        "interval": {"type": "integer", "description": "Seconds between two requests for the token."},
    },
}

FEATURE = Feature(
    name="device_authorization",
    specs=("RFC 8628",),
    endpoints=(
        Endpoint(
            "/api/v1/oauth/device_authorization",
            surface=Surface.OAUTH,
            tag="OAuth",
            body=Body.FORM,
            operations=(
                Operation(
                    "POST",
                    respond,
                    "Begin on a device",
                    "The device shows the code and the address, and then asks the token endpoint again and again.",
                    request=_REQUEST,
                    responses={200: ("Codes for the device and for the person.", _SCHEMA)},
                    security=("client",),
                    examples={
                        "television": Example(
                            "A device with one word of scope",
                            {"scope": "metrics"},
                            response={
                                "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS0E",
                                "user_code": "WDJB-MJHT",
                                "verification_uri": "http://127.0.0.1:2342/device",
                                "verification_uri_complete": "http://127.0.0.1:2342/device?user_code=WDJB-MJHT",
                                "verification_qr_uri": "http://127.0.0.1:2342/device/qr-code?user_code=WDJB-MJHT",
                                "expires_in": TTL,
                                "interval": INTERVAL,
                            },
                        )
                    },
                ),
            ),
        ),
    ),
    grants=(Grant(GRANT_TYPE, authenticate, authorize),),
    metadata=lambda server: {"device_authorization_endpoint": server.url("/api/v1/oauth/device_authorization")},
)
