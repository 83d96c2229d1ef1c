"""The list of one's own app passwords (photoprism-contract section 5, and 15, 9: for every role)."""

from dataclasses import replace

from auth_server.protocol import bearer, examples
from auth_server.protocol.description import Answer, Example, Parameter, Schema
from auth_server.protocol.feature import Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.photoprism import lists, shapes
from auth_server.protocol.server import Server


def ls(request: Request, server: Server) -> Response:
    """List the app passwords of whoever asks, by name.

    Neither an app password nor a session made with one sees them: whoever holds it has no say in the others (S-077).

    Raises:
        NotAuthenticated: no token that counts.
        Forbidden: its scope or role does not reach that far.
        InvalidInput: `count` is missing, or `count` or `offset` is out of bounds.
    """
    living = bearer.authorize(request, server, "sessions", "manage_own")
    if living.user is None:
        return json_response([], 404)
    if request.arguments["uid"] != living.user.uid:  # S-079: admins have another list
        return json_response([], 403)
    page = lists.read_page(request.query)
    found = server.token_lists.app_passwords(living.user, request.query.get("q", ""))
    return lists.listed(found[page.offset : page.offset + page.limit], page)


_EMPTY: Schema = {"type": "array", "maxItems": 0}
_OVERWRITTEN = "Taken and not heeded, for PhotoPrism's clients send it."

_LIST = Operation(
    "GET",
    ls,
    "List one's own app passwords",
    "By name, and of those with one name the oldest first. Sessions are not among them. One is made by the grant"
    " `password` at POST /api/v1/oauth/token, and ended by POST /api/v1/oauth/revoke with its ref id.",
    query={
        "count": replace(lists.COUNT, required=True),
        "offset": lists.OFFSET,
        "q": "The beginning of their name, or of one's own; empty or `all` for everything.",
        **{name: Parameter(_OVERWRITTEN) for name in ("uid", "provider", "method", "order")},
    },
    responses={
        200: lists.answer("The app passwords, never with the secret itself."),
        400: "`count` is missing, or it or `offset` is out of bounds.",
        403: (
            "Another's list: an empty array. An app password, or a client's token that does not reach that far.",
            {"anyOf": [_EMPTY, shapes.ERROR]},
        ),
        404: Answer("A client's token without a user.", _EMPTY, example=[]),
    },
    security=("bearer",),
    examples={
        "own": Example(
            "The first ten",
            arguments={"uid": examples.UID, "count": 10},
            response=[lists.APP_PASSWORD_EXAMPLE],
        ),
        "foreign": Example(
            "Somebody else's", arguments={"uid": "usm4k2r8d0wq1x7c", "count": 10}, status=403, response=[]
        ),
    },
)

FEATURE = Feature(
    name="photoprism_app_passwords",
    specs=("PhotoPrism web API",),
    endpoints=(
        Endpoint(
            "/api/v1/users/<uid>/sessions",
            surface=Surface.PHOTOPRISM,
            tag="PhotoPrism",
            operations=(_LIST,),
            arguments={"uid": "One's own uid."},
        ),
    ),
)
