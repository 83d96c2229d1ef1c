"""Roles: what an account, or a client, may do with a resource (photoprism-contract section 10)."""

from collections.abc import Iterable, Mapping

from auth_server.domain import scopes

ADMIN, USER, GUEST, CLIENT = "admin", "user", "guest", "client"
USER_ROLES = (ADMIN, USER, GUEST)
CLIENT_ROLES = (ADMIN, CLIENT)

ALL = scopes.READ | scopes.WRITE


def _own(*permissions: str) -> frozenset[str]:
    return frozenset(("access_own", *permissions))


# Nobody has `manage` on users: only the own password is changed by the API (photoprism-contract section 6).
_ADMIN: Mapping[str, frozenset[str]] = {
    "users": _own("access_all", "view", "create", "update", "delete"),
}
# Guests and users: everybody manages what is their own. `manage` and `manage_own` on sessions are asked for by
# GET and DELETE session and by the list of app passwords, which every role may use (section 15, 9).
_GUEST: Mapping[str, frozenset[str]] = {
    "sessions": _own("view", "create", "update", "delete", "manage_own"),
    "users": _own("view", "update"),
    "password": _own("update"),
    "passcode": _own("create", "update", "delete"),
    "settings": _own("view", "update"),
    "config": _own("view"),
}
_CLIENT: Mapping[str, frozenset[str]] = {
    "sessions": _own("view", "create", "update", "delete"),
    "users": _own("view"),
    "settings": _own("view", "update"),
    "config": _own("view"),
    "logs": ALL,
    "webdav": ALL,
    "metrics": frozenset(("access_all", "access_own", "view")),
}
_OTHER: Mapping[str, frozenset[str]] = {
    "sessions": _own("view", "create", "update", "delete"),
    "config": _own("view"),
}
_NOTHING: frozenset[str] = frozenset()


def permissions(role: str, resource: str) -> frozenset[str]:
    """Return what *role* may do with *resource*. Role `user` has guest's column (CONTRACT section 5)."""
    if role == ADMIN:
        return _ADMIN.get(resource, ALL)
    table = {USER: _GUEST, GUEST: _GUEST, CLIENT: _CLIENT}.get(role, _OTHER)
    return table.get(resource, _NOTHING)


def allows(role: str, resource: str, needed: Iterable[str]) -> bool:
    """Tell whether *role* has any of the permissions *needed* on *resource*; none needed is always allowed."""
    wanted = frozenset(needed)
    return not wanted or not wanted.isdisjoint(permissions(role, resource))
