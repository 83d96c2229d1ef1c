"""Implicit and hybrid flows (OpenID Connect Core §3.2, §3.3): tokens that come without a code, or beside one.

OAuth 2.1 has left them behind: only a client that is registered for them gets them.
"""

from collections.abc import Mapping

from auth_server.domain import credentials, scopes
from auth_server.domain.browsers import SignIn
from auth_server.protocol.authorization_request import ID_TOKEN, RESPONSE_TYPES, AuthorizationRequest, authentication_of
from auth_server.protocol.errors import LoginRequired
from auth_server.protocol.feature import Authorization, Feature
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import access_token, id_token
from auth_server.store.records import User

GRANT_TYPE = "implicit"


def access_token_for(
    asked: AuthorizationRequest, sign_in: SignIn, user: User, code: str, server: Server
) -> dict[str, str]:
    """Return an access token that does not go through the token endpoint (RFC 6749 §4.2.2).

    Raises:
        LoginRequired: the person has signed out this moment.
    """
    client = asked.client
    ttl = client.access_token_ttl or server.settings.access_token_ttl
    allowed = Authorization(
        provider="client",
        method="oauth2",
        grant_type=GRANT_TYPE,
        scope=scopes.normal(" ".join(scopes.words(asked.scope) - {"offline_access"})),
        ttl=ttl,
        client=client,
        user=user,
        client_name=client.client_name,
        audience=client.audience,
        form=client.token_format,
        family=credentials.digest(code) if code else None,
        password_version=user.password_version,
        sid=sign_in.sid,
        userinfo_claims=tuple(asked.claims.userinfo),
    )
    issued = access_token.issue(allowed, server)
    if server.sign_outs.has_ended(sign_in.sid):
        server.tokens.revoke_of_sign_ins(user.uid, (sign_in.sid,))
        raise LoginRequired("The person has signed out")
    return {
        "access_token": issued.value,
        "token_type": "Bearer",
        "expires_in": str(ttl),
        "scope": allowed.scope,
    }


def id_token_for(
    asked: AuthorizationRequest, sign_in: SignIn, user: User, members: Mapping[str, str], server: Server
) -> str:
    """Return the ID token that stands in an authorization response, bound to what comes with it."""
    alone = asked.response_type == frozenset((ID_TOKEN,))  # no access token comes to fetch the claims with
    return id_token.issue(
        authentication_of(asked, sign_in),
        user,
        asked.client,
        server,
        scope=asked.scope if alone else "",
        access_token=members.get("access_token", ""),
        code=members.get("code", ""),
        state=asked.redirect.state,
    )


FEATURE = Feature(
    name="implicit",
    specs=("OpenID Connect Core §3.2", "OpenID Connect Core §3.3"),
    grant_types=(GRANT_TYPE,),
    response_types=tuple(" ".join(sorted(types)) for types in RESPONSE_TYPES if types != frozenset(("code",))),
    metadata=lambda server: {"grant_types_supported": [GRANT_TYPE]},
)
