"""The second factor: verification codes by time (RFC 6238), and a recovery code (photoprism-contract section 6)."""

import base64
import re
from dataclasses import dataclass, replace
from hmac import compare_digest

from auth_server.clock import Clock, Random
from auth_server.domain import credentials
from auth_server.domain.audit import SERVER, Actor, Audit
from auth_server.domain.passwords import Passwords
from auth_server.domain.sealing import Sealing
from auth_server.domain.sign_outs import SignOuts
from auth_server.domain.throttles import Throttles
from auth_server.domain.tokens import Token, Tokens
from auth_server.errors import Conflict, NotFound, PasscodeInvalid, PasscodeRequired
from auth_server.store.records import Passcode, Records, User

TYPE = "totp"
KEY_BYTES, DIGITS, PERIOD = 20, 6, 30  # RFC 4226 §4 R6; what every authenticator app can do
SKEW = 1  # steps of the clock that a code may be early or late (RFC 6238 §5.2)
RECOVERY_LENGTH = 12
MAX_CODE = 36  # bytes of what may be typed as a code
_DROPPED = re.compile(r"[^0-9a-z]", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewPasscode:
    """A key that was just made; its secrets are shown this once."""

    passcode: Passcode
    secret: str
    recovery_code: str


def clean_code(text: str) -> str:
    """Return a code as it is compared, so that `123 456` works; nothing where it is too long to be one."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_CODE:
        return ""
    return _DROPPED.sub("", text.lower())


def is_on(user: User) -> bool:
    """Tell whether an account asks for a code."""
    return user.auth_method == "2fa"


class SecondFactor:
    """Keys for verification codes, and every rule about them.

    An account has at most one key in force and one that waits: the new one counts when it is activated, and until
    then the old one does.
    """

    def __init__(
        self,
        records: Records,
        tokens: Tokens,
        sealing: Sealing,
        passwords: Passwords,
        throttles: Throttles,
        sign_outs: SignOuts,
        audit: Audit,
        clock: Clock,
        random: Random,
    ) -> None:
        self._records, self._tokens, self._sealing, self._passwords = records, tokens, sealing, passwords
        self._throttles, self._sign_outs = throttles, sign_outs
        self._audit, self._clock, self._random = audit, clock, random

    # ---- use
    def check(self, user: User, code: str, address: str) -> User:
        """Take the code of a person whose password was right; of one without a second factor none is asked.

        What took tries for the password gives them back on `PasscodeRequired`, and keeps them on `PasscodeInvalid`.

        Args:
            code: as typed, empty if none was; a right one is used up by this, and a recovery code ends the factor.
            address: of the peer, for the audit.

        Returns:
            The account as it is now.

        Raises:
            PasscodeRequired: none was given, and the account asks for one.
            PasscodeInvalid: it is wrong, or was used before.
            Throttled: too many wrong ones for this account, from wherever; the code was not looked at.
        """
        if not is_on(user):
            return user
        cleaned = clean_code(code)
        if not cleaned:
            raise PasscodeRequired
        charge = self._throttles.code(user.uid, address)
        with charge.unless_unavailable():
            passcode = self._records.passcodes.get(user.uid, active=True)
            checked = self._checked(user, passcode, cleaned, address) if passcode else None
        if checked is None:
            self._throttles.failed_login(user.name)
            self._audit.record("passcode.check", "failed", actor=user.uid, address=address)
            raise PasscodeInvalid
        charge.give_back()
        return checked

    def _checked(self, user: User, passcode: Passcode, code: str, address: str) -> User | None:
        """Return the account if the code is right and was not used up."""
        if len(code) != RECOVERY_LENGTH:
            step = self._step(passcode, code)
            return user if step and self._records.passcodes.redeem(passcode, step) else None
        if not self._passwords.verify(code, passcode.recovery_hash):
            return None
        recovered = self._records.passcodes.remove(user.uid, self._without, only=passcode)
        if recovered is not None:
            self._audit.change("passcode.recover", Actor(user.uid, address=address), uid=user.uid)
        return recovered

    def _step(self, passcode: Passcode, code: str) -> int:
        """Return the newest step that *code* belongs to and that is near enough; 0 if there is none."""
        from pyotp import TOTP  # loaded with the first code

        key = self._sealing.open(passcode.sealed, _purpose(passcode.uid))
        codes = TOTP(base64.b32encode(key).decode(), digits=DIGITS, interval=PERIOD)
        now = self._clock() // PERIOD
        near = range(now - SKEW, now + SKEW + 1)
        return max([step for step in near if compare_digest(codes.generate_otp(step), code)], default=0)

    # ---- set-up
    def create(self, user: User, by: Actor) -> NewPasscode:
        """Make a key that waits to be confirmed and activated; the caller has asked for password and code.

        Raises:
            NotFound: the account is gone.
            Unavailable: too many hashes at once.
        """
        now, key = self._clock(), self._random(KEY_BYTES)
        recovery_code = credentials.random_text(self._random, credentials.BASE36, RECOVERY_LENGTH)
        hashed = self._passwords.hash(recovery_code)
        passcode = Passcode(user.uid, self._sealing.seal(key, _purpose(user.uid)), hashed, now, now, type=TYPE)
        self._records.passcodes.put(passcode)
        self._audit.change("passcode.create", by, uid=user.uid)
        return NewPasscode(passcode, base64.b32encode(key).decode(), recovery_code)

    def confirm(self, user: User, code: str, by: Actor) -> Passcode:
        """Take the first code of a key that waits, or one of the key in force; the recovery code proves no set-up.

        Raises:
            PasscodeInvalid: it is wrong or was used before, or there is no key.
            Throttled: too many wrong ones for this account; the code was not looked at.
        """
        passcode = self._newest(user.uid)
        if passcode is None:
            raise PasscodeInvalid
        now = self._clock()
        charge = self._throttles.code(user.uid, by.address)
        with charge.unless_unavailable():
            step = self._step(passcode, clean_code(code))
            done = bool(step) and self._records.passcodes.redeem(passcode, step, verified_at=now)
        if not done:
            self._audit.record("passcode.confirm", "failed", actor=by.name, address=by.address)
            raise PasscodeInvalid
        charge.give_back()
        self._audit.change("passcode.confirm", by, uid=user.uid)
        return replace(passcode, last_step=step, verified_at=now, updated_at=now)

    def activate(self, user: User, session: Token, by: Actor) -> Passcode:
        """Put the confirmed key in force: from now on the account asks for a code.

        All sessions end but the one in which this is done; app passwords and what they made live on.

        Raises:
            Conflict: no key waits, or it is not confirmed.
        """
        passcode, now = self._records.passcodes.get(user.uid, active=False), self._clock()
        changed = self._records.passcodes.activate(passcode, now, self._with) if passcode else None
        if passcode is None or changed is None:
            raise Conflict("there is no confirmed key that waits to be activated")
        self._sign_outs.end_all(user.uid)
        self._tokens.carry_over(session, changed)
        self._audit.change("passcode.activate", by, uid=user.uid)
        return replace(passcode, active=True, activated_at=now, updated_at=now)

    def deactivate(self, user: User, by: Actor) -> None:
        """Take all keys of an account away: it asks for no code any more.

        Raises:
            NotFound: it has none.
        """
        self._remove(user.uid, "passcode.deactivate", by)

    def reset(self, uid: str, by: Actor = SERVER) -> None:
        """Take a person's keys away in their place, who has lost them.

        Raises:
            NotFound: there are none.
        """
        self._remove(uid, "passcode.reset", by)

    def adopt(self, passcode: Passcode) -> None:
        """Put the key in force that another store of this server has in force, with what it knows of used codes."""
        waiting = replace(passcode, active=False)
        self._records.passcodes.put(waiting)
        self._records.passcodes.activate(waiting, passcode.activated_at or self._clock(), self._with)

    def _remove(self, uid: str, event: str, by: Actor) -> None:
        if self._records.passcodes.remove(uid, self._without) is None:
            raise NotFound("the account has no second factor")
        self._audit.change(event, by, uid=uid)

    def _with(self, user: User) -> User:
        return replace(user, auth_method="2fa", password_version=user.password_version + 1, updated_at=self._clock())

    def _without(self, user: User) -> User:
        return replace(user, auth_method="default", updated_at=self._clock())

    def _newest(self, uid: str) -> Passcode | None:
        passcodes = self._records.passcodes
        return passcodes.get(uid, active=False) or passcodes.get(uid, active=True)


def _purpose(uid: str) -> str:
    """To what a sealed key is bound: it opens for no other account."""
    return f"passcode {uid}"
