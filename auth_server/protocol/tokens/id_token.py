"""ID tokens (OpenID Connect Core §2): who signed in, when and how, told to one client."""

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import new as new_hash
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, OctKey

from auth_server.domain import credentials
from auth_server.domain.client_rules import MAC_ALGS
from auth_server.domain.keys import base64url
from auth_server.protocol.errors import InvalidRequest
from auth_server.protocol.feature import Feature
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import acr, encryption
from auth_server.protocol.tokens import claims as person
from auth_server.protocol.tokens.encryption import ID_TOKEN
from auth_server.protocol.tokens.subject import session_id, subject
from auth_server.store.records import Client, User

DEFAULT_ALG = "RS256"  # OIDC Registration §2


@dataclass(frozen=True, slots=True)
class Authentication:
    """What is known of a sign-in when a client is told of it; kept with codes and refresh tokens.

    Args:
        sid: of the sign-in on our pages; clients see a value derived from it.
    """

    uid: str
    auth_time: int
    amr: tuple[str, ...]
    sid: str = ""
    nonce: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)  # asked for in the ID token

    @property
    def acr(self) -> str:
        return acr.told(self.amr, acr.requested(self.claims.get("acr") or {}))


def issue(
    authentication: Authentication,
    user: User,
    client: Client,
    server: Server,
    *,
    scope: str = "",
    access_token: str = "",
    code: str = "",
    state: str = "",
) -> str:
    """Return an ID token for a client.

    Args:
        scope: whose claims stand in the token itself; only where no access token comes with it (OIDC Core §5.4).
        access_token, code, state: what comes with it, and is bound to it by a hash (OIDC Core §3.3.2.11).
    """
    alg = algorithm(client, server)
    now = server.clock()
    claims: dict[str, Any] = {
        **person.released(user, scope, authentication.claims, server),
        "iss": server.issuer,
        "sub": subject(user.uid, client, server),
        "aud": client.client_id,
        "azp": client.client_id,
        "iat": now,
        "exp": now + server.settings.id_token_ttl,
        "auth_time": authentication.auth_time,
        "acr": authentication.acr,
        "amr": list(authentication.amr),
    }
    if authentication.sid:
        claims["sid"] = session_id(authentication.sid, client, server)
    if authentication.nonce:
        claims["nonce"] = authentication.nonce
    for name, value in (("at_hash", access_token), ("c_hash", code), ("s_hash", state)):
        if value:
            claims[name] = half_hash(value, alg)
    signed = sign(claims, "JWT", client, server)
    return encryption.encrypted(signed, ID_TOKEN, client, server) if encryption.is_wanted(ID_TOKEN, client) else signed


def algorithm(client: Client, server: Server) -> str:
    """Return the algorithm that a client's ID tokens are signed with: RS256 unless it, or the server, has another."""
    possible = server.settings.signing_algs
    default = DEFAULT_ALG if DEFAULT_ALG in possible else possible[0]
    return str(client.metadata.get("id_token_signed_response_alg") or default)


def sign(claims: Mapping[str, Any], typ: str, client: Client, server: Server, alg: str = "") -> str:
    """Return a JWT for a client, signed as it wants: with a key of ours, or with its own secret.

    Raises:
        InvalidRequest: it wants a MAC and has no secret that is kept for it.
    """
    alg = alg or algorithm(client, server)
    if alg not in MAC_ALGS:
        return server.keyring.signing_key(alg).sign(typ, claims)
    secrets = server.clients.mac_secrets(client)
    if not secrets:
        raise InvalidRequest("This client has no secret to sign with")
    return jws.serialize_compact(
        {"alg": alg, "typ": typ}, orjson.dumps(claims), OctKey.import_key(secrets[0]), algorithms=list(MAC_ALGS)
    )


def subject_of_hint(token: str, client: Client, server: Server) -> str:
    """Return the `sub` of an ID token that a client shows to say whom it means; empty without one.

    An expired one still says that (OIDC Core §3.1.2.1, RP-Initiated Logout §2).

    Raises:
        InvalidRequest: it is none of ours, or not this client's.
    """
    if not token:
        return ""
    claims = verified_hint(token, server, client)
    if claims is None:
        raise InvalidRequest("id_token_hint is no ID token of this server for this client")
    return str(claims["sub"])


def audience_of(token: str) -> str:
    """Return the client that an ID token says it is for; nothing of that is believed yet. Empty if it says none."""
    if not credentials.JWT(token):
        return ""
    try:
        claims = orjson.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
        audience = claims.get("aud", "")
    except (ValueError, AttributeError):
        return ""
    return audience if isinstance(audience, str) else ""


def verified_hint(token: str, server: Server, client: Client) -> Mapping[str, Any] | None:
    """Return the claims of an ID token that we gave to this client; None if it is none (S-009, S-043 to S-045)."""
    if not credentials.JWT(token):
        return None
    try:
        header = jws.extract_compact(token.encode()).protected
        alg, kid = header.get("alg"), header.get("kid")
        if str(header.get("typ", "JWT")).upper() != "JWT" or {"crit", "b64", "zip", "jwk", "jku"} & header.keys():
            return None
        if alg != algorithm(client, server):  # a MAC that the client can make itself must not name anybody (S-092)
            return None
        if alg in MAC_ALGS:
            keys: list[Any] = [OctKey.import_key(secret) for secret in server.clients.mac_secrets(client)]
        else:
            known = [key for key in server.records.keys.all() if key.kid == kid and key.alg == alg]
            keys = [JWKRegistry.import_key(dict(key.public_jwk)) for key in known if server.keyring.verifies(key.kid)]
        for key in keys:
            claims = _claims(token, key, str(alg))
            if claims and claims.get("iss") == server.issuer and claims.get("aud") == client.client_id:
                is_one = {"auth_time", "iat", "exp"} <= claims.keys()  # and no answer of userinfo (S-045)
                return claims if is_one and isinstance(claims.get("sub"), str) else None
    except (JoseError, ValueError, TypeError):
        return None
    return None


def _claims(token: str, key: Any, alg: str) -> dict[str, Any] | None:
    try:
        claims = orjson.loads(jws.deserialize_compact(token, key, algorithms=[alg]).payload)
    except (JoseError, ValueError):
        return None
    return claims if isinstance(claims, dict) else None


def half_hash(value: str, alg: str) -> str:
    """Return the left half of a hash, by the algorithm's size (OIDC Core §3.1.3.6)."""
    size = alg[-3:] if alg[-3:] in ("256", "384", "512") else "512"  # Ed25519 hashes with SHA-512
    digest = new_hash(f"sha{size}", value.encode()).digest()
    return base64url(digest[: len(digest) // 2]).decode()


def _metadata(server: Server) -> dict[str, object]:
    return {
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": [*server.settings.signing_algs, *MAC_ALGS],
        "acr_values_supported": list(acr.CLASSES),
    }


FEATURE = Feature(name="id_token", specs=("OpenID Connect Core §2",), openid_metadata=_metadata)
