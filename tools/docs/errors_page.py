"""The page of errors, by the four forms that they have, from what the endpoints declare."""

import inspect
import json
from collections.abc import Iterator

from auth_server.errors import Conflict, Forbidden, LoginFailed, PasscodeInvalid, PasscodeRequired
from auth_server.http.errors import render
from auth_server.http.openapi.errors import DocumentedError, documented_errors
from auth_server.protocol import errors
from auth_server.protocol.feature import Surface
from auth_server.protocol.photoprism import passcode, password
from tools.docs.declared import Json, endpoints
from tools.docs.tables import table

MANY = 4  # requests that are named one by one
HEADS = {
    Surface.PHOTOPRISM: (
        "PhotoPrism's paths, and all that stand nowhere else",
        "`error` is for people, `code` is the status. A failed login has no `code`: old clients know it by that.",
    ),
    Surface.OAUTH: (
        "OAuth: `/api/v1/oauth/…`",
        "As RFC 6749 has it, with PhotoPrism's `code` and `message` beside it. Programs look at the status and at"
        " `error`, people at `error_description`.",
    ),
    Surface.PROBLEM: ("Administration: `/api/v1/admin/…`", "Problem details (RFC 9457)."),
    Surface.PAGE: ("Pages", "A short page for people."),
}
INTRODUCTION = """\
# Errors

Made from what the endpoints declare. How an error looks follows from the path alone, and its status says what to do:

| status | means | do |
| --- | --- | --- |
| 400 | the request cannot be read, or a value is wrong | mend it; trying again does not help |
| 401 | the token, password or secret does not count | get a new token, or ask the person |
| 403 | it counts, but does not reach that far | take another scope or another account |
| 404, 405 | there is no such thing, or not in this way | |
| 409 | somebody else was faster | look, and try again |
| 413, 415 | the body is too long, or of another type | |
| 429 | too many tries | wait as many seconds as `Retry-After` says |
| 500 | a bug | tell the administrator the request id |
| 503 | the store does not answer | wait as many seconds as `Retry-After` says, and try again |

No error tells whether a name or a client exists, and none has anything of the inside of the server in it.

## Numbers that clients look at

| `code` | where | means |
| --- | --- | --- |
| 32 | a login, and wherever a person must confirm | the password is right; a `code` is missing |
| 40 | the token endpoint | PhotoPrism's number for wrong credentials: `invalid_client` and `invalid_grant` |
| else | everywhere | the status once more |
"""


def page() -> str:
    """Return the page."""
    surfaces = {f"{operation.method} {one.path}": one.surface for one in endpoints() for operation in one.operations}
    found = documented_errors(endpoints())
    anywhere = [error for error in found if not error.where]
    parts = [INTRODUCTION, "## Any path\n", *_bodies(Surface.PAGE, anywhere), *_rows(anywhere)]
    for surface, (head, text) in HEADS.items():
        here = [error for error in found if error.where and surfaces[error.where[0]] is surface]
        if here:
            parts += [f"## {head}\n", f"{text}\n", *_bodies(surface, here)]
            parts += [*(_codes() if surface is Surface.OAUTH else ()), *_rows(here)]
    return "\n".join(parts)


def _codes() -> Iterator[str]:
    """The values of `error`: those that the protocol raises."""
    known = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.OAuthError) and kind is not errors.OAuthError
    ]
    rows = [
        (f"`{kind.code}`", str(kind.status), (inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]))
        for kind in sorted(known, key=lambda kind: kind.code)
    ]
    yield from table(("`error`", "status", ""), rows)


def _bodies(surface: Surface, found: list[DocumentedError]) -> Iterator[str]:
    """How each status looks."""
    bodies = [(error.status, error.body) for error in found if error.body]
    if surface is Surface.PHOTOPRISM:
        bodies += _of_people()
    rows = dict.fromkeys((f"`{status}`", f"`{json.dumps(body)}`") for status, body in sorted(bodies, key=_status))
    yield from table(("status", "body, for example"), rows)


def _of_people() -> Iterator[tuple[int, Json]]:
    """What is told to a person who signs in, or changes what they sign in with."""
    for error in (LoginFailed("Invalid credentials"), PasscodeRequired(), PasscodeInvalid()):
        answer = render(error, Surface.PHOTOPRISM)
        yield answer.status, json.loads(answer.body)
    yield 400, {"code": 400, "error": password.REFUSED, "details": "new: must have at least 8 characters"}
    yield 400, {"code": 400, "error": "Unsupported type"}
    for error in (Forbidden(passcode.WRONG_PASSWORD), Forbidden(passcode.WRONG_CODE), Conflict(passcode.NOT_SAVED)):
        answer = render(error, Surface.PHOTOPRISM)
        yield answer.status, json.loads(answer.body)


def _status(pair: tuple[int, object]) -> int:
    return pair[0]


def _rows(found: list[DocumentedError]) -> Iterator[str]:
    rows = [(f"`{error.status}`", error.text, _where(error)) for error in found]
    yield from table(("status", "when", "where"), rows)


def _where(error: DocumentedError) -> str:
    if not error.where:
        return "anywhere"
    if len(error.where) > MANY:
        return f"{len(error.where)} requests"
    return ", ".join(f"`{place.replace('<', '{').replace('>', '}')}`" for place in error.where)
