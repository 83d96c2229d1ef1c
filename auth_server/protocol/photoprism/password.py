"""Changing one's own password (photoprism-contract section 6)."""

from dataclasses import dataclass
from unicodedata import normalize

from auth_server.domain.audit import Actor
from auth_server.domain.login import Attempt
from auth_server.domain.users import Changes
from auth_server.errors import (
    AuthServerError,
    Conflict,
    Forbidden,
    InvalidInput,
    LoginFailed,
    PasscodeInvalid,
)
from auth_server.protocol import bearer, examples
from auth_server.protocol.description import Answer, Example, Schema
from auth_server.protocol.feature import Body, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.photoprism.forms import read_texts
from auth_server.protocol.server import Server
from auth_server.store.records import User

EVENT = "user.change"
REFUSED = "Invalid password, please try again"
DONE = "Password changed"
REVOKE = "revoke"
NOT_SAVED = "Changes could not be saved"


@dataclass(frozen=True, slots=True)
class Form:
    """The body."""

    old: str = ""
    new: str = ""
    code: str = ""
    app_passwords: str = ""


def change(request: Request, server: Server) -> Response:
    """Give the person who asks a new password; their other sessions end, this one keeps its token.

    Clients' tokens live on; so do app passwords and the sessions made with them, unless the person wants them to end.

    Raises:
        NotAuthenticated: no token that counts.
        Forbidden: it is no person's session, or the account is another's; admins have the command line for that.
        Throttled: too many tries.
        PasscodeRequired, PasscodeInvalid: the account has a second factor.
        Conflict: the account was changed meanwhile.
    """
    living = bearer.authorize(request, server, "password", "update")
    user = living.user
    if user is None or not living.is_person:  # S-077
        raise Forbidden(bearer.DENIED)
    server.passwords.ensure_room()
    attempt = server.login.begin(user.name, request.address)
    if request.arguments["uid"] != user.uid:  # S-079
        raise Forbidden(bearer.DENIED)
    try:
        form = _read(request)
        changed = _change(user, form, attempt, server)
    except InvalidInput as error:
        return json_response({"code": 400, "error": REFUSED, "details": str(error)}, 400)
    server.tokens.carry_over(living.token, changed)
    if form.app_passwords == REVOKE:  # section 15, 9
        server.tokens.revoke_app_passwords(user.uid, Actor(user.uid, address=request.address))
    server.throttles.succeeded_login(user.name, user.uid, request.address)
    return json_response({"code": 200, "message": DONE})


def _read(request: Request) -> Form:
    members = request.json
    if members is None:
        raise InvalidInput("body", "is missing")
    form = Form(**read_texts(members, ("old", "new", "code", "app_passwords")))
    if form.app_passwords not in ("", REVOKE):
        raise InvalidInput("app_passwords", f"must be {REVOKE}, or absent")
    return form


def _change(user: User, form: Form, attempt: Attempt, server: Server) -> User:
    """Return the account with its new password. Who knows the old one gets the try back, but for a wrong code."""
    try:
        server.login.confirm(attempt, form.old, EVENT)
    except LoginFailed:
        raise InvalidInput("old", "is not the password of this account") from None
    try:
        changed = _save(user, form, attempt.address, server)
    except PasscodeInvalid:
        raise
    except AuthServerError:
        attempt.charge.give_back()
        raise
    attempt.charge.give_back()
    return changed


def _save(user: User, form: Form, address: str, server: Server) -> User:
    if normalize("NFC", form.old) == normalize("NFC", form.new):
        raise InvalidInput("new", "is the old one; choose another")
    try:
        server.users.check_password(user, form.new)
    except InvalidInput as error:
        raise InvalidInput("new", error.reason) from None
    server.second_factor.check(user, form.code, address)  # last of all, for a right code is used up
    changes, by = Changes(password=form.new), Actor(user.uid, address=address)
    try:
        return server.users.change(user.uid, changes, by, password_version=user.password_version)
    except Conflict:
        raise Conflict(NOT_SAVED) from None


_MESSAGE: Schema = {
    "title": "PasswordChanged",
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"const": 200}, "message": {"const": DONE}},
}
_REQUEST: Schema = {
    "title": "PasswordChange",
    "type": "object",
    "required": ["old", "new"],
    "properties": {
        "old": {"type": "string", "description": "The password so far.", "examples": ["Blue-whale-42-sings"]},
        "new": {
            "type": "string",
            "description": "8 to 256 characters, at most 1024 bytes; no common password, no name of its owner or of"
            " this server. It may consist of anything.",
            "examples": ["five grey herons drink rain"],
        },
        "code": {"type": "string", "description": "Verification or recovery code, where the account asks for one."},
        "app_passwords": {
            "type": "string",
            "enum": ["", REVOKE],
            "description": "`revoke` ends all app passwords of the account too, with the sessions made with them.",
        },
    },
}
_CHANGE = Operation(
    "PUT",
    change,
    "Change one's own password",
    "The account's other sessions end at once; this one keeps its token. Clients' tokens live on; so do app passwords"
    " and the sessions made with them, unless `app_passwords` says otherwise. It takes a session: no app password, and"
    " no client's token.",
    request=_REQUEST,
    responses={
        200: ("It is changed.", _MESSAGE),
        400: Answer(
            "The old password is wrong, or the new one is not taken; `details` says why.",
            example={"code": 400, "error": REFUSED, "details": "new: must have at least 8 characters"},
        ),
        401: "No token that counts; or the account asks for a verification code.",
        403: "Another's account, or a token that is no person's session.",
        409: "The account was changed meanwhile.",
    },
    security=("bearer",),
    examples={
        "change": Example(
            "Change it",
            {"old": examples.PASSWORD, "new": "five grey herons drink rain"},
            {"uid": examples.UID},
            response={"code": 200, "message": DONE},
        )
    },
)

FEATURE = Feature(
    name="photoprism_password",
    specs=("PhotoPrism web API",),
    endpoints=(
        Endpoint(
            "/api/v1/users/<uid>/password",
            surface=Surface.PHOTOPRISM,
            tag="PhotoPrism",
            body=Body.ANY_JSON,
            operations=(_CHANGE,),
            arguments={"uid": "The account's `UID`: one's own."},
        ),
    ),
)
