"""PhotoPrism's client configuration and status (photoprism-contract sections 4 and 14)."""

from auth_server.protocol import bearer
from auth_server.protocol.description import Example, Schema
from auth_server.protocol.feature import Cors, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.photoprism import shapes
from auth_server.protocol.server import Server


def config(request: Request, server: Server) -> Response:
    """Return the configuration; the same for everybody but for `mode`, so no scope is asked for."""
    living = bearer.find(request, server)
    return json_response(shapes.config_object(server.issuer, "user" if living else "public"))


def status(request: Request, server: Server) -> Response:
    """Tell that the API answers."""
    return json_response({"status": "operational"})


_STATUS: Schema = {
    "title": "Status",
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string", "const": "operational"}},
}

FEATURE = Feature(
    name="photoprism_config",
    specs=("PhotoPrism web API",),
    endpoints=(
        Endpoint(
            "/api/v1/config",
            surface=Surface.PHOTOPRISM,
            tag="PhotoPrism",
            cors=Cors.CLIENTS,
            operations=(
                Operation(
                    "GET",
                    config,
                    "The client configuration",
                    "Without a token `mode` is `public`, with one it is `user`.",
                    responses={
                        200: ("The configuration.", shapes.CONFIG),
                        400: "Several tokens that differ.",
                        401: "The token does not count.",
                    },
                    security=("optional", "bearer"),
                    examples={
                        "without_token": Example(
                            "Without a token", response={**shapes.CONFIG_EXAMPLE, "mode": "public"}, security="none"
                        ),
                        "with_token": Example("With a token", response=shapes.CONFIG_EXAMPLE, security="bearer"),
                    },
                ),
            ),
        ),
        Endpoint(
            "/api/v1/status",
            surface=Surface.PHOTOPRISM,
            tag="PhotoPrism",
            cors=Cors.CLIENTS,
            operations=(
                Operation(
                    "GET",
                    status,
                    "Does the API answer?",
                    responses={200: ("It does.", _STATUS)},
                    examples={"operational": Example("It does", response={"status": "operational"})},
                ),
            ),
        ),
    ),
)
