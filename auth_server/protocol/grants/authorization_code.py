"""The authorization code grant (RFC 6749 §4.1.3): a code is redeemed once, by the client that it was given to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from auth_server.domain import credentials, scopes
from auth_server.protocol.client_authentication import authenticate
from auth_server.protocol.errors import InvalidGrant, InvalidRequest, UnauthorizedClient
from auth_server.protocol.extensions import pkce
from auth_server.protocol.feature import Authorization, Caller, Feature, Grant
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import id_token
from auth_server.protocol.tokens.id_token import Authentication
from auth_server.store.records import Client, User
from auth_server.store.state import Kind

GRANT_TYPE = "authorization_code"
MAX_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a person has allowed a client: kept with a code, and then with each refresh token that comes of it.

    Args:
        family: 32 bytes that all that comes of it share.
        password_version, user_version, client_version: as they stood then; a later change ends it.
    """

    scope: str
    authentication: Authentication
    family: bytes
    password_version: int
    user_version: int
    client_version: int
    userinfo_claims: tuple[str, ...] = ()


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
    taken = server.state.take(Kind.CODE, key, client.client_id, server.clock()) if len(code) <= MAX_LENGTH else None
    if taken is None:
        raise _refused()
    if not taken.first or known is None:
        replayed(key, client, request, server)
        raise _refused()
    uid = taken.entry.subject or ""
    allowed = read(known, uid, key)
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


def replayed(key: bytes, client: Client, request: Request, server: Server) -> None:
    """End all that a code gave: it was sent twice, so somebody else knows it (RFC 9700 §4.5)."""
    server.refresh_tokens.end(key)
    server.audit.record("code.reuse", "refused", client_id=client.client_id, address=request.address)


def read(known: Mapping[str, Any], uid: str, family: bytes) -> Allowed:
    """Return what a code stands for."""
    authentication = Authentication(
        uid=uid,
        auth_time=known["auth_time"],
        amr=tuple(known["amr"]),
        sid=known["sid"],
        nonce=known["nonce"],
        claims=known["id_token_claims"],
    )
    versions = (known["password_version"], known["user_version"], known["client_version"])
    return Allowed(known["scope"], authentication, family, *versions, tuple(known["userinfo_claims"]))


def still_allowed(allowed: Allowed, client: Client, server: Server) -> User:
    """Return the person, if what they have allowed still counts.

    Raises:
        InvalidGrant: person or client were disabled meanwhile, or the person has a new password (S-034, S-042).
    """
    user = server.records.users.get(allowed.authentication.uid)
    if user is None or not user.enabled:
        raise _refused()
    now = (user.password_version, user.token_version, client.token_version)
    if now != (allowed.password_version, allowed.user_version, allowed.client_version):
        raise _refused()
    return user


def authorization(allowed: Allowed, client: Client, user: User, grant_type: str, server: Server) -> Authorization:
    """Return what is issued for a code: an access token, and beside it what else the person has allowed."""

    def beside(access_token: str) -> Mapping[str, object]:
        members: dict[str, object] = {}
        if scopes.has(allowed.scope, "offline_access") and "refresh_token" in client.grant_types:
            members["refresh_token"] = first_refresh_token(allowed, client, user, server)
        if scopes.has(allowed.scope, "openid"):
            members["id_token"] = id_token.issue(
                allowed.authentication, user, client, server, access_token=access_token
            )
        if server.refresh_tokens.has_ended(allowed.family):  # the code was sent a second time meanwhile
            server.refresh_tokens.end(allowed.family)
            raise _refused()
        return members

    return issued_as(allowed, client, user, grant_type, allowed.scope, beside, server)


def issued_as(
    allowed: Allowed,
    client: Client,
    user: User,
    grant_type: str,
    scope: str,
    beside: Any,
    server: Server,
) -> Authorization:
    """Return the authorization of one access token."""
    return Authorization(
        provider="client",
        method="oauth2",
        grant_type=grant_type,
        scope=scope,
        ttl=client.access_token_ttl or server.settings.access_token_ttl,
        client=client,
        user=user,
        client_name=client.client_name,
        audience=client.audience,
        form=client.token_format,
        family=allowed.family,
        password_version=allowed.password_version,
        userinfo_claims=allowed.userinfo_claims,
        beside=beside,
    )


def first_refresh_token(allowed: Allowed, client: Client, user: User, server: Server) -> str:
    """Begin a line of refresh tokens."""
    authentication = allowed.authentication
    data = {
        "scope": allowed.scope,
        "auth_time": authentication.auth_time,
        "amr": authentication.amr,
        "sid": authentication.sid,
        "nonce": "",  # OIDC Core §12.2: an ID token of a refresh should have none
        "id_token_claims": authentication.claims,
        "userinfo_claims": allowed.userinfo_claims,
        "password_version": allowed.password_version,
        "user_version": allowed.user_version,
        "client_version": allowed.client_version,
    }
    return server.refresh_tokens.begin(allowed.family, user.uid, client.client_id, orjson.dumps(data))


def _refused() -> InvalidGrant:
    return InvalidGrant("The code is unknown, expired, used, or not this client's")


FEATURE = Feature(
    name="authorization_code",
    specs=("RFC 6749 §4.1",),
    grants=(Grant(GRANT_TYPE, authenticate, authorize),),
)
