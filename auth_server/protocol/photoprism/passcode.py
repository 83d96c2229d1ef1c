"""Setting up a second factor, and taking it away (photoprism-contract sections 6 and 15, 8)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from auth_server.clock import rfc3339
from auth_server.domain.audit import Actor
from auth_server.domain.login import Attempt
from auth_server.domain.second_factor import TYPE
from auth_server.domain.tokens import Token
from auth_server.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LoginFailed,
    NotFound,
    PasscodeInvalid,
    PasscodeRequired,
    Throttled,
    Unavailable,
)
from auth_server.protocol import bearer, examples, qr_code
from auth_server.protocol.description import Example, Parameter, Schema
from auth_server.protocol.feature import Body, Endpoint, Feature, Operation, Surface
from auth_server.protocol.messages import Request, Response, json_response
from auth_server.protocol.photoprism import authenticator
from auth_server.protocol.photoprism.forms import read_texts
from auth_server.protocol.server import Server
from auth_server.store.records import Passcode, User

CONFIRM_COST = 3  # tries of the address that a code takes, as at POST session
WRONG_PASSWORD = "Invalid password, please try again"
WRONG_CODE = "Invalid verification code, please try again"
NOT_SAVED = "Changes could not be saved"
DONE = "Settings saved"


@dataclass(frozen=True, slots=True)
class Form:
    """The body, the same at all four."""

    type: str = ""
    password: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asks for their own account."""

    user: User
    session: Token
    form: Form
    attempt: Attempt

    @property
    def by(self) -> Actor:
        return Actor(self.user.uid, address=self.attempt.address)


def create(request: Request, server: Server) -> Response:
    """Make a new key with its recovery code, which are shown this once; a key in force stays in force.

    Raises:
        Forbidden: the password is wrong.
        PasscodeRequired, PasscodeInvalid: there is a key in force, and no code for it.
        Conflict: the account is gone.
    """
    return _answered(request, server, "create", _create)


def confirm(request: Request, server: Server) -> Response:
    """Take a code as the proof that the person's app has the key.

    Raises:
        Forbidden: the code is wrong, or was used before.
    """
    return _answered(request, server, "update", _confirm, CONFIRM_COST)


def activate(request: Request, server: Server) -> Response:
    """Put a confirmed key in force; the person's other sessions end.

    Raises:
        Forbidden: no confirmed key waits.
    """
    return _answered(request, server, "update", _activate)


def deactivate(request: Request, server: Server) -> Response:
    """Take the key and its recovery code away.

    Raises:
        Forbidden: the password is wrong.
        NotFound: there is no key.
    """
    return _answered(request, server, "delete", _deactivate)


def _answered(
    request: Request, server: Server, permission: str, act: Callable[[Asked, Server], Response], cost: int = 1
) -> Response:
    """Check in PhotoPrism's order who asks and what, then act; what succeeds gets its tries back.

    Raises:
        NotAuthenticated: no token that counts.
        Forbidden: it is no person's session, or the account is another's, for admins too.
        Throttled: too many tries.
    """
    server.throttles.check_login(request.address)
    living = bearer.authorize(request, server, "passcode", permission)
    user = living.user
    if user is None or not living.is_person:  # S-077
        raise Forbidden(bearer.DENIED)
    if request.arguments["uid"] != user.uid:  # S-079
        raise Forbidden(bearer.DENIED)
    attempt = server.login.begin(user.name, request.address, cost)
    try:
        form = _read(request)
    except InvalidInput as error:
        return json_response({"code": 400, "error": WRONG_PASSWORD, "details": str(error)}, 400)
    if form.type.lower() != TYPE:
        return json_response({"code": 400, "error": "Unsupported type"}, 400)
    try:
        response = act(Asked(user, living.token, form, attempt), server)
    except (PasscodeRequired, Throttled, Unavailable):  # of a code that was not looked at nothing was learnt
        attempt.charge.give_back()
        raise
    attempt.charge.give_back()
    return response


def _read(request: Request) -> Form:
    members = request.json
    if members is None:
        raise InvalidInput("body", "is missing")
    return Form(**read_texts(members, ("type", "password", "code")))


def _create(asked: Asked, server: Server) -> Response:
    _check_password(asked, "passcode.create", server)
    user = server.second_factor.check(asked.user, asked.form.code, asked.attempt.address)
    try:
        new = server.second_factor.create(user, asked.by)
    except NotFound:
        raise Conflict(NOT_SAVED) from None
    image = qr_code.data_uri(authenticator.key_uri(user.name, new.secret))
    secrets = {"Secret": new.secret, "QRCode": image, "RecoveryCode": new.recovery_code}
    return json_response(_shape(new.passcode) | secrets)


def _confirm(asked: Asked, server: Server) -> Response:
    try:
        passcode = server.second_factor.confirm(asked.user, asked.form.code, asked.by)
    except PasscodeInvalid:
        raise Forbidden(WRONG_CODE) from None
    return json_response(_shape(passcode))


def _activate(asked: Asked, server: Server) -> Response:
    try:
        passcode = server.second_factor.activate(asked.user, asked.session, asked.by)
    except Conflict:
        raise Forbidden(NOT_SAVED) from None
    return json_response(_shape(passcode))


def _deactivate(asked: Asked, server: Server) -> Response:
    _check_password(asked, "passcode.deactivate", server)
    try:
        server.second_factor.deactivate(asked.user, asked.by)
    except NotFound:
        raise NotFound("Not found") from None
    return json_response({"code": 200, "message": DONE})


def _check_password(asked: Asked, event: str, server: Server) -> None:
    try:
        server.login.confirm(asked.attempt, asked.form.password, event)
    except LoginFailed:
        raise Forbidden(WRONG_PASSWORD) from None


def _shape(passcode: Passcode) -> dict[str, object]:
    """A key as it is shown: without its secrets, which the one who makes it adds."""
    return {
        "UID": passcode.uid,
        "Type": passcode.type,
        "Secret": "",
        "QRCode": "",
        "RecoveryCode": "",
        "CreatedAt": rfc3339(passcode.created_at),
        "UpdatedAt": rfc3339(passcode.updated_at),
        "VerifiedAt": rfc3339(passcode.verified_at),
        "ActivatedAt": rfc3339(passcode.activated_at),
    }


_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
_STRING: Schema = {"type": "string"}
_SHOWN: Mapping[str, Schema] = {
    "UID": {**_STRING, "description": "Of the account."},
    "Type": {**_STRING, "const": TYPE},
    "Secret": {**_STRING, "description": "The key in base 32, where it was just made; later empty."},
    "QRCode": {**_STRING, "description": "The key for an app's camera, as a PNG in a data URI; later empty."},
    "RecoveryCode": {**_STRING, "description": "To be written down; later empty."},
    "CreatedAt": {**_STRING, "format": "date-time"},
    "UpdatedAt": {**_STRING, "format": "date-time"},
    "VerifiedAt": {**_TIME, "description": "When it was confirmed by a code."},
    "ActivatedAt": {**_TIME, "description": "Since when the account asks for its codes."},
}
PASSCODE: Schema = {"title": "Passcode", "type": "object", "required": sorted(_SHOWN), "properties": _SHOWN}
_SAVED: Schema = {
    "title": "SettingsSaved",
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer", "const": 200}, "message": {**_STRING, "const": DONE}},
}
_TYPE: Schema = {**_STRING, "description": "`totp`, in whatever case."}
_PASSWORD: Schema = {**_STRING, "format": "password", "description": "The account's; no app password."}
_CODE: Schema = {**_STRING, "description": "Six digits of the authenticator app."}
_CODE_IN_FORCE: Schema = {**_CODE, "description": "Of the key in force, if there is one; or its recovery code."}
_UID = Parameter("One's own uid; nobody reaches another's second factor.")
_DENIED = "A token that is no session of this person, or another's account"

_CONFIRMED = _shape(Passcode(examples.UID, b"", "", examples.MOMENT, examples.MOMENT, verified_at=examples.MOMENT))
_ACTIVE = {**_CONFIRMED, "ActivatedAt": _CONFIRMED["UpdatedAt"]}
_NEW = {
    **_CONFIRMED,
    "VerifiedAt": None,
    "Secret": examples.KEY,
    "QRCode": "data:image/png;base64,iVBORw0KGgo=",
    "RecoveryCode": "k3yq8z1mx7p0",
}


def _endpoint(verb: str, operation: Operation) -> Endpoint:
    return Endpoint(
        f"/api/v1/users/<uid>/passcode{verb}",
        surface=Surface.PHOTOPRISM,
        tag="PhotoPrism",
        body=Body.ANY_JSON,
        operations=(operation,),
        arguments={"uid": _UID},
    )


def _request(title: str, **members: Schema) -> Schema:
    """A body whose members are needed, but for the code of a key that is in force."""
    needed = [name for name, schema in members.items() if schema is not _CODE_IN_FORCE]
    return {"title": title, "type": "object", "required": needed, "properties": members}


def _example(response: Mapping[str, object], **members: str) -> Mapping[str, Example]:
    return {"own": Example("One's own", {"type": TYPE, **members}, {"uid": examples.UID}, response=response)}


_CREATE = Operation(
    "POST",
    create,
    "Make a key for a second factor",
    "The key, as text and as a QR code, and its recovery code are shown this once. It counts when it is confirmed and"
    " activated; one that is in force stays so until then, and is asked for its code.",
    request=_request("PasscodeRequest", type=_TYPE, password=_PASSWORD, code=_CODE_IN_FORCE),
    responses={
        200: ("The key, with its secrets.", PASSCODE),
        401: "No token that counts. With `code` 32: the code is missing; with 401 and `message`: it is wrong.",
        403: f"{_DENIED}; or a wrong password.",
        409: "It could not be saved.",
    },
    security=("bearer",),
    examples=_example(_NEW, password=examples.PASSWORD),
)
_CONFIRM = Operation(
    "POST",
    confirm,
    "Confirm the key by a code",
    "The proof that the authenticator app has it. The code is used up: the next login takes the next one.",
    request=_request("PasscodeConfirmation", type=_TYPE, code=_CODE),
    responses={
        200: ("The key, confirmed.", PASSCODE),
        403: f"{_DENIED}; or a wrong code, one that was used, or the recovery code.",
    },
    security=("bearer",),
    examples=_example(_CONFIRMED, code=examples.CODE),
)
_ACTIVATE = Operation(
    "POST",
    activate,
    "Put the key in force",
    "From now on a login asks for a code. All other sessions of the person end; app passwords live on.",
    request=_request("PasscodeActivation", type=_TYPE),
    responses={
        200: ("The key, in force.", PASSCODE),
        403: f"{_DENIED}; or no confirmed key waits.",
    },
    security=("bearer",),
    examples=_example(_ACTIVE),
)
_DEACTIVATE = Operation(
    "POST",
    deactivate,
    "Take the second factor away",
    "The key and its recovery code are deleted.",
    request=_request("PasscodeDeactivation", type=_TYPE, password=_PASSWORD),
    responses={
        200: ("It is gone.", _SAVED),
        403: f"{_DENIED}; or a wrong password.",
        404: "There is no key.",
    },
    security=("bearer",),
    examples=_example({"code": 200, "message": DONE}, password=examples.PASSWORD),
)

FEATURE = Feature(
    name="photoprism_passcode",
    specs=("PhotoPrism web API", "RFC 6238"),
    endpoints=(
        _endpoint("", _CREATE),
        _endpoint("/confirm", _CONFIRM),
        _endpoint("/activate", _ACTIVATE),
        _endpoint("/deactivate", _DEACTIVATE),
    ),
)
