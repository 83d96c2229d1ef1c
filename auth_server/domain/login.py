"""One rule for signing in by password, on every door: throttles first, then equal work for everybody."""

from contextlib import suppress
from dataclasses import dataclass, replace

from auth_server.clock import Clock
from auth_server.domain import credentials, scopes
from auth_server.domain.audit import Audit
from auth_server.domain.passwords import Passwords
from auth_server.domain.second_factor import SecondFactor, is_on
from auth_server.domain.throttles import Charge, Throttles
from auth_server.domain.tokens import Token, Tokens
from auth_server.domain.users import Users, clean_name
from auth_server.errors import LoginFailed, NotFound, PasscodeInvalid, PasscodeRequired, Throttled, Unavailable
from auth_server.metrics import Metrics
from auth_server.store.records import Records, User

MAX_NAME = 64  # bytes of a user name at login
BY_PASSWORD, BY_APP_PASSWORD = "login.password", "login.app_password"
_CREATE = frozenset(("create",))


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in, and how.

    Args:
        app_password: what stood in place of the password.
        with_code: whether a verification or recovery code was asked for too.
    """

    user: User
    app_password: Token | None = None
    with_code: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try that the throttles have let through and are paid for."""

    account: str
    user: User | None
    address: str
    charge: Charge


class Login:
    """Checks passwords of people, and the codes of those who have a second factor."""

    def __init__(
        self,
        records: Records,
        users: Users,
        tokens: Tokens,
        passwords: Passwords,
        second_factor: SecondFactor,
        throttles: Throttles,
        audit: Audit,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._records, self._users, self._tokens, self._passwords = records, users, tokens, passwords
        self._second_factor = second_factor
        self._throttles, self._audit, self._metrics, self._clock = throttles, audit, metrics, clock

    def by_password(self, name: str, password: str, address: str, code: str = "", cost: int = 1) -> User:
        """Return the person whose password this is, and whose code, if they have a second factor.

        An app password is no password. An unknown name, a wrong password and a disabled account cost the same time
        and end alike (S-068); of a code nothing is said before the password is right.

        Args:
            name: as typed.
            password: as typed; never logged.
            address: of the peer, for the throttles.
            code: as typed; a right one is used up.
            cost: tries that it takes from the address.

        Raises:
            LoginFailed: no.
            PasscodeRequired: the password is right; no tries were taken.
            PasscodeInvalid: the password is right, the code is not.
            Throttled: too many tries; the password, or else the code, was not looked at.
            Unavailable: too many hashes at once, or the store is away.
        """
        self._passwords.ensure_room()
        return self._by_password(self.begin(name, address, cost), password, code).user

    def by_password_or_app_password(
        self, name: str, password: str, address: str, code: str = "", cost: int = 1
    ) -> SignedIn:
        """Return who signs in, like `by_password`, but take one of their app passwords in place of the password.

        An app password must be that person's own, and its scope must cover creating sessions; no code is asked for
        beside it. What has an app password's form but is none is tried as an ordinary password
        (photoprism-contract section 3).

        It does not end the account's row of failures, nor make the address a known one: a program may hold it.
        """
        is_app_password = credentials.is_app_password(password)
        if not is_app_password:
            self._passwords.ensure_room()
        attempt = self.begin(name, address, cost)
        with attempt.charge.unless_unavailable():
            living = self._tokens.find(password) if is_app_password else None
        if living is None:
            return self._by_password(attempt, password, code)
        user, token = attempt.user, living.token
        if user is None or token.subject != user.uid or not scopes.covers(token.scope, "sessions", _CREATE):
            raise self._failed(attempt, BY_APP_PASSWORD)
        attempt.charge.give_back()
        self._succeeded(user, address, BY_APP_PASSWORD)
        return SignedIn(user, token)

    def by_code(self, user: User, code: str, address: str) -> User:
        """Return a person whose password was right a moment ago, and now the code.

        Raises:
            LoginFailed: the account does not count any more.
            PasscodeRequired, PasscodeInvalid: the code is missing, or not right.
            Throttled: too many wrong ones of this account.
        """
        attempt = self.begin(user.name, address)
        checked = self._with_code(attempt, user, code)
        with attempt.charge.unless_unavailable():
            noted = self._records.users.note_login(user.uid, self._clock(), checked.password_version)
        if not noted:
            raise self._failed(attempt, BY_PASSWORD)
        attempt.charge.give_back()
        self._throttles.succeeded_login(attempt.account, user.uid, address)
        self._succeeded(checked, address, BY_PASSWORD)
        return checked

    def begin(self, name: str, address: str, cost: int = 1) -> Attempt:
        """Take the tries of a check that is to follow, before anything is looked at.

        Raises:
            Throttled: there are too few.
        """
        account = clean_name(name)
        try:
            fits = 0 < len(account.encode("utf-8", "replace")) <= MAX_NAME
            user = self._records.users.by_name(account) if fits else None
            charge = self._throttles.login(address, account, user.uid if user else None, cost)
        except Throttled:
            self._metrics.login("throttled")
            raise
        return Attempt(account, user, address, charge)

    def confirm(self, attempt: Attempt, password: str, event: str) -> None:
        """Check the password of a person who is signed in; whether the tries come back is for the caller to say.

        Args:
            event: what it is asked for, for the audit of a failure.

        Raises:
            LoginFailed: it is another.
            Unavailable: too many hashes at once; the tries were given back.
        """
        with attempt.charge.unless_unavailable():
            right = self._passwords.verify(password, attempt.user.password_hash if attempt.user else "")
        if not right:
            raise self._failed(attempt, event)

    def _by_password(self, attempt: Attempt, password: str, code: str) -> SignedIn:
        user = attempt.user
        if not self._is_right(attempt, password) or user is None:
            raise self._failed(attempt, BY_PASSWORD)
        checked = self._with_code(attempt, user, code)
        with attempt.charge.unless_unavailable():
            noted = self._noted(checked, password)
        if noted is None:
            raise self._failed(attempt, BY_PASSWORD)
        attempt.charge.give_back()
        self._throttles.succeeded_login(attempt.account, noted.uid, attempt.address)
        self._succeeded(noted, attempt.address, BY_PASSWORD)
        return SignedIn(noted, with_code=is_on(user))

    def _is_right(self, attempt: Attempt, password: str) -> bool:
        user = attempt.user
        with attempt.charge.unless_unavailable():
            right = self._passwords.verify(password, user.password_hash if user else "")
        return right and user is not None and user.enabled

    def _with_code(self, attempt: Attempt, user: User, code: str) -> User:
        """Ask for a code where there is a second factor; only a wrong one costs the address and account tries."""
        try:
            return self._second_factor.check(user, code, attempt.address)
        except (PasscodeRequired, Throttled, Unavailable) as error:
            attempt.charge.give_back()
            if isinstance(error, Throttled):
                self._metrics.login("throttled")
            raise
        except PasscodeInvalid:
            self._metrics.login("failed")
            raise

    def _failed(self, attempt: Attempt, event: str) -> LoginFailed:
        """Count and note a failure; return the one error that tells of all of them."""
        self._throttles.failed_login(attempt.account)
        self._audit.record(event, "failed", actor=attempt.account, address=attempt.address)
        self._metrics.login("failed")
        return LoginFailed("Invalid credentials")

    def _succeeded(self, user: User, address: str, event: str) -> None:
        self._audit.record(event, actor=user.uid, address=address)
        self._metrics.login("ok")

    def _noted(self, user: User, password: str) -> User | None:
        """Note the time of the login, and replace a hash of older parameters.

        Returns:
            The account with that time; None if it is disabled, was removed meanwhile or has a new password.
        """
        now = self._clock()
        if not self._records.users.note_login(user.uid, now, user.password_version):
            return None
        if self._passwords.is_outdated(user.password_hash):
            self._rehash(user, password)
        return replace(user, login_at=now)

    def _rehash(self, user: User, password: str) -> None:
        def apply(current: User) -> User:
            return replace(current, password_hash=better) if current.password_hash == user.password_hash else current

        with suppress(NotFound, Unavailable):  # the next login does it
            better = self._passwords.hash(password)
            self._users.update(user.uid, apply)
