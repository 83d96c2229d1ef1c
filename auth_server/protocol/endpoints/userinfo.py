"""UserInfo (OpenID Connect Core §5.3): what a person has let a client know of them."""

from auth_server.domain import scopes
from auth_server.domain.clients import MAC_ALGS
from auth_server.domain.tokens import Living
from auth_server.errors import NotAuthenticated
from auth_server.protocol import bearer
from auth_server.protocol.errors import InsufficientScope, InvalidToken
from auth_server.protocol.feature import Body, Cors, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import claims, id_token
from auth_server.protocol.tokens.subject import subject
from auth_server.store.records import Client

JWT_TYPE = ("Content-Type", "application/jwt")


def respond(request: Request, server: Server) -> Response:
    """Return the claims that the token's scope, and the claims parameter, release.

    Raises:
        InvalidToken: no token that counts, or one without a person behind it.
        InsufficientScope: its scope lacks openid.
    """
    living = _authenticate(request, server)
    user, client = living.user, living.client
    if user is None or living.token.is_app_password:
        raise InvalidToken("The token stands for no person")
    if client is None or not scopes.has(living.token.scope, "openid"):
        raise InsufficientScope("The token lacks the scope openid")
    asked = dict.fromkeys(living.token.claims)
    told = {
        "sub": subject(user.uid, client, server),
        **claims.released(user, living.token.scope, asked, server),
    }
    return _signed(told, client, server)


def _authenticate(request: Request, server: Server) -> Living:
    """The token of the headers, or of the form (RFC 6750 §2.2); in both it is refused."""
    in_form = request.form.get("access_token", "")
    try:
        if in_form and bearer.presented(request) is not None:
            raise InvalidToken("The token stands twice in the request")
        living = bearer.find_value(in_form, request, server) if in_form else bearer.find(request, server)
    except NotAuthenticated:
        raise InvalidToken("The token does not count") from None
    if living is None:
        raise InvalidToken("A token is needed")
    return living


def _signed(told: dict[str, object], client: Client, server: Server) -> Response:
    """As JSON; as a JWT for a client that is registered for it (OIDC Core §5.3.2)."""
    alg = client.metadata.get("userinfo_signed_response_alg")
    if not alg:
        return json_response(told)
    signed = id_token.sign({**told, "iss": server.issuer, "aud": client.client_id}, "JWT", client, server, str(alg))
    return Response(200, signed.encode(), (JWT_TYPE,))


_SCHEMA = {
    "type": "object",
    "required": ["sub"],
    "properties": {"sub": {"type": "string", "description": "Who it is, to this client."}},
    "examples": [{"sub": "usm4k2r8d0wq1x7b", "email": "jane@example.org", "email_verified": True}],
}
_RESPONSES = {200: ("What the person has allowed.", _SCHEMA)}


def _metadata(server: Server) -> dict[str, object]:
    return {
        "userinfo_endpoint": server.url("/api/v1/oauth/userinfo"),
        "userinfo_signing_alg_values_supported": [*server.settings.signing_algs, *MAC_ALGS],
    }


FEATURE = Feature(
    name="userinfo",
    specs=("OpenID Connect Core §5.3",),
    endpoints=(
        Endpoint(
            "/api/v1/oauth/userinfo",
            surface=Surface.OAUTH,
            tag="OAuth",
            body=Body.FORM,
            lane=True,
            cors=Cors.CLIENTS,
            operations=(
                Operation("GET", respond, "Who has allowed this", responses=_RESPONSES, security=("bearer",)),
                Operation(
                    "POST",
                    respond,
                    "Who has allowed this",
                    "The token may also stand in the form, as `access_token`.",
                    responses=_RESPONSES,
                    security=("bearer",),
                ),
            ),
        ),
    ),
    openid_metadata=_metadata,
)
