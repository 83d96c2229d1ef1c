"""Scopes and roles: PhotoPrism's rules, row by row, and the words that must be named."""

import pytest

from auth_server.domain import roles, scopes
from auth_server.domain.tokens import Living, Token
from auth_server.protocol.bearer import may
from auth_server.store.records import Client, User
from tests import proves


# ---- normal form
@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", ""),
        ("webdav", "webdav"),
        ("Webdav SESSIONS", "sessions webdav"),
        ("  b \t a\nc ", "a b c"),
        ("b a b a", "a b"),
        ("* a", "a *"),
        ("a,b", "a b"),
        ("a, b", "a b"),
        ("12 a-1 - .", "a-1"),
        ("a!b§c d/e", "abc de"),
        ("a.b@c-d+e_f#g", "a.b@c-d+e_f#g"),
        ("a:true b:yes c:on d:enable", "a b c d"),
        ("a:false b:no c:off d:disable", "a:false b:false c:false d:false"),
        ("photos:view", "photos:view"),
        ("sessions:*", "sessions:*"),
        ("a:", "a"),
        ("unknown-word", "unknown-word"),
    ],
)
def test_normal_form(text: str, normal: str):
    """Lower case, sorted, none twice, `*` last, odd characters gone; commas part words."""
    assert scopes.normal(text) == normal
    assert scopes.normal(normal) == normal


def test_normal_form_is_bounded():
    """767 characters, as PhotoPrism keeps them."""
    assert len(scopes.normal("x" * 1000)) == scopes.MAX_LENGTH == 767


# ---- does a scope cover a resource with permissions?
@pytest.mark.parametrize(
    ("scope", "resource", "permissions", "covered"),
    [
        # 1: `*` alone
        ("*", "photos", "delete", True),
        ("*", "anything", "", True),
        # 2: `read` alone
        ("read", "photos", "view", True),
        ("read", "photos", "search view download subscribe access_all", True),
        ("read", "photos", "view update", False),
        ("read", "photos", "", True),
        # 3: the resource must be there, and not be excluded
        ("photos albums", "photos", "delete", True),
        ("photos albums", "albums", "view", True),
        ("photos albums", "files", "view", False),
        ("photos:true", "photos", "view", True),
        ("photos:*", "photos", "delete", True),
        ("photos:view", "photos", "view", False),
        ("a *", "photos", "delete", True),
        ("shares:false *", "shares", "view", False),
        ("shares:false *", "photos", "delete", True),
        ("photos photos:false", "photos", "view", False),
        ("", "photos", "view", False),
        ("", "photos", "", False),
        ("photo", "photos", "view", False),
        # 4: no permission asked
        ("read photos", "photos", "", True),
        # 5: `read` beside others
        ("read photos", "photos", "view", True),
        ("read photos", "photos", "update", False),
        ("read photos", "photos", "view update", False),
        ("read photos", "albums", "view", False),
        ("read *", "albums", "view", True),
        ("read *", "albums", "delete", False),
        ("read sessions", "sessions", "manage view", False),
        # 6: `write` beside others
        ("write photos", "photos", "update", True),
        ("write photos", "photos", "view", False),
        ("write *", "albums", "delete", True),
        ("write", "albums", "delete", False),
        ("write", "write", "delete", True),
        ("read write photos", "photos", "access_all", True),
        ("read write photos", "photos", "view", False),
        ("read write photos", "photos", "update", False),
        # 7: everything else
        ("sessions", "sessions", "manage view", True),
        ("metrics", "metrics", "access_all", True),
    ],
)
def test_covers(scope: str, resource: str, permissions: str, covered: bool):
    """The first rule that applies decides, and all permissions are needed."""
    assert scopes.covers(scope, resource, permissions.split()) is covered


@proves("S-076")
@pytest.mark.parametrize("word", ["introspect", "openid", "offline_access", "admin:keys", "admin:users", "admin:new"])
def test_named_words_are_covered_by_nothing_else(word: str):
    """`*`, `read` and `write` reach PhotoPrism's resources only (CONTRACT section 5)."""
    for scope in ("*", "read", "write *", "read *", f"{word}:false *"):
        assert not scopes.covers(scope, word, ())
        assert not scopes.has(scope, word)
        assert scopes.narrowed(word, scope) is None
    assert scopes.has(f"metrics {word}", word)


def test_admin_star_stands_for_all_admin_words():
    """And for nothing else."""
    assert all(scopes.has("admin:*", word) for word in scopes.ADMIN)
    assert not scopes.has("admin:*", "introspect")
    assert not scopes.has("admin:keys", "admin:users")
    assert not scopes.covers("admin:*", "users", ("view",))


@pytest.mark.parametrize(
    ("asked", "allowed", "granted"),
    [
        ("", "a b", "a b"),
        ("b", "a b", "b"),
        ("b a", "a b", "a b"),
        ("c", "a b", None),
        ("a c", "a b", None),
        ("a", "*", "a"),
        ("*", "a", None),
        ("a", "a:false *", None),
        ("b", "a:false *", "b"),
        ("openid", "*", None),
        ("admin:keys", "admin:*", "admin:keys"),
        ("-", "a", None),
    ],
)
def test_narrowed(asked: str, allowed: str, granted: str | None):
    """A part of what is allowed, never more."""
    assert scopes.narrowed(asked, allowed) == granted


# ---- roles
OWN = {"access_own"}
GUEST = {
    "sessions": OWN | {"view", "create", "update", "delete", "manage_own"},
    "users": OWN | {"view", "update"},
    "password": OWN | {"update"},
    "passcode": OWN | {"create", "update", "delete"},
    "settings": OWN | {"view", "update"},
    "config": OWN | {"view"},
}
CLIENT = {
    "sessions": OWN | {"view", "create", "update", "delete"},
    "users": OWN | {"view"},
    "settings": OWN | {"view", "update"},
    "config": OWN | {"view"},
    "logs": roles.ALL,
    "webdav": roles.ALL,
    "metrics": {"access_all", "access_own", "view"},
}
OTHER = {"sessions": OWN | {"view", "create", "update", "delete"}, "config": OWN | {"view"}}
RESOURCES = ("sessions", "users", "password", "passcode", "settings", "config", "logs", "webdav", "metrics", "shares")


@pytest.mark.parametrize("resource", [*RESOURCES, "services", "feedback", "photos"])
def test_roles(resource: str):
    """The columns of photoprism-contract section 10; role `user` has guest's."""
    assert roles.permissions("guest", resource) == GUEST.get(resource, set())
    assert roles.permissions("user", resource) == GUEST.get(resource, set())
    assert roles.permissions("client", resource) == CLIENT.get(resource, set())
    assert roles.permissions("whatever", resource) == OTHER.get(resource, set())
    if resource != "users":
        assert roles.permissions("admin", resource) == roles.ALL


def test_admins_reach_all_users():
    """But have no `manage`, which another person's password would need."""
    assert roles.permissions("admin", "users") == OWN | {"access_all", "view", "create", "update", "delete"}


def test_a_role_needs_any_permission_of_those_asked():
    """Where a scope needs all of them."""
    assert roles.allows("guest", "sessions", ("manage", "view"))
    assert not roles.allows("guest", "sessions", ("manage", "access_all"))
    assert roles.allows("guest", "photos", ())


# ---- both together
def living(provider: str, method: str, scope: str, role: str | None, client_role: str | None = None) -> Living:
    """A token as it is when it counts."""
    token = Token(b"0" * 32, provider, method, "", 0, None, scope)
    user = User("u1", "jane", role, 0, 0) if role else None
    return Living(token, user, Client("c1", 0, 0, role=client_role) if client_role else None)


@pytest.mark.parametrize(
    ("who", "resource", "permissions", "allowed"),
    [
        # a person: the role alone
        (("local", "default", "", "guest"), "sessions", "manage view", True),
        (("local", "default", "", "guest"), "password", "update", True),
        (("local", "default", "", "guest"), "metrics", "access_all", False),
        (("local", "default", "", "admin"), "metrics", "access_all", True),
        (("local", "default", "", None), "sessions", "view", False),
        (("local", "default", "config", "admin"), "sessions", "view", False),
        # an app password and its session: scope, the client's column, and the person's role
        (("application", "default", "*", "user"), "sessions", "manage view", True),
        (("application", "session", "sessions", "user"), "sessions", "manage delete", True),
        (("application", "default", "metrics", "user"), "metrics", "access_all", False),
        (("application", "default", "metrics", "admin"), "metrics", "access_all", True),
        (("application", "default", "config", "admin"), "sessions", "manage view", False),
        (("application", "default", "*", "admin"), "password", "update", False),
        (("application", "session", "*", "admin"), "passcode", "create", False),
        (("application", "default", "*", "admin"), "users", "update", False),
        (("application", "default", "*", "admin"), "users", "view", True),
        # a client: scope and its own role, and its owner's if it has one
        (("client", "oauth2", "metrics", None, "client"), "metrics", "access_all", True),
        (("client", "oauth2", "*", None, "client"), "photos", "view", False),
        (("client", "oauth2", "*", None, "admin"), "photos", "view", True),
        (("client", "oauth2", "*", "guest", "admin"), "photos", "view", False),
        (("client", "oauth2", "metrics", "guest", "client"), "metrics", "access_all", False),
        (("access_token", "oauth2", "metrics", None), "metrics", "access_all", True),
        (("access_token", "oauth2", "*", None), "password", "update", False),
    ],
)
@proves("S-076", "S-077")
def test_scope_and_roles_together(
    who: tuple[str, str, str, str | None], resource: str, permissions: str, allowed: bool
):
    """All permissions in scope, any of them in each role; credentials are no business of programs."""
    assert may(living(*who), resource, *permissions.split()) is allowed
