"""The authorization code grant (RFC 6749 §4.1.3): a code is redeemed once, by the client that it was given to."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from auth_server.domain import credentials
from auth_server.protocol.authorization_grant import authorization, check_key, read, refresh_key, still_allowed
from auth_server.protocol.client_authentication import authenticate
from auth_server.protocol.errors import InvalidGrant, InvalidRequest, UnauthorizedClient
from auth_server.protocol.extensions import pkce
from auth_server.protocol.feature import Authorization, Caller, Feature, Grant
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server
from auth_server.store.records import Client
from auth_server.store.state import Entry, Kind

GRANT_TYPE = "authorization_code"
MAX_LENGTH = 128


def authorize(request: Request, caller: Caller, server: Server) -> Authorization:
    """Redeem a code. Everything that only reads comes first: what is refused for that uses no code up.

    Raises:
        UnauthorizedClient: the client is not registered for this grant.
        InvalidRequest: a member is missing.
        InvalidGrant: the code is unknown, expired, another client's or used, or what belongs to it does not fit.
    """
    client = caller.client
    if client is None or GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("The client is not registered for this grant_type")
    code = request.form.get("code", "")
    if not code:
        raise InvalidRequest("code is missing")
    key = credentials.digest(code)
    entry = server.state.get(Kind.CODE, key, server.clock()) if len(code) <= MAX_LENGTH else None
    known: Mapping[str, Any] | None = None
    if entry is not None and entry.client_id == client.client_id:
        known = orjson.loads(entry.data)
        check_redirect_uri(request.form.get("redirect_uri", ""), known)
        pkce.verify(request.form.get("code_verifier", ""), known["challenge"])
        check_key(known.get("jkt", ""), caller)
    taken = server.state.take(Kind.CODE, key, client.client_id, server.clock()) if len(code) <= MAX_LENGTH else None
    if taken is None:
        raise _refused()
    if not taken.first or known is None:
        replayed(taken.entry, client, request, server)
        raise _refused()
    uid = taken.entry.subject or ""
    allowed = replace(read(known, uid, key), jkt=refresh_key(caller))
    user = still_allowed(allowed, client, server)
    request.actor = client.client_id
    return authorization(allowed, client, user, GRANT_TYPE, server)


def check_redirect_uri(given: str, known: Mapping[str, Any]) -> None:
    """Compare with the authorization request's (RFC 6749 §4.1.3); it may be left out where PKCE binds the two.

    Raises:
        InvalidGrant: another one, or none where it is needed.
    """
    if given == known["redirect_uri"]:
        return
    if given or (known["redirect_given"] and not known["challenge"]):
        raise InvalidGrant("redirect_uri is not that of the authorization request")


def replayed(code: Entry, client: Client, request: Request, server: Server) -> None:
    """End all that a code gave: it was sent twice, so somebody else knows it (RFC 9700 §4.5)."""
    server.refresh_tokens.end(code.key)
    uid = code.subject or ""
    server.audit.record("code.reuse", "refused", actor=uid, client_id=client.client_id, address=request.address)


def _refused() -> InvalidGrant:
    return InvalidGrant("The code is unknown, expired, used, or not this client's")


FEATURE = Feature(
    name="authorization_code",
    specs=("RFC 6749 §4.1",),
    grants=(Grant(GRANT_TYPE, authenticate, authorize),),
)
