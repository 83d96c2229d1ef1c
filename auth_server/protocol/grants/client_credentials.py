"""Client credentials (RFC 6749 §4.4): a program acts for itself, or for the person who owns it."""

from auth_server.domain import scopes, tokens
from auth_server.domain.clients import DEFAULT_TTL
from auth_server.protocol.client_authentication import authenticate_confidential
from auth_server.protocol.errors import InvalidClient, InvalidScope, UnauthorizedClient
from auth_server.protocol.feature import Authorization, Caller, Feature, Grant
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server

GRANT_TYPE = tokens.OWN


def authorize(request: Request, caller: Caller, server: Server) -> Authorization:
    """Grant the client its own scope, or the part of it that it asks for.

    Raises:
        UnauthorizedClient: it is not registered for this grant (RFC 6749 §5.2).
        InvalidScope: it asks for more than it has, or for no scope at all.
    """
    client = caller.client
    if client is None or GRANT_TYPE not in client.grant_types:
        raise UnauthorizedClient("The client is not registered for this grant_type")
    asked = request.form.get("scope", "")
    if asked and not scopes.is_valid(asked):
        raise InvalidScope("scope is malformed")
    scope = scopes.narrowed(asked, client.scope)
    if not scope:
        raise InvalidScope("The client may not have this scope")
    user = None
    if client.owner_uid is not None:
        user = server.records.users.get(client.owner_uid)
        if user is None or not user.enabled:
            raise InvalidClient()
    keep, family = tokens.limit(client)
    return Authorization(
        provider="client",
        method="oauth2",
        grant_type=GRANT_TYPE,
        scope=scope,
        ttl=client.access_token_ttl or DEFAULT_TTL,
        client=client,
        user=user,
        client_name=client.client_name,
        audience=client.audience,
        form=client.token_format,
        keep=keep,
        family=family,
    )


FEATURE = Feature(
    name="client_credentials",
    specs=("RFC 6749 §4.4",),
    grants=(Grant(GRANT_TYPE, authenticate_confidential, authorize, only_issues=True),),
)
