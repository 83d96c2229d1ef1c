"""What PhotoPrism's answers look like: a session, its user, the configuration (photoprism-contract section 4)."""

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from auth_server import __version__
from auth_server.clock import rfc3339
from auth_server.domain import roles
from auth_server.domain.second_factor import is_on
from auth_server.domain.tokens import Living
from auth_server.protocol import examples
from auth_server.protocol.description import Schema
from auth_server.protocol.messages import Response, json_response
from auth_server.protocol.photoprism import constants
from auth_server.protocol.server import Server
from auth_server.store.records import User


def session_response(living: Living, value: str | None, server: Server) -> Response:
    """Return a session with its user.

    Args:
        value: the token itself if the one who asks holds it; None leaves it out of the answer.
    """
    token = living.token
    answer: dict[str, object] = {"status": "success", "session_id": token.session_id}
    if value is not None:
        answer |= {"id": value, "access_token": value, "token_type": "Bearer"}
    answer |= {
        "expires_in": token.expires_in(server.clock()),
        "provider": token.provider,
        "scope": token.scope,
        "user": user_object(living.user) if living.user else NOBODY,
        "data": constants.DATA,
        "config": config_object(server.issuer, "user"),
    }
    return json_response(answer)


def user_object(user: User) -> dict[str, object]:
    """Return an account as its own session sees it."""
    created_at, updated_at = rfc3339(user.created_at), rfc3339(user.updated_at)
    times = {"CreatedAt": created_at, "UpdatedAt": updated_at}
    details = {
        member: str(user.claims[claim])
        for claim, member in constants.DETAILS_FROM_CLAIMS.items()
        if claim in user.claims
    }
    return {
        "ID": user.number,
        "UID": user.uid,
        **constants.USER,
        "AuthMethod": user.auth_method if is_on(user) else "",
        "Name": user.name,
        "DisplayName": user.display_name,
        "Email": user.email,
        "Role": user.role,
        "SuperAdmin": user.super_admin,
        "CanLogin": user.enabled,
        "LoginAt": rfc3339(user.login_at),
        "WebDAV": roles.allows(user.role, "webdav", ("access_own",)),
        "Details": {**constants.DETAILS, **details, **times},
        "Settings": times,
        **times,
    }


NOBODY: dict[str, object] = {
    **constants.USER,
    "ID": 0,
    "UID": "",
    "AuthProvider": "",
    "Name": "",
    "DisplayName": "",
    "Email": "",
    "Role": "",
    "SuperAdmin": False,
    "CanLogin": False,
    "LoginAt": None,
    "WebDAV": False,
    "CreatedAt": constants.NEVER,
    "UpdatedAt": constants.NEVER,
}


@lru_cache
def config_object(issuer: str, mode: str) -> dict[str, Any]:
    """Return the client configuration: constants, and where this server is.

    Args:
        mode: `user` with a session, `public` without.
    """
    url = urlsplit(issuer)
    return {
        **constants.CONFIG,
        "mode": mode,
        "version": __version__,
        "baseUri": url.path,
        "apiUri": f"{url.path}/api/v1",
        "siteUrl": f"{issuer}/",
        "siteDomain": url.hostname or "",
    }


def _object(title: str, described: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"title": title, "type": "object", "required": required or sorted(described), "properties": described}


def _of(value: object) -> dict[str, Any]:
    """The schema of a constant or example value."""
    if isinstance(value, bool):
        return {"type": "boolean"}
    return {"type": {int: "integer", str: "string", dict: "object"}[type(value)]}


_TIME = {"type": "string", "format": "date-time"}
CONFIG: Schema = _object(
    "Config",
    {name: _of(value) for name, value in config_object("http://localhost:2342", "user").items()}
    | {"mode": {"type": "string", "enum": ["user", "public"]}, "authMode": {"type": "string", "const": "password"}},
)
USER: Schema = _object(
    "User",
    {name: _of(value) for name, value in NOBODY.items() if value is not None}
    | {
        "UID": {"type": "string", "examples": ["usm4k2r8d0wq1x7b"]},
        "LoginAt": {"type": ["string", "null"], "format": "date-time"},
        "CreatedAt": _TIME,
        "UpdatedAt": _TIME,
        "Details": _object(
            "UserDetails",
            {name: _of(value) for name, value in constants.DETAILS.items()} | {"CreatedAt": _TIME, "UpdatedAt": _TIME},
        ),
        "Settings": _object("UserSettings", {"CreatedAt": _TIME, "UpdatedAt": _TIME}),
    },
    sorted(NOBODY),
)
USER_EXAMPLE = user_object(
    User(
        examples.UID,
        examples.NAME,
        "admin",
        created_at=1730217123,
        updated_at=1734084000,
        number=7,
        display_name="Jane",
        email="jane@example.org",
        login_at=1734084000,
    )
)
CONFIG_EXAMPLE = config_object("http://127.0.0.1:2342", "user")
SESSION_EXAMPLE = {
    "status": "success",
    "id": examples.SESSION_TOKEN,
    "session_id": examples.SESSION_ID,
    "access_token": examples.SESSION_TOKEN,
    "token_type": "Bearer",
    "expires_in": 1209600,
    "provider": "local",
    "scope": "",
    "user": USER_EXAMPLE,
    "data": constants.DATA,
    "config": CONFIG_EXAMPLE,
}
_STRINGS = {"type": ["array", "null"], "items": {"type": "string"}}
SESSION: Schema = _object(
    "Session",
    {
        "status": {"type": "string", "const": "success"},
        "id": {"type": "string", "deprecated": True, "description": "Deprecated: a copy of access_token."},
        "session_id": {"type": "string", "description": "SHA-256 of the token in hex digits."},
        "access_token": {"type": "string", "description": "The token; absent in what an admin reads."},
        "token_type": {"type": "string", "const": "Bearer"},
        "expires_in": {"type": "integer", "description": "Seconds left; 0 means that it never expires."},
        "provider": {"type": "string", "enum": ["local", "application", "client", "access_token"]},
        "scope": {"type": "string", "description": "Empty for a login by password."},
        "user": USER,
        "data": _object("SessionData", {"tokens": _STRINGS, "shares": _STRINGS}),
        "config": CONFIG,
    },
    ["status", "session_id", "expires_in", "provider", "scope", "user", "data", "config"],
)
ERROR: Schema = _object(
    "PhotoPrismError",
    {
        "code": {"type": "integer", "description": "The HTTP status; 32 where a verification code is missing."},
        "error": {"type": "string", "examples": ["Please log in to your account", "Permission denied"]},
        "message": {"type": "string", "description": "For the person, where a verification code is missing or wrong."},
        "details": {"type": "string", "description": "What is wrong with a new password."},
    },
    ["error"],
)
LIMITED = ("Too many tries; Retry-After says when there is one more.", ERROR)
