"""The refresh token grant (RFC 6749 §6), with rotation (RFC 9700 §4.14)."""

from collections.abc import Mapping
from contextlib import suppress

from auth_server.domain import scopes
from auth_server.domain.refresh_tokens import Presented, Reused
from auth_server.protocol import profiles
from auth_server.protocol.authorization_grant import check_key, issued_as, newly_bound, of_refresh_token, still_allowed
from auth_server.protocol.client_authentication import authenticate
from auth_server.protocol.errors import InvalidGrant, InvalidRequest, InvalidScope, UnauthorizedClient
from auth_server.protocol.feature import Authorization, Caller, Feature, Grant
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import id_token
from auth_server.store.records import Client

GRANT_TYPE = "refresh_token"


def authorize(request: Request, caller: Caller, server: Server) -> Authorization:
    """Give an access token for a refresh token, and the refresh token's successor.

    Raises:
        UnauthorizedClient: the client is not registered for this grant.
        InvalidRequest: the refresh token is missing.
        InvalidScope: more is asked for than was allowed; nothing is used up.
        InvalidGrant: the token does not count, is another client's, or was used before.
    """
    client = caller.client
    if client is None or GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("The client is not registered for this grant_type")
    value = request.form.get("refresh_token", "")
    if not value:
        raise InvalidRequest("refresh_token is missing")
    presented = server.refresh_tokens.find(value)
    if presented is None or presented.family.client_id != client.client_id:
        raise _refused()
    allowed = of_refresh_token(presented)
    check_key(allowed.jkt, caller)
    family = allowed.family
    user = still_allowed(allowed, client, server)
    scope = narrowed(request.form.get("scope", ""), allowed.scope)
    successor = _redeemed(presented, newly_bound(allowed, caller), client, request, server)

    def beside(access_token: str) -> Mapping[str, object]:
        members: dict[str, object] = {"refresh_token": successor}
        if scopes.has(scope, "openid"):
            members["id_token"] = id_token.issue(
                allowed.authentication, user, client, server, access_token=access_token
            )
        if server.refresh_tokens.has_ended(family):  # it was used by somebody else meanwhile
            server.refresh_tokens.end(family)
            raise _refused()
        return members

    return issued_as(allowed, client, user, GRANT_TYPE, scope, beside, server)


def narrowed(asked: str, allowed: str) -> str:
    """Return the scope of this one access token (RFC 6749 §6); the refresh token keeps its own.

    Raises:
        InvalidScope: it is malformed or exceeds what was allowed.
    """
    if not asked:
        return allowed
    scope = scopes.normal(asked) if scopes.is_valid(asked) else ""
    if not scope or not scopes.words(scope) <= scopes.words(allowed):
        raise InvalidScope("The scope exceeds what was allowed")
    return scope


def _redeemed(presented: Presented, data: bytes | None, client: Client, request: Request, server: Server) -> str:
    """Use the token up. One that was used before, and not just now, ends everything that came of the same code.

    That of a client whose profile has no rotation goes on counting (S-040).
    """
    if not profiles.of(client).rotates and server.refresh_tokens.counts(presented):
        return request.form["refresh_token"]
    with suppress(Reused):
        return server.refresh_tokens.redeem(presented, data)
    server.refresh_tokens.end(bytes.fromhex(presented.family.family_id))
    uid = presented.family.uid
    server.audit.record(
        "refresh_token.reuse", "refused", actor=uid, client_id=client.client_id, address=request.address
    )
    raise _refused()


def _refused() -> InvalidGrant:
    return InvalidGrant("The refresh token is unknown, expired, used, or not this client's")


FEATURE = Feature(
    name="refresh_token",
    specs=("RFC 6749 §6", "RFC 9700 §4.14"),
    grants=(Grant(GRANT_TYPE, authenticate, authorize),),
)
