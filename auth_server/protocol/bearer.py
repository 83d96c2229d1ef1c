"""Bearer tokens (RFC 6750): where one is read, whether it may do this here, and the challenge."""

import re
from dataclasses import replace

from auth_server.domain import credentials, roles, scopes
from auth_server.domain.tokens import Living
from auth_server.errors import AuthServerError, Forbidden, NotAuthenticated
from auth_server.protocol.extensions import dpop
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server

_SCHEME = re.compile(r"(?:bearer|dpop) ", re.IGNORECASE | re.ASCII).match
LOGIN_NEEDED = "Please log in to your account"
DENIED = "Permission denied"


class TokensDiffer(AuthServerError):
    """Several different tokens in one request (CONTRACT section 5)."""


def presented(request: Request) -> str | None:
    """Return the token in the headers Authorization, X-Auth-Token and X-Session-ID; None if there is none.

    Basic credentials are no token and do not disturb the others. Values are never cleaned.

    Raises:
        TokensDiffer: the headers hold different tokens.
    """
    authorization = request.header("AUTHORIZATION")
    bearer = authorization[authorization.index(" ") + 1 :] if _SCHEME(authorization) else ""
    auth_token, session_id = request.header("X_AUTH_TOKEN"), request.header("X_SESSION_ID")
    # A header that is sent twice arrives as one with a comma, which no token holds.
    found = [part.strip() for value in (bearer, auth_token, session_id) if value for part in value.split(",")]
    if not found:
        return None
    if len(found) > 1 and len(set(found)) > 1:
        raise TokensDiffer("Unable to do that")
    return found[0]


def find(request: Request, server: Server) -> Living | None:
    """Return the living token that the request presents; None without a token. Its use is noted.

    Raises:
        NotAuthenticated: a token that does not count, or is meant for another audience.
        OAuthError: a token that is bound to a key, and no good proof of that.
        Throttled: too many unknown tokens from this address.
    """
    value = presented(request)
    return None if value is None else find_value(value, request, server)


def find_value(value: str, request: Request, server: Server) -> Living:
    """Return the living token that *value* is, wherever the request holds it. Its use is noted.

    Raises:
        NotAuthenticated: a token that does not count, or is meant for another audience.
        OAuthError: a token that is bound to a key, and no good proof of that.
        Throttled: too many unknown tokens from this address.
    """
    if not credentials.is_token(value):
        raise NotAuthenticated(LOGIN_NEEDED)
    living = server.tokens.find(value)
    if living is None:
        server.throttles.unknown_token(request.address)
        raise NotAuthenticated(LOGIN_NEEDED)
    token = living.token
    if token.audience and server.issuer not in token.audience:  # RFC 9068 §4, RFC 8707 §2 (S-045)
        raise NotAuthenticated(LOGIN_NEEDED)
    if token.cnf is not None:
        dpop.check(token, value, request, server)
    request.actor = token.subject or token.client_id or token.ref_id
    if token.idle or token.is_app_password:
        used = server.tokens.touch(token, request.address, request.header("USER_AGENT"))
        return replace(living, token=used)
    return living


def authenticate(request: Request, server: Server) -> Living:
    """Return the living token that the request presents.

    Raises:
        NotAuthenticated: there is none.
    """
    living = find(request, server)
    if living is None:
        raise NotAuthenticated(LOGIN_NEEDED)
    return living


def authorize(request: Request, server: Server, resource: str, *permissions: str) -> Living:
    """Return the token if it may use one of PhotoPrism's resources (photoprism-contract section 2).

    Raises:
        NotAuthenticated: no token that counts.
        Forbidden: scope or role do not reach that far.
    """
    living = authenticate(request, server)
    if not may(living, resource, *permissions):
        raise Forbidden(DENIED)
    return living


def may(living: Living, resource: str, *permissions: str) -> bool:
    """Tell whether scope, client role and user role allow it: the scope all permissions, each role any of them."""
    token = living.token
    if token.is_client_session:
        role = living.client.role if living.client else roles.CLIENT
        if not scopes.covers(token.scope, resource, frozenset(permissions)):
            return False
        if not roles.allows(role, resource, permissions):
            return False
        return living.user is None or roles.allows(living.user.role, resource, permissions)
    if token.scope and not scopes.covers(token.scope, resource, frozenset(permissions)):
        return False
    return living.user is not None and roles.allows(living.user.role, resource, permissions)


def require_scope(request: Request, server: Server, word: str) -> Living:
    """Return the token if its scope names *word*; for the words that no wildcard, session or app password reaches.

    Raises:
        NotAuthenticated: no token that counts.
        Forbidden: another scope, a person's session, an app password.
    """
    living = authenticate(request, server)
    if living.token.provider not in ("client", "access_token") or not scopes.has(living.token.scope, word):
        raise Forbidden(f"the token needs the scope {word}")
    return living
