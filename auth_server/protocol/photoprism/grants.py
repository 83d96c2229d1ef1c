"""PhotoPrism's grants `password` and `session`: a signed-in person makes an app password.

Source: photoprism-contract section 7. They are no grants of OAuth: a client never gets one, and a password alone
gets nothing.
"""

import re

from auth_server.domain import app_passwords
from auth_server.domain.audit import Actor
from auth_server.domain.users import clean_name
from auth_server.errors import InvalidInput, LoginFailed, NotAuthenticated
from auth_server.protocol import bearer, client_authentication
from auth_server.protocol.errors import InvalidGrant, InvalidRequest, InvalidScope, UnauthorizedClient
from auth_server.protocol.feature import Authorization, Caller, Feature, Grant
from auth_server.protocol.messages import Request
from auth_server.protocol.server import Server
from auth_server.store.records import User

PASSWORD, SESSION = "password", "session"
_INTEGER = re.compile(r"-?[0-9]{1,12}", re.ASCII).fullmatch


def authenticate(request: Request, server: Server) -> Caller:
    """Return the person whose session token is in the headers.

    Raises:
        InvalidGrant: nobody signed in; a client's token or an app password is not enough (S-077).
        UnauthorizedClient: a client asks (S-012).
    """
    if client_authentication.is_attempted(request):
        client_authentication.authenticate(request, server)
        raise UnauthorizedClient("This grant_type is for persons who signed in")
    try:
        living = bearer.find(request, server)
    except NotAuthenticated:
        living = None
    if living is None or not living.is_person:
        raise _refused()
    return Caller(living=living)


def authorize(request: Request, caller: Caller, server: Server) -> Authorization:
    """Grant an app password to the person who asks.

    Raises:
        InvalidRequest: a member is missing or malformed.
        InvalidScope: the scope is malformed, or names what app passwords never reach.
        InvalidGrant: another name than the session's, or a wrong password.
        PasscodeRequired, PasscodeInvalid: the password is right, but the account has a second factor.
        Throttled: too many wrong passwords or codes.
    """
    user = caller.living.user if caller.living else None
    if user is None:
        raise _refused()
    grant_type = request.form["grant_type"]
    username, password, asked_name, asked_scope = (_required(request, name, grant_type) for name in _MEMBERS)
    name, ttl = app_passwords.checked_name(asked_name), _ttl(request, server)
    try:
        scope = app_passwords.checked_scope(asked_scope)
    except InvalidInput as error:
        raise InvalidScope(error.reason) from None
    if clean_name(username) != user.name:
        raise _refused()
    _check_password(user, password, grant_type, request, server)
    return Authorization(
        provider="application",
        method="default",
        grant_type=grant_type,
        scope=scope,
        ttl=ttl,
        user=user,
        client_name=name,
        form="app_password",
        by=Actor(user.uid, address=request.address),
    )


_MEMBERS = ("username", "password", "client_name", "scope")


def _required(request: Request, name: str, grant_type: str) -> str:
    value = request.form.get(name, "")
    if not value and (name != "password" or grant_type == PASSWORD):
        raise InvalidRequest(f"{name} is missing")
    return value


def _ttl(request: Request, server: Server) -> int | None:
    text = request.form.get("expires_in", "")
    if text and not _INTEGER(text):
        raise InvalidRequest("expires_in must be an integer")
    return app_passwords.checked_ttl(int(text) if text else None, server.settings.app_password_ttl)


def _check_password(user: User, password: str, grant_type: str, request: Request, server: Server) -> None:
    """Both grants ask for the password of an account that has one; `session` is for those that have none.

    And for a code where there is a second factor (photoprism-contract section 15, 8).
    """
    code = request.form.get("code", "")
    if not user.password_hash and grant_type == SESSION:
        server.second_factor.check(user, code, request.address)
        return
    if not password:
        raise _refused()
    try:
        server.login.by_password(user.name, password, request.address, code)
    except LoginFailed:
        raise _refused() from None


def _refused() -> InvalidGrant:
    """What a wrong session, name or password is told, with the status that PhotoPrism's clients test for."""
    return InvalidGrant("Invalid credentials", 401)


FEATURE = Feature(
    name="photoprism_grants",
    specs=("PhotoPrism web API",),
    enabled=lambda settings: settings.photoprism_grants,
    grants=(
        Grant(PASSWORD, authenticate, authorize, registrable=False),
        Grant(SESSION, authenticate, authorize, registrable=False),
    ),
)
