"""How errors look: one renderer for each surface (CONTRACT section 5)."""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus

import orjson

from auth_server.errors import (
    AuthServerError,
    Conflict,
    Forbidden,
    InvalidInput,
    LoginFailed,
    NotAuthenticated,
    NotFound,
    PasscodeInvalid,
    PasscodeRequired,
    Throttled,
    Unavailable,
)
from auth_server.http.pages.error import error_page
from auth_server.protocol.bearer import TokensDiffer
from auth_server.protocol.errors import (
    InsufficientScope,
    InvalidClient,
    InvalidGrant,
    InvalidToken,
    OAuthError,
    Refusal,
)
from auth_server.protocol.feature import Surface
from auth_server.protocol.messages import Headers, Response, json_response

PHOTOPRISM_CREDENTIALS = 40  # the position of "Invalid credentials" in PhotoPrism's list of messages
PHOTOPRISM_PASSCODE = 32  # that of "Enter verification code": by this number clients know what is asked for
REALM = "auth-server"
_UNFIT = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class HttpError(AuthServerError):
    """A request that no endpoint takes as it is.

    Args:
        status: 404, 405, 413, 415 or another status of the 400s.
    """

    def __init__(self, status: int, text: str, headers: Headers = ()) -> None:
        super().__init__(text)
        self.status, self.headers = status, headers


class Bug(AuthServerError):
    """Something that is not meant to happen; the log has the rest under this request id."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"Something went wrong, try again (request {request_id})")
        self.request_id = request_id


def render(error: AuthServerError, surface: Surface) -> Response:
    """Return the answer to an error in the form of its surface."""
    if isinstance(error, Throttled) and surface is not Surface.PAGE:
        body = {"error": "rate limit exceeded", "code": 429}
        return json_response(body, 429, (("Retry-After", str(error.retry_after)),))
    if isinstance(error, TokensDiffer) and surface is not Surface.PAGE:
        return json_response({"code": 400, "error": "Unable to do that"}, 400)
    if isinstance(error, PasscodeRequired | PasscodeInvalid) and surface in (Surface.OAUTH, Surface.PHOTOPRISM):
        return _passcode(error)
    return _RENDERERS[surface](error)


def status_of(error: AuthServerError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, HttpError | OAuthError):
        return error.status
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            return status
    return 500


_STATUS: Mapping[type[AuthServerError], int] = {
    InvalidInput: 400,
    NotAuthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Throttled: 429,
    TokensDiffer: 400,
    Unavailable: 503,
}
_CODES = {401: "invalid_token", 403: "access_denied", 503: "temporarily_unavailable", 500: "server_error"}


def _headers(error: AuthServerError) -> Headers:
    if isinstance(error, Unavailable | Throttled):
        return (("Retry-After", str(error.retry_after)),)
    if isinstance(error, OAuthError) and error.headers:
        return error.headers
    if isinstance(error, InvalidClient):
        return (("WWW-Authenticate", f'Basic realm="{REALM}"'),)
    if isinstance(error, InvalidToken | InsufficientScope):
        return (("WWW-Authenticate", f'Bearer realm="{REALM}", error="{error.code}"'),)
    if isinstance(error, NotAuthenticated) or (isinstance(error, InvalidGrant) and error.status == 401):
        return (("WWW-Authenticate", f'Bearer realm="{REALM}"'),)  # RFC 9110 §15.5.2: no 401 without
    return error.headers if isinstance(error, HttpError) else ()


def _oauth(error: AuthServerError) -> Response:
    """RFC 6749 §5.2 with PhotoPrism's `code` and `message` beside it."""
    status = status_of(error)
    name = error.code if isinstance(error, OAuthError) else _CODES.get(status, "invalid_request")
    credentials = isinstance(error, InvalidClient | InvalidGrant)
    description = _UNFIT.sub("'", _public(error).replace("§", "section ").replace("…", "..."))
    body = {
        "error": name,
        "error_description": description,
        "code": PHOTOPRISM_CREDENTIALS if credentials else status,
        "message": "Invalid credentials" if credentials else description,
    }
    return json_response(body, status, _headers(error))


def _photoprism(error: AuthServerError) -> Response:
    if isinstance(error, LoginFailed):
        return json_response({"error": "Invalid credentials"}, 401, _headers(error))
    status = status_of(error)
    text = {400: "Unable to do that", 503: "Something went wrong, try again"}.get(status) or _public(error)
    return json_response({"code": status, "error": text}, status, _headers(error))


def _passcode(error: PasscodeRequired | PasscodeInvalid) -> Response:
    """What POST session and the grants say of a second factor, in one form (CONTRACT section 5)."""
    if isinstance(error, PasscodeRequired):
        body = {"error": "passcode required", "code": PHOTOPRISM_PASSCODE, "message": str(error)}
    else:
        body = {"error": "invalid passcode", "code": 401, "message": str(error)}
    return json_response(body, 401, _headers(error))


def _problem(error: AuthServerError) -> Response:
    """RFC 9457."""
    status = status_of(error)
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": _public(error)}
    return Response(status, orjson.dumps(body), (("Content-Type", "application/problem+json"), *_headers(error)))


def _page(error: AuthServerError) -> Response:
    """What people can do something with, in their words; what is for those who program, as a detail below."""
    status, headers = status_of(error), _headers(error)
    if isinstance(error, Bug):
        return error_page(status, headers, request_id=error.request_id)
    if isinstance(error, Refusal | Forbidden):
        return error_page(status, headers, text=str(error))
    told = isinstance(error, OAuthError | InvalidInput | HttpError) and status in (400, 413, 415)
    return error_page(status, headers, detail=str(error) if told else "")


def _public(error: AuthServerError) -> str:
    """What the one who asked may read: of a store's failure only that it happened."""
    return "The server cannot answer now; try again" if isinstance(error, Unavailable) else str(error)


_RENDERERS: Mapping[Surface, Callable[[AuthServerError], Response]] = {
    Surface.OAUTH: _oauth,
    Surface.PHOTOPRISM: _photoprism,
    Surface.PROBLEM: _problem,
    Surface.PAGE: _page,
}
