"""UserInfo (OpenID Connect Core §5.3): what a person has let a client know of them."""

import orjson

from auth_server.domain import scopes
from auth_server.domain.client_rules import MAC_ALGS
from auth_server.domain.tokens import Living
from auth_server.errors import NotAuthenticated
from auth_server.protocol import bearer, examples
from auth_server.protocol.description import Answer, Example, Schema
from auth_server.protocol.errors import InsufficientScope, InvalidToken
from auth_server.protocol.feature import Body, Cors, Endpoint, Feature, Operation, Responses, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.server import Server
from auth_server.protocol.tokens import claims, encryption, id_token
from auth_server.protocol.tokens.encryption import USERINFO
from auth_server.protocol.tokens.subject import subject
from auth_server.store.records import Client

REFUSED = "There is no token that counts"
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
    return _answer(told, client, server)


def _authenticate(request: Request, server: Server) -> Living:
    """The token of the headers, or of the form (RFC 6750 §2.2); in both it is refused."""
    in_form = request.form.get("access_token", "")
    try:
        if in_form and bearer.presented(request) is not None:
            raise InvalidToken("The token stands twice in the request")
        living = bearer.find_value(in_form, request, server) if in_form else bearer.find(request, server)
    except NotAuthenticated:
        raise InvalidToken(REFUSED) from None
    if living is None:
        raise InvalidToken(REFUSED)
    return living


def _answer(told: dict[str, object], client: Client, server: Server) -> Response:
    """As JSON; signed, encrypted or both for a client that is registered for it (OIDC Core §5.3.2)."""
    alg = client.metadata.get("userinfo_signed_response_alg")
    wanted = encryption.is_wanted(USERINFO, client)
    if not alg and not wanted:
        return json_response(told)
    content: str | bytes = orjson.dumps(told)
    if alg:
        content = id_token.sign(
            {**told, "iss": server.issuer, "aud": client.client_id}, "JWT", client, server, str(alg)
        )
    if wanted:
        content = encryption.encrypted(content, USERINFO, client, server, cty="JWT" if alg else "")
    return Response(200, content.encode() if isinstance(content, str) else content, (JWT_TYPE,))


_SCHEMA: Schema = {
    "title": "UserInfo",
    "type": "object",
    "description": "Claims of OpenID Connect Core §5.1, and others that the server knows.",
    "required": ["sub"],
    "properties": {
        "sub": {"type": "string", "description": "Who it is, to this client."},
        "name": {"type": "string"},
        "preferred_username": {"type": "string"},
        "email": {"type": "string"},
        "email_verified": {"type": "boolean"},
        "updated_at": {"type": "integer", "description": "Unix seconds."},
    },
}
_REQUEST: Schema = {
    "title": "UserInfoRequest",
    "type": "object",
    "properties": {
        "access_token": {"type": "string", "description": "The token, where it does not stand in a header."},
    },
}
_TOLD = {"sub": examples.UID, "name": "Jane", "preferred_username": examples.NAME, "updated_at": examples.MOMENT}
_REFUSAL = {"error": InvalidToken.code, "error_description": REFUSED, "code": 401, "message": REFUSED}
_RESPONSES: Responses = {
    200: ("What the person has allowed; a JWT for a client that is registered for one.", _SCHEMA),
    401: Answer("No token that counts.", example=_REFUSAL),
    403: "The token lacks the scope `openid`.",
}


def _metadata(server: Server) -> dict[str, object]:
    return {"userinfo_endpoint": server.url("/api/v1/oauth/userinfo")}


def _openid_metadata(server: Server) -> dict[str, object]:
    return {"userinfo_signing_alg_values_supported": [*server.settings.signing_algs, *MAC_ALGS]}


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
                Operation(
                    "GET",
                    respond,
                    "Who has allowed this",
                    "The claims that the token's scope, and the claims parameter, release.",
                    responses=_RESPONSES,
                    security=("bearer",),
                    examples={"person": Example("A token with `openid profile`", response=_TOLD)},
                ),
                Operation(
                    "POST",
                    respond,
                    "Who has allowed this, asked by a form",
                    "Like GET; the token may also stand in the form.",
                    request=_REQUEST,
                    responses=_RESPONSES,
                    security=("bearer", "optional"),
                    examples={
                        "person": Example(
                            "The token in the form",
                            {"access_token": examples.OPENID_TOKEN},
                            response=_TOLD,
                            security="none",
                        )
                    },
                ),
            ),
        ),
    ),
    metadata=_metadata,
    openid_metadata=_openid_metadata,
)
