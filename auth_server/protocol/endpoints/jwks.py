"""The public signing keys (RFC 7517 §5): those that sign, will sign, or have signed what still lives."""

from auth_server.protocol.description import Example, Schema
from auth_server.protocol.endpoints.discovery import cached
from auth_server.protocol.feature import Cors, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.server import Server

PATH = "/.well-known/jwks.json"


def respond(request: Request, server: Server) -> Response:
    """Return the JWK set; verifiers may keep it for JWKS_MAX_AGE, and a new key waits as long before it signs."""
    return cached(request, server.keyring.jwks(), server.settings.jwks_max_age)


_SCHEMA: Schema = {
    "title": "JsonWebKeySet",
    "type": "object",
    "required": ["keys"],
    "properties": {
        "keys": {
            "type": "array",
            "items": {
                "title": "JsonWebKey",
                "description": "RFC 7517; the other members depend on `kty`.",
                "type": "object",
                "required": ["kty", "kid", "alg", "use"],
                "properties": {
                    "kty": {"type": "string"},
                    "kid": {"type": "string"},
                    "alg": {"type": "string"},
                    "use": {"type": "string", "const": "sig"},
                },
                "additionalProperties": True,
            },
        }
    },
}
_EXAMPLE = Example(
    "Abridged",
    response={
        "keys": [
            {
                "kty": "EC",
                "use": "sig",
                "alg": "ES256",
                "kid": "Yh3vR1nq",
                "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }
        ]
    },
)

FEATURE = Feature(
    name="jwks",
    specs=("RFC 7517",),
    endpoints=(
        Endpoint(
            PATH,
            surface=Surface.PHOTOPRISM,
            tag="Discovery",
            lane=True,
            cors=Cors.ANY,
            cacheable=True,
            operations=(
                Operation(
                    "GET",
                    respond,
                    "Public signing keys",
                    responses={200: ("The JWK set.", _SCHEMA), 304: "The caller's copy is good."},
                    examples={"abridged": _EXAMPLE},
                ),
            ),
        ),
    ),
    metadata=lambda server: {"jwks_uri": server.url(PATH)},
)
