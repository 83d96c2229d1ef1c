"""Access tokens: opaque, JWT (RFC 9068), or PhotoPrism's app passwords; all of them stored and revocable."""

from dataclasses import dataclass
from typing import Any

from auth_server.domain import credentials
from auth_server.domain.keys import base64url
from auth_server.domain.tokens import Token
from auth_server.protocol.feature import Authorization, Feature
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.subject import subject
from auth_server.store.records import Client

TYP = "at+jwt"  # RFC 9068 §2.1


@dataclass(slots=True)  # not frozen: one is made on every request, and that takes five times as long
class Issued:
    """A token as given out, this once, and what the server keeps of it."""

    value: str
    token: Token


def issue(authorization: Authorization, server: Server) -> Issued:
    """Make a token for an authorization and keep its record; one statement to the store."""
    now = server.clock()
    client, user = authorization.client, authorization.user
    expires_at = None if authorization.ttl is None else now + authorization.ttl
    jti = kid = ""
    if authorization.form == "jwt" and client is not None and expires_at is not None:
        key = server.keyring.signing_key()
        claims = jwt_claims(authorization, client, server, now, expires_at)
        jti, kid, value = claims["jti"], key.kid, key.sign(TYP, claims)
    elif authorization.form == "app_password":
        value = credentials.new_app_password(server.random)
    else:
        value = credentials.new_access_token(server.random)
    token = Token(
        key=credentials.digest(value),
        provider=authorization.provider,
        method=authorization.method,
        grant_type=authorization.grant_type,
        created_at=max(now, client.created_at) if client else now,  # by the clock of another replica (S-137)
        expires_at=expires_at,
        scope=authorization.scope,
        subject=user.uid if user else None,
        client_id=client.client_id if client else None,
        client_name=authorization.client_name,
        audience=authorization.audience,
        jti=jti,
        kid=kid,
        cnf=authorization.cnf,
        parent=authorization.family,
        claims=authorization.userinfo_claims,
        sid=authorization.sid,
        password_version=authorization.password_version,
        user_version=user.token_version if user else 1,
        client_version=client.token_version if client else 1,
    )
    server.tokens.issue(token, authorization.keep, authorization.by)
    server.metrics.token_issued(authorization.grant_type, authorization.form)
    return Issued(value, token)


def jwt_claims(
    authorization: Authorization, client: Client, server: Server, now: int, expires_at: int
) -> dict[str, Any]:
    """Return the claims of a JWT access token (RFC 9068 §2.2)."""
    audience = authorization.audience
    claims: dict[str, Any] = {
        "iss": server.issuer,
        "sub": subject(authorization.user.uid, client, server) if authorization.user else client.client_id,
        "aud": (audience[0] if len(audience) == 1 else audience) or server.issuer,
        "client_id": client.client_id,
        "scope": authorization.scope,
        "iat": now,
        "exp": expires_at,
        "jti": base64url(server.random(16)).decode(),
    }
    if authorization.cnf is not None:
        claims["cnf"] = authorization.cnf  # RFC 9449 §6.1
    return claims


FEATURE = Feature(name="access_token", specs=("RFC 6749 §1.4", "RFC 9068"))
