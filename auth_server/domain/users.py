"""Accounts of people: the rules for names and changes. What takes rights away ends all they hold at once."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from auth_server.clock import Clock, Random, rfc3339
from auth_server.domain import credentials, plain_json, roles
from auth_server.domain.audit import SERVER, Actor, Audit
from auth_server.domain.leftovers import tidying_up
from auth_server.domain.passwords import Passwords, check_new
from auth_server.domain.sign_outs import SignOuts
from auth_server.domain.tokens import Tokens
from auth_server.errors import Conflict, InvalidInput, LastOne, NotFound
from auth_server.store.records import Records, User
from auth_server.store.state import Page

_DROPPED = re.compile(r"[\x00-\x1f\x7f\"'()#&$,+=`~?|*/:;<>{}]")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,185}").fullmatch
MAX_NAME = 255
MAX_CLAIMS = 16384  # bytes, as JSON: they stand in tokens
_REGISTERED_CLAIMS = frozenset(
    [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nbf",
        "jti",
        "auth_time",
        "nonce",
        "acr",
        "amr",
        "azp",
        "at_hash",
        "c_hash",
        "s_hash",
        "sid",
    ]
)


@contextmanager
def _explained() -> Iterator[None]:
    """Say what to do where the last admin would go."""
    try:
        yield
    except LastOne as error:
        raise Conflict(f"{error}; make another one first: auth-server users add NAME --role admin") from None


def clean_name(name: str) -> str:
    """Return a user name as it is compared: trimmed, lowercase, without characters that need quoting."""
    return _DROPPED.sub("", name.strip().lower())


@dataclass(frozen=True)
class Changes:
    """What to change in an account; None leaves a value as it is."""

    email: str | None = None
    email_verified: bool | None = None
    display_name: str | None = None
    role: str | None = None
    super_admin: bool | None = None  # PhotoPrism's word for an admin whom it shows as first; makes an admin of anybody
    claims: Mapping[str, Any] | None = None
    enabled: bool | None = None
    password: str | None = None
    must_change_password: bool | None = None  # pages ask for a new one; a new password answers that


class Users:
    """Accounts, and every rule about them. What changes one says by whom, for the audit.

    Args:
        sign_outs: what is to be done where somebody's sign-ins end.
        own_names: names of this server, which are no passwords.
    """

    def __init__(
        self,
        records: Records,
        tokens: Tokens,
        passwords: Passwords,
        sign_outs: SignOuts,
        audit: Audit,
        clock: Clock,
        random: Random,
        own_names: Sequence[str] = (),
    ) -> None:
        self._records, self._tokens, self._passwords, self._audit = records, tokens, passwords, audit
        self._sign_outs = sign_outs
        self._clock, self._random, self._own_names = clock, random, own_names

    def add(
        self,
        name: str,
        password: str,
        changes: Changes,
        *,
        must_change: bool = False,
        by: Actor = SERVER,
    ) -> User:
        """Create an account.

        Args:
            name: 1 to 255 characters; kept trimmed and in lower case.
            password: as `passwords.check_new` wants it; only its hash is kept.
            must_change: whether the pages ask for a new password at the first login.

        Raises:
            InvalidInput: a value has not the right form.
            Conflict: the name is taken by a user or a client.
        """
        cleaned = self.check_name(name)
        now = self._clock()
        user = User(
            uid=credentials.new_uid(self._random, "u", now),
            name=cleaned,
            role=roles.USER,
            created_at=now,
            updated_at=now,
            must_change_password=must_change,
        )
        user = self._changed(user, changes)
        text = check_new(password, self._expected(user))
        user = self._records.users.add(replace(user, password_hash=self._passwords.hash(text)))
        self._audit.change("user.add", by, uid=user.uid, name=user.name, role=user.role)
        return user

    def find(self, name: str) -> User:
        """Return the account with this name or uid.

        Raises:
            NotFound: there is none.
        """
        user = self._records.users.by_name(clean_name(name)) or self._records.users.get(name)
        if user is None:
            raise NotFound(f"there is no user {name!r}; see: auth-server users ls")
        return user

    def change(
        self,
        uid: str,
        changes: Changes,
        by: Actor = SERVER,
        *,
        keep_admin: bool = True,
        password_version: int | None = None,
        keep_sid: str = "",
    ) -> User:
        """Change an account. A new password, role or the end of its right to log in ends its sessions at once.

        Args:
            keep_admin: whether the last admin who can sign in stays one; a restore must not ask for that (S-138).
            password_version: that of the account when the one who asks was looked at; None for those who need none.
            keep_sid: of the sign-in on our pages in which it is done, and which goes on.

        Raises:
            InvalidInput: a value has not the right form.
            NotFound: the account is gone.
            Conflict: nobody would be admin any more, or the account has another password version.
        """
        hashed = ""
        current = self._records.users.get(uid)
        if changes.password is not None and current is not None:
            text = check_new(changes.password, self._expected(self._changed(current, changes)))
            hashed = self._passwords.hash(text)

        def apply(user: User) -> User:
            if password_version not in (None, user.password_version):
                raise Conflict("the account was changed meanwhile; sign in again")
            changed = self._changed(user, changes)
            if hashed:
                changed = replace(
                    changed, password_hash=hashed, must_change_password=bool(changes.must_change_password)
                )
            disabled = user.enabled and not changed.enabled  # for good: not alive again when it is enabled again
            rights = (changed.role, changed.super_admin) != (user.role, user.super_admin)
            if hashed or disabled or rights:
                changed = replace(changed, password_version=user.password_version + 1)
            return replace(changed, token_version=user.token_version + disabled, updated_at=self._clock())

        with _explained():
            user = self._records.users.change(uid, apply, keep_one=roles.ADMIN if keep_admin else "")
        if changes.enabled is False or current is None or current.password_version != user.password_version:
            self._sign_outs.end_all(uid, keep_sid)
        if changes.enabled is False:
            self._tokens.revoke_user(uid)
        changed = [name for name, value in vars(changes).items() if value is not None]
        self._audit.change("user.change", by, uid=uid, name=user.name, changed=changed)
        return user

    def check_password(self, user: User, password: str) -> None:
        """See whether a password will be taken for an account's new one; `add` and `change` see to it themselves.

        Raises:
            InvalidInput: no; the reason says why, and what to do.
        """
        check_new(password, self._expected(user))

    def update(self, uid: str, function: Callable[[User], User]) -> User:
        """Change what no rule guards: a better hash."""
        return self._records.users.change(uid, function)

    def remove(self, uid: str, by: Actor = SERVER, *, keep_admin: bool = True) -> None:
        """Remove an account with all it holds; the name may be given again, to another uid (S-130).

        Args:
            keep_admin: whether the last admin who can sign in stays; without any, the next start makes a first one.

        Raises:
            NotFound: there is none.
            Conflict: nobody would be admin any more.
            Unavailable: the text says it if the account is removed.
        """
        user = self._records.users.get(uid)
        with _explained():
            removed = self._records.users.remove(uid, keep_one=roles.ADMIN if keep_admin else "")
        if user is None or not removed:
            raise NotFound(f"there is no user {uid!r}")
        self._audit.change("user.remove", by, uid=uid, name=user.name)
        with tidying_up(f"the user {user.name!r}", "let them expire"):
            self._sign_outs.end_all(uid)
            self._tokens.revoke_user(uid)

    def sign_out_everywhere(self, uid: str, by: Actor) -> None:
        """End all sessions of an account, on every device; app passwords live on.

        Raises:
            NotFound: the account is gone.
        """

        def end(user: User) -> User:
            return replace(user, password_version=user.password_version + 1, updated_at=self._clock())

        user = self._records.users.change(uid, end)
        self._sign_outs.end_all(uid)
        self._audit.change("user.sign_out", by, uid=uid, name=user.name)

    def page(self, search: str, page: Page) -> Sequence[User]:
        """Return accounts by name; *search* is a prefix of name, uid or email."""
        return self._records.users.page(search, page)

    def any(self) -> bool:
        """Tell whether there is an account at all."""
        return bool(self._records.users.page("", Page(1)))

    def check_name(self, name: str) -> str:
        """Return the name of a new account as it will be kept; `add` sees to it itself.

        Raises:
            InvalidInput: it cannot be one.
            Conflict: it is taken by a user.
        """
        cleaned = clean_name(name)
        if not cleaned or len(cleaned.encode("utf-8", "replace")) > MAX_NAME or not cleaned.isprintable():
            raise InvalidInput("name", f"must have 1 to {MAX_NAME} printable characters")
        if cleaned == "visitor" or re.fullmatch(r"[cu][0-9a-z]{15}", cleaned):
            raise InvalidInput("name", "is reserved, or looks like an id; choose another one")
        if self._records.users.by_name(cleaned) is not None:
            raise Conflict(f"there is a user {cleaned!r} already; change it with: auth-server users mod {cleaned}")
        return cleaned

    def _expected(self, user: User) -> Iterator[str]:
        """What somebody who knows the person and this server tries first (S-074)."""
        yield from self._own_names
        yield from (user.name, user.email, user.email.partition("@")[0])
        yield from (user.display_name, *user.display_name.split())

    def _changed(self, user: User, changes: Changes) -> User:
        if changes.email is not None:
            if changes.email and not _EMAIL(changes.email):
                raise InvalidInput("email", "must look like name@example.org")
            verified = user.email_verified and changes.email == user.email
            user = replace(user, email=changes.email, email_verified=verified)
        if changes.email_verified is not None:
            user = replace(user, email_verified=changes.email_verified)
        if changes.display_name is not None:
            if len(changes.display_name) > MAX_NAME or any(ord(c) < 32 for c in changes.display_name):
                raise InvalidInput("display-name", f"must have at most {MAX_NAME} characters on one line")
            user = replace(user, display_name=changes.display_name)
        if changes.role is not None:
            if changes.role not in roles.USER_ROLES:
                raise InvalidInput("role", f"{changes.role} is not one of {', '.join(roles.USER_ROLES)}")
            user = replace(user, role=changes.role)
        if changes.super_admin:
            if changes.role not in (None, roles.ADMIN):
                raise InvalidInput("superadmin", f"is not for role {changes.role}; leave one of the two out")
            user = replace(user, role=roles.ADMIN, super_admin=True)
        elif changes.super_admin is False or user.role != roles.ADMIN:
            user = replace(user, super_admin=False)
        if changes.claims is not None:
            plain_json.check("claim", dict(changes.claims), MAX_CLAIMS)
            for name in changes.claims:
                if name in _REGISTERED_CLAIMS:
                    raise InvalidInput("claim", f"{name} is set by the server itself; choose another name")
            user = replace(user, claims=dict(changes.claims))
        if changes.enabled is not None:
            user = replace(user, enabled=changes.enabled)
        return user


def described(user: User) -> dict[str, Any]:
    """Return an account as it is shown; nothing of its password."""
    return {
        "uid": user.uid,
        "name": user.name,
        "email": user.email or None,
        "email_verified": user.email_verified,
        "display_name": user.display_name or None,
        "role": user.role,
        "super_admin": user.super_admin,
        "auth_method": user.auth_method,
        "enabled": user.enabled,
        "claims": dict(user.claims),
        "must_change_password": user.must_change_password,
        "login_at": rfc3339(user.login_at),
        "created_at": rfc3339(user.created_at),
        "updated_at": rfc3339(user.updated_at),
    }
