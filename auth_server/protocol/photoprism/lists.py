"""Lists of sessions: paging, headers and members of an entry (photoprism-contract section 5)."""

import re
from collections.abc import Mapping, Sequence

from auth_server.clock import rfc3339
from auth_server.domain.token_lists import name_of
from auth_server.domain.tokens import Living
from auth_server.errors import InvalidInput
from auth_server.protocol import examples
from auth_server.protocol.description import Answer, Parameter, Schema
from auth_server.protocol.messages import Response, json_response
from auth_server.protocol.photoprism import constants
from auth_server.store.state import Page

GREATEST = 100_000  # of count, as PhotoPrism has it, and of offset
LIMIT = 1000  # entries of one answer, however many are asked for (S-129)
_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII).fullmatch


def read_page(query: Mapping[str, str], count: int | None = None) -> Page:
    """Return the part of the list that is asked for.

    Args:
        count: how many there are on it where nothing is said; None where that must be said.

    Raises:
        InvalidInput: `count` or `offset` is no number, or out of bounds.
    """
    limit = _number(query, "count", 1, count)
    return Page(min(limit, LIMIT), _number(query, "offset", 0, 0))


def _number(query: Mapping[str, str], name: str, least: int, default: int | None) -> int:
    text = query.get(name)
    if text is None and default is not None:
        return default
    if text is None or not _NUMBER(text) or not least <= int(text) <= GREATEST:
        raise InvalidInput(name, f"must be a number from {least} to {GREATEST}")
    return int(text)


def listed(found: Sequence[Living], page: Page) -> Response:
    """Return a part of a list, with PhotoPrism's headers."""
    numbers = {"X-Count": len(found), "X-Limit": page.limit, "X-Offset": page.offset}
    return json_response([entry(living) for living in found], headers=tuple((k, str(v)) for k, v in numbers.items()))


def entry(living: Living) -> dict[str, object]:
    """Return what a list says of one token: never the token itself, nor its session id."""
    token, user = living.token, living.user
    used_at = token.login_at or (token.created_at if token.login_address else 0)
    return {
        "ID": token.ref_id,
        "UserUID": token.subject or "",
        "UserName": user.name if user else "",
        "ClientUID": token.client_id or "",
        "ClientName": name_of(living),
        "ClientIP": token.address,
        "LoginIP": token.login_address,
        "AuthProvider": token.provider,
        "AuthMethod": token.method,
        "AuthID": "",
        "AuthScope": token.scope,
        "GrantType": token.grant_type,
        "LastActive": token.last_active,
        "Expires": token.expires_at or 0,
        "Timeout": token.idle,
        "UserAgent": token.user_agent,
        "LoginAt": rfc3339(used_at) if used_at else constants.NEVER,
        "CreatedAt": rfc3339(token.created_at),
        "UpdatedAt": rfc3339(max(token.created_at, token.last_active)),
        "Status": 0,
    }


COUNT = Parameter(
    f"How many entries; an answer has {LIMIT} at most.", {"type": "integer", "minimum": 1, "maximum": GREATEST}
)
OFFSET = Parameter(
    "How many entries to leave out before.", {"type": "integer", "minimum": 0, "maximum": GREATEST, "default": 0}
)
_TEXT: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_UNIX: Schema = {"type": "integer", "minimum": 0}
ENTRY: Schema = {
    "title": "SessionEntry",
    "type": "object",
    "required": [
        *("ID", "UserUID", "UserName", "ClientUID", "ClientName", "ClientIP", "LoginIP", "AuthProvider"),
        *("AuthMethod", "AuthID", "AuthScope", "GrantType", "LastActive", "Expires", "Timeout", "UserAgent"),
        *("LoginAt", "CreatedAt", "UpdatedAt", "Status"),
    ],
    "properties": {
        "ID": {**_TEXT, "description": "The ref id: names the session to POST /api/v1/oauth/revoke."},
        "UserUID": {**_TEXT, "description": "Empty where no person stands behind it."},
        "UserName": _TEXT,
        "ClientUID": {**_TEXT, "description": "The client_id; empty where no client stands behind it."},
        "ClientName": _TEXT,
        "ClientIP": {**_TEXT, "description": "From where it was used last; empty for never."},
        "LoginIP": {**_TEXT, "description": "From where it was used first; empty for never."},
        "AuthProvider": {**_TEXT, "enum": ["local", "application", "client", "access_token"]},
        "AuthMethod": {**_TEXT, "enum": ["default", "2fa", "session", "oauth2"]},
        "AuthID": _TEXT,
        "AuthScope": {**_TEXT, "description": "Empty for a login by password."},
        "GrantType": {**_TEXT, "examples": ["password", "session", "cli", "client_credentials"]},
        "LastActive": {**_UNIX, "description": "Unix seconds, exact to a minute; 0 for never."},
        "Expires": {**_UNIX, "description": "Unix seconds; 0 for never."},
        "Timeout": {**_UNIX, "description": "Seconds that it lives without use; 0 for no limit."},
        "UserAgent": _TEXT,
        "LoginAt": {**_TIME, "description": f"When it was used first; {constants.NEVER} for never."},
        "CreatedAt": _TIME,
        "UpdatedAt": _TIME,
        "Status": {"type": "integer", "const": 0},
    },
}
APP_PASSWORD_EXAMPLE = {
    "ID": examples.REF_ID,
    "UserUID": examples.UID,
    "UserName": examples.NAME,
    "ClientUID": "",
    "ClientName": "Sync",
    "ClientIP": "192.0.2.7",
    "LoginIP": "192.0.2.7",
    "AuthProvider": "application",
    "AuthMethod": "default",
    "AuthID": "",
    "AuthScope": "sessions webdav",
    "GrantType": "password",
    "LastActive": examples.MOMENT,
    "Expires": examples.MOMENT + 31536000,
    "Timeout": 0,
    "UserAgent": "PhotoSync/4.8",
    "LoginAt": rfc3339(examples.MOMENT),
    "CreatedAt": rfc3339(examples.MOMENT),
    "UpdatedAt": rfc3339(examples.MOMENT),
    "Status": 0,
}
_HEADERS: Mapping[str, Schema] = {
    "X-Count": {**_UNIX, "description": "How many entries there are in this answer."},
    "X-Limit": {**_UNIX, "description": "How many there could be."},
    "X-Offset": {**_UNIX, "description": "How many were left out before."},
}


def answer(description: str) -> Answer:
    """Return what a list answers, for the document."""
    return Answer(description, {"type": "array", "maxItems": LIMIT, "items": ENTRY}, _HEADERS)
