"""PhotoPrism's sessions: sign in, look, sign out (photoprism-contract sections 3 to 5)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from auth_server.domain import credentials
from auth_server.domain.second_factor import clean_code
from auth_server.domain.tokens import MAX_USER_AGENT, Living, Token
from auth_server.domain.users import clean_name
from auth_server.errors import Forbidden, InvalidInput, LoginFailed, NotAuthenticated
from auth_server.protocol import bearer, examples
from auth_server.protocol.description import Example, Link, Parameter, Schema
from auth_server.protocol.endpoints.revocation import DELETED, DELETED_EXAMPLE, deleted, revoke
from auth_server.protocol.feature import Body, Cors, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.photoprism import sessions, shapes
from auth_server.protocol.photoprism.forms import read_texts
from auth_server.protocol.photoprism.sessions import is_ref_id, named_by_admin
from auth_server.protocol.server import Server
from auth_server.store.records import User
from auth_server.store.state import Index, Keep

BY_PASSWORD, BY_HEADER = 1, 10  # sessions that one app password keeps, by how they are made
CODE_COST = 3  # tries that a login with a `code` takes
_MEMBERS = ("username", "password", "code", "token", "email")


@dataclass(frozen=True, slots=True)
class Form:
    """The body of a login."""

    username: str = ""
    password: str = ""
    code: str = ""
    token: str = ""
    email: str = ""

    @property
    def has_credentials(self) -> bool:
        """Whether there is something to sign in with; else the body counts as empty."""
        return bool(clean_name(self.username) and self.password)


def read_form(members: Mapping[str, Any]) -> Form:
    """Return the members that a login knows, whatever the case of their names; others are ignored.

    Raises:
        InvalidInput: one of them is no string, or there twice.
    """
    return Form(**read_texts(members, _MEMBERS))


# ---- POST
def create(request: Request, server: Server) -> Response:
    """Sign in with what the body holds, or else with the token in the headers."""
    form = read_form(request.json or {})
    if form.token:  # share links, which this server does not have
        return json_response({"error": "Invalid credentials"}, 404)
    return sign_in(form, request, server) if form.has_credentials else by_header(request, server)


def sign_in(form: Form, request: Request, server: Server) -> Response:
    """Check name and password; always a new token, and only after that the end of the old session.

    Raises:
        LoginFailed: no; told alike whatever the reason.
        PasscodeRequired, PasscodeInvalid: the password is right, but the account has a second factor.
        Throttled: too many tries.
    """
    old, code = _session_in_header(request, server), clean_code(form.code)
    cost = CODE_COST if code else 1
    who = server.login.by_password_or_app_password(form.username, form.password, request.address, code, cost)
    request.actor = who.user.uid
    if who.app_password is None:
        value, token = start(who.user, request, server, with_code=who.with_code)
    else:
        value, token = start_child(who.app_password, who.user, request, server, keep=BY_PASSWORD)
    if old is not None:
        revoke(old, request, server, why="login", actor=who.user.uid)
    return shapes.session_response(Living(token, who.user, None), value, server)


def _session_in_header(request: Request, server: Server) -> Token | None:
    """Return the session that a new login replaces; app passwords and clients' tokens live on."""
    try:
        living = bearer.find(request, server)
    except NotAuthenticated:  # a program may still send the token of a session that is over
        return None
    if living is None or living.user is None:
        return None
    return living.token if living.is_person or living.token.method == "session" else None


def by_header(request: Request, server: Server) -> Response:
    """Answer the session in the headers, or make one with the app password that is there.

    Raises:
        InvalidInput: neither a token nor a body.
        LoginFailed: no token that counts, or a client's.
        Forbidden: the token's scope does not cover creating sessions.
        Throttled: too many unknown tokens.
    """
    try:
        living = bearer.find(request, server)
    except NotAuthenticated:
        raise LoginFailed("Invalid credentials") from None
    if living is None and request.json is None:
        raise InvalidInput("body", "is missing")
    if living is None or living.user is None or living.token.provider not in ("local", "application"):
        raise LoginFailed("Invalid credentials")
    if not bearer.may(living, "sessions", "create"):
        raise Forbidden(bearer.DENIED)
    if not living.token.is_app_password:
        return shapes.session_response(living, bearer.presented(request), server)
    value, token = start_child(living.token, living.user, request, server, keep=BY_HEADER)
    return shapes.session_response(Living(token, living.user, None), value, server)


def start(user: User, request: Request, server: Server, *, with_code: bool = False) -> tuple[str, Token]:
    """Make a session for a person whose password was right; return its token, shown this once, and its record.

    Args:
        with_code: whether a second factor was shown too: then it lives twice as long.
    """
    value, token = _new(user, request, server)
    if with_code:
        ttl, idle = 2 * server.settings.session_ttl, 2 * server.settings.session_idle
        token = replace(token, method="2fa", expires_at=token.created_at + ttl, idle=idle)
    server.tokens.issue(token)
    server.metrics.token_issued(token.grant_type, "session")
    return value, token


def start_child(parent: Token, user: User, request: Request, server: Server, *, keep: int) -> tuple[str, Token]:
    """Make a session with an app password: its scope and name, and no longer life.

    It outlives a change of the person's password, as the app password does (photoprism-contract section 11).

    Args:
        keep: how many sessions of this app password live on, the new one among them.

    Raises:
        LoginFailed: the app password was removed meanwhile (S-078).
    """
    value, token = _new(user, request, server)
    ends = [end for end in (token.expires_at, parent.expires_at) if end is not None]
    token = replace(
        token,
        provider="application",
        method="session",
        expires_at=min(ends),
        scope=parent.scope,
        client_name=parent.client_name,
        password_version=0,
        parent=parent.key,
    )
    server.tokens.touch(parent, request.address, request.header("USER_AGENT"))
    server.tokens.issue(token, Keep(Index.FAMILY, keep))
    if not server.tokens.still_there(parent):
        server.tokens.revoke(token)
        raise LoginFailed("Invalid credentials")
    server.metrics.token_issued(token.grant_type, "session")
    return value, token


def _new(user: User, request: Request, server: Server) -> tuple[str, Token]:
    """A token for a person's session, and its record; not yet kept."""
    value = credentials.new_access_token(server.random)
    now, settings = server.clock(), server.settings
    return value, Token(
        key=credentials.digest(value),
        provider="local",
        method="default",
        grant_type="password",
        created_at=now,
        expires_at=now + settings.session_ttl,
        scope="",
        subject=user.uid,
        idle=settings.session_idle,
        last_active=now,
        password_version=user.password_version,
        user_version=user.token_version,
        login_address=request.address,
        address=request.address,
        user_agent=request.header("USER_AGENT")[:MAX_USER_AGENT],
    )


# ---- GET
def read(request: Request, server: Server) -> Response:
    """Return one's own session; to a signed-in admin any session by ref id, without its token.

    Raises:
        InvalidInput: the id has not the form of one.
        Forbidden: it is another's.
        NotFound: no session has that ref id.
    """
    identifier = request.arguments.get("id", "")
    if identifier and not credentials.SESSION_ID(identifier) and not is_ref_id(identifier):
        raise InvalidInput("id", "is neither a session id nor a ref id")
    living = bearer.authorize(request, server, "sessions", "manage", "view")
    if identifier in ("", living.token.session_id):
        return shapes.session_response(living, bearer.presented(request), server)
    return shapes.session_response(named_by_admin(identifier, living, server), None, server)


# ---- DELETE
def delete(request: Request, server: Server) -> Response:
    """End one's own session; as a signed-in admin any by ref id. What was made with it ends too.

    Raises:
        Forbidden: it is another's, whatever its form.
        NotFound: no session has that ref id.
    """
    identifier = request.arguments.get("id", "")
    living = bearer.authorize(request, server, "sessions", "manage", "delete")
    if identifier in ("", living.token.session_id):
        revoke(living.token, request, server, why="holder")
        return deleted(living.token.session_id)
    token = named_by_admin(identifier, living, server).token
    revoke(token, request, server, why="admin", actor=living.token.subject)
    return deleted(token.session_id)


_TEXT = {"type": ["string", "null"]}
_REQUEST: Schema = {
    "title": "LoginRequest",
    "type": "object",
    "properties": {
        "username": _TEXT,
        "password": {**_TEXT, "description": "The account's password, or one of its app passwords."},
        "code": {**_TEXT, "description": "Verification or recovery code, where the account asks for one."},
        "token": {**_TEXT, "description": "Share links: this server has none and answers 404."},
    },
}
_ID = Parameter(
    "A session id, one's own; or a ref id, where a signed-in admin asks.",
    {"type": "string", "pattern": "^([0-9a-f]{64}|sess[0-9a-z]{8})$"},
)
_DENIED = "Another's session, or the scope does not cover `sessions`."
_NOT_FOUND = "No session has that ref id."
_BY_OWN_ID = {"id": "$response.body#/session_id"}
_OWN = {"id": examples.SESSION_ID}
_MARIA = {"username": examples.CAREFUL_NAME, "password": examples.PASSWORD}
_CAREFUL = {**shapes.SESSION_EXAMPLE, "user": {**shapes.USER_EXAMPLE, "Name": "maria", "AuthMethod": "2fa"}}

_CREATE = Operation(
    "POST",
    create,
    "Sign in",
    "With name and password. Without them, with a token in the headers: an app password gives a new session of its"
    " scope, a session is answered as it is. A login ends the session in the headers, if there is one.",
    request=_REQUEST,
    responses={
        200: ("The session; its token is shown this once.", shapes.SESSION),
        400: "The body is no JSON object of the right types, or there is neither body nor token.",
        401: "Wrong name or password, or a client's token. With `code` 32 the password is right and a verification code"
        " is missing; with `code` 401 it is wrong, or was used.",
        403: "The app password's scope does not cover `sessions`.",
        404: "A share link's token.",
    },
    security=("optional", "bearer"),
    examples={
        "password": Example(
            "With name and password",
            {"username": examples.NAME, "password": examples.PASSWORD},
            response=shapes.SESSION_EXAMPLE,
            security="none",
        ),
        "app_password": Example(
            "With name and app password",
            {"username": examples.NAME, "password": examples.APP_PASSWORD},
            response={**shapes.SESSION_EXAMPLE, "provider": "application", "scope": "sessions webdav"},
            security="none",
        ),
        "token": Example("With a token in the headers", {}, response=shapes.SESSION_EXAMPLE, security="bearer"),
        "code": Example(
            "With a verification code", {**_MARIA, "code": examples.CODE}, response=_CAREFUL, security="none"
        ),
        "passcode_required": Example(
            "Where a code is missing",
            _MARIA,
            status=401,
            response={"error": "passcode required", "code": 32, "message": "Enter verification code"},
            security="none",
        ),
        "wrong_password": Example(
            "With a wrong password",
            {"username": examples.NAME, "password": "Wrong-whale-42-sings"},
            status=401,
            response={"error": "Invalid credentials"},
            security="none",
        ),
        "share": Example(
            "With a share link", {"token": "x"}, status=404, response={"error": "Invalid credentials"}, security="none"
        ),
    },
    links={
        "look": Link("get_session_by_id", "Look at it.", _BY_OWN_ID),
        "sign_out": Link("delete_session_by_id", "End it.", _BY_OWN_ID),
    },
)


def _read(arguments: Mapping[str, str]) -> Operation:
    return Operation(
        "GET",
        read,
        "Look at a session",
        "One's own, by its session id or without any; a signed-in admin names others by ref id.",
        responses={
            200: ("The session.", shapes.SESSION),
            400: "The id has not the form of one, or tokens that differ.",
            403: _DENIED,
            404: _NOT_FOUND,
        },
        security=("bearer",),
        examples={"own": Example("One's own", arguments=arguments, response=shapes.SESSION_EXAMPLE)},
    )


def _delete(arguments: Mapping[str, str]) -> Operation:
    return Operation(
        "DELETE",
        delete,
        "Sign out",
        "Ends one's own session; a signed-in admin names others by ref id.",
        responses={
            200: ("It is over, everywhere.", DELETED),
            400: "Tokens that differ.",
            403: _DENIED,
            404: _NOT_FOUND,
        },
        security=("bearer",),
        examples={"own": Example("One's own", arguments=arguments, response=DELETED_EXAMPLE)},
    )


def _endpoint(path: str, *operations: Operation, lane: bool = False, cors: Cors = Cors.NONE) -> Endpoint:
    return Endpoint(
        path,
        surface=Surface.PHOTOPRISM,
        tag="PhotoPrism",
        body=Body.ANY_JSON,
        lane=lane,
        cors=cors,
        operations=operations,
        arguments={"id": _ID},
    )


FEATURE = Feature(
    name="photoprism_session",
    specs=("PhotoPrism web API",),
    endpoints=(
        _endpoint("/api/v1/session", _CREATE, _read({}), _delete({}), lane=True, cors=Cors.CLIENTS),
        _endpoint("/api/v1/session/<id>", _read(_OWN), _delete(_OWN), cors=Cors.CLIENTS),
        _endpoint("/api/v1/sessions", _CREATE, sessions.LIST),
        _endpoint("/api/v1/sessions/<id>", _read(_OWN), _delete(_OWN)),
    ),
)
