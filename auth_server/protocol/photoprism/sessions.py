"""Everybody's sessions, for signed-in admins (photoprism-contract section 5, CONTRACT section 4)."""

import re

from auth_server.domain import roles
from auth_server.domain.tokens import Living
from auth_server.errors import Forbidden, NotFound
from auth_server.protocol import bearer
from auth_server.protocol.description import Example
from auth_server.protocol.feature import Operation
from auth_server.protocol.messages import Request, Response
from auth_server.protocol.photoprism import lists
from auth_server.protocol.server import Server

_REF_ID = re.compile(r"[0-9A-Za-z]{10,14}", re.ASCII).fullmatch


def is_ref_id(text: str) -> bool:
    """Tell whether a text has the form by which PhotoPrism knows a ref id; ours are some of those."""
    return _REF_ID(text) is not None


def named_by_admin(ref_id: str, living: Living, server: Server) -> Living:
    """Return what a signed-in admin names by ref id.

    Raises:
        Forbidden: somebody else asks, or it is no ref id.
        NotFound: nothing that counts has it.
    """
    if not is_ref_id(ref_id):
        raise Forbidden(bearer.DENIED)
    check_admin(living)
    try:
        named = server.tokens.living(server.tokens.by_identifier(ref_id), server.clock())
    except NotFound:
        named = None
    if named is None:
        raise NotFound("Not found")
    return named


def check_admin(living: Living) -> None:
    """See that a person signed in whose role manages everybody's sessions.

    Raises:
        Forbidden: another role; a client, or an app password, whatever its scope.
    """
    role = living.user.role if living.user else ""
    if not living.is_person or not {"access_all", "manage"} <= roles.permissions(role, "sessions"):
        raise Forbidden(bearer.DENIED)


def ls(request: Request, server: Server) -> Response:
    """List everything that counts now, of everybody and every kind, the newest first.

    Raises:
        NotAuthenticated: no token that counts.
        Forbidden: it is not that of a signed-in admin.
        InvalidInput: `count` or `offset` is out of bounds.
    """
    check_admin(bearer.authorize(request, server, "sessions", "access_all", "manage"))
    page = lists.read_page(request.query, 100)
    return lists.listed(server.token_lists.page(request.query.get("q", ""), page), page)


LIST = Operation(
    "GET",
    ls,
    "List all sessions",
    "Sessions, app passwords and clients' tokens, as far as they count now, the newest first. It takes an admin's own"
    " session: no app password, and no client's token.",
    query={
        "count": lists.COUNT,
        "offset": lists.OFFSET,
        "q": "A ref id, session id, uid or client_id; or the beginning of a user's name, a client's or app password's,"
        " or a provider's. Empty or `all` for everything. Of very many sessions only the newest are looked at.",
    },
    responses={
        200: lists.answer("The sessions, never with their tokens."),
        400: "`count` or `offset` is out of bounds.",
        403: "The token is not that of a signed-in admin.",
    },
    security=("bearer",),
    examples={
        "newest": Example("The newest", arguments={"count": 1}),
        "found": Example("Of one app password", arguments={"q": "Sync"}, response=[lists.APP_PASSWORD_EXAMPLE]),
    },
)
