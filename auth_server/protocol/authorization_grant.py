"""What a person has allowed a client (RFC 6749 §1.3): kept with a code, and with the refresh tokens that come of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from auth_server.domain import scopes
from auth_server.domain.refresh_tokens import Presented
from auth_server.protocol import profiles
from auth_server.protocol.client_authentication import NONE
from auth_server.protocol.errors import InvalidGrant
from auth_server.protocol.feature import Authorization, Caller
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import id_token
from auth_server.protocol.tokens.id_token import Authentication
from auth_server.store.records import Client, User


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a person has allowed a client: kept with a code, and then with each refresh token that comes of it.

    Args:
        family: 32 bytes that all that comes of it share.
        password_version, user_version, client_version: as they stood then; a later change ends it.
        jkt: thumbprint of the key that must be proven with the code or refresh token; empty for none.
    """

    scope: str
    authentication: Authentication
    family: bytes
    password_version: int
    user_version: int
    client_version: int
    userinfo_claims: tuple[str, ...] = ()
    jkt: str = ""


def read(known: Mapping[str, Any], uid: str, family: bytes) -> Allowed:
    """Return what a code, or a family of refresh tokens, stands for."""
    authentication = Authentication(
        uid=uid,
        auth_time=known["auth_time"],
        amr=tuple(known["amr"]),
        sid=known["sid"],
        nonce=known["nonce"],
        claims=known["id_token_claims"],
    )
    versions = (known["password_version"], known["user_version"], known["client_version"])
    claims, jkt = tuple(known["userinfo_claims"]), known.get("jkt", "")  # absent in what an older version kept
    return Allowed(known["scope"], authentication, family, *versions, claims, jkt)


def kept(allowed: Allowed) -> dict[str, Any]:
    """Return what `read` makes an Allowed of again; whose it is, and of which family, the store knows by itself."""
    authentication = allowed.authentication
    return {
        "scope": allowed.scope,
        "auth_time": authentication.auth_time,
        "amr": authentication.amr,
        "sid": authentication.sid,
        "nonce": authentication.nonce,
        "id_token_claims": authentication.claims,
        "userinfo_claims": allowed.userinfo_claims,
        "password_version": allowed.password_version,
        "user_version": allowed.user_version,
        "client_version": allowed.client_version,
        "jkt": allowed.jkt,
    }


def check_key(jkt: str, caller: Caller) -> None:
    """See that the key which a code or refresh token is bound to is proven (RFC 9449 §5, §10).

    Raises:
        InvalidGrant: another one is, or none.
    """
    if jkt and (caller.proof is None or caller.proof.jkt != jkt):
        raise InvalidGrant("It is bound to a key that the request does not prove")


def refresh_key(caller: Caller) -> str:
    """Return the key that refresh tokens are bound to: a public client's, for nothing else proves it (RFC 9449 §5)."""
    return caller.proof.jkt if caller.proof is not None and caller.method == NONE else ""


def still_allowed(allowed: Allowed, client: Client, server: Server) -> User:
    """Return the person, if what they have allowed still counts.

    Raises:
        InvalidGrant: person or client were disabled meanwhile, or the person has a new password (S-034, S-042).
    """
    user = server.records.users.get(allowed.authentication.uid)
    if user is None or not user.enabled:
        raise InvalidGrant("What was allowed counts no more")
    now = (user.password_version, user.token_version, client.token_version)
    if now != (allowed.password_version, allowed.user_version, allowed.client_version):
        raise InvalidGrant("What was allowed counts no more")
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
        _end_what_came_too_late(allowed, server)
        return members

    return issued_as(allowed, client, user, grant_type, allowed.scope, beside, server)


def _end_what_came_too_late(allowed: Allowed, server: Server) -> None:
    """End what was made while its family, or the sign-in, was ended.

    Of many who send one code at once the first is answered all the same, with what counts no more (S-030).

    Raises:
        InvalidGrant: the person has signed out meanwhile.
    """
    sid = sid_of(allowed)
    signed_out = bool(sid) and server.sign_outs.has_ended(sid)
    if signed_out or server.refresh_tokens.has_ended(allowed.family):
        server.refresh_tokens.end(allowed.family)
    if signed_out:
        raise InvalidGrant("What was allowed counts no more")


def sid_of(allowed: Allowed) -> str:
    """Return the sign-in that what was allowed ends with; empty where it outlives it (Back-Channel Logout §2.7)."""
    return "" if scopes.has(allowed.scope, "offline_access") else allowed.authentication.sid


def issued_as(
    allowed: Allowed,
    client: Client,
    user: User,
    grant_type: str,
    scope: str,
    beside: Callable[[str], Mapping[str, object]],
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
        sid=sid_of(allowed),
        userinfo_claims=allowed.userinfo_claims,
        beside=beside,
    )


def first_refresh_token(allowed: Allowed, client: Client, user: User, server: Server) -> str:
    """Begin a line of refresh tokens."""
    data, rotates = _data_of_line(allowed), profiles.of(client).rotates
    return server.refresh_tokens.begin(allowed.family, user.uid, client.client_id, data, rotates=rotates)


def newly_bound(allowed: Allowed, caller: Caller) -> bytes | None:
    """Return what a line stands for from now on, if it takes the key that is proven here first (RFC 9449 §5)."""
    jkt = refresh_key(caller)
    return _data_of_line(replace(allowed, jkt=jkt)) if jkt and not allowed.jkt else None


def _data_of_line(allowed: Allowed) -> bytes:
    return orjson.dumps({**kept(allowed), "nonce": ""})  # OIDC Core §12.2: an ID token of a refresh should have none


def of_refresh_token(presented: Presented) -> Allowed:
    """Return what a refresh token stands for."""
    family = presented.family
    return read(orjson.loads(family.data), family.uid, bytes.fromhex(family.family_id))
