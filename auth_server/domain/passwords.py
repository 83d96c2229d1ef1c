"""People's passwords: the rules for new ones, and Argon2id hashes made in a bounded pool."""

import os
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from auth_server.cores import usable
from auth_server.domain import common_passwords
from auth_server.errors import InvalidInput, Refused, Unavailable

MIN_CHARACTERS, MAX_CHARACTERS, MAX_BYTES = 8, 256, 1024
THREADS = 4  # of a process, where nothing else is known
ADVICE = "take another one, for example several words that do not belong together"
WAIT = 5.0  # seconds that a hash may wait for a free place
BUSY = ("too many logins at once", 5)  # seconds


def normalised(password: str) -> str:
    """Return the password in NFC (NIST SP 800-63B-4 §3.1.1.2); never trimmed or cut."""
    return unicodedata.normalize("NFC", password)


def is_possible(password: str) -> bool:
    """Tell whether *password* can be anybody's: within the limits, and encodable."""
    try:
        return 1 <= len(password) <= MAX_CHARACTERS and len(password.encode()) <= MAX_BYTES
    except UnicodeEncodeError:  # lone surrogates
        return False


def check_new(password: str, expected: Iterable[str] = ()) -> str:
    """Return a new password in normal form, by NIST SP 800-63B-4 §3.1.1.2: no rule says of what it must consist.

    Args:
        expected: names of its owner and of this server; it must not be one of them, in whatever case.

    Raises:
        InvalidInput: it is too short or too long; the reason says which.
        Refused: it is what a guesser tries first.
    """
    text = normalised(password)
    if len(text) < MIN_CHARACTERS:
        raise InvalidInput("password", f"must have at least {MIN_CHARACTERS} characters")
    if not is_possible(text):
        raise InvalidInput("password", f"must have at most {MAX_CHARACTERS} characters and {MAX_BYTES} bytes")
    folded = text.casefold()
    if folded in {normalised(word).casefold() for word in expected}:
        raise Refused("password", f"must not be the user name, another name of the person, or this server's; {ADVICE}")
    if common_passwords.has(folded):
        raise Refused("password", f"is on the list of common passwords and words, which are tried first; {ADVICE}")
    return text


class Passwords:
    """Argon2id with m=19456 KiB, t=2, p=1 (OWASP); a bounded number of hashes at once (docs/decisions/0013).

    One thread goes on serving whatever comes: it neither hashes nor waits for a place to. Who finds all the others
    taken is refused at once, for whom a thread waits for, everybody behind it waits for too (S-139).

    Args:
        at_once: how many hashes; by default this process' share of the cores, but half of its threads at most.
        threads: of this process.
        processes: that share the cores.
    """

    def __init__(
        self,
        hasher: PasswordHasher | None = None,
        at_once: int | None = None,
        threads: int | None = None,
        processes: int = 1,
    ) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
        threads = threads or THREADS
        places = at_once or max(1, min(len(usable()) // processes, threads // 2))
        self._places = threading.BoundedSemaphore(places)
        self._room = max(places, threads - 1)  # for those who hash, and who wait
        self._counting = threading.Lock()
        self._nobody = ""  # a hash that no password fits, so that unknown users cost the same time

    def hash(self, password: str) -> str:
        """Return the encoded hash of a password.

        Raises:
            Unavailable: too many hashes are under way.
        """
        with self._place():
            return self._hasher.hash(normalised(password))

    def verify(self, password: str, stored: str) -> bool:
        """Tell whether *password* fits the *stored* hash; an empty one fits nothing but costs the same time.

        Raises:
            Unavailable: too many hashes are under way.
        """
        if not is_possible(password):
            password = "\N{REPLACEMENT CHARACTER}"
            stored = ""
        known = bool(stored)
        stored = stored or self._nobody or self._make_nobody()
        try:
            with self._place():
                return self._hasher.verify(stored, normalised(password)) and known
        except (Argon2Error, InvalidHashError):
            return False

    def is_outdated(self, stored: str) -> bool:
        """Tell whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def warm(self) -> None:
        """Make before a fork what the first unknown user would need, who would else take twice the time."""
        if not self._nobody:
            self._make_nobody()

    def _make_nobody(self) -> str:
        self._nobody = self.hash(os.urandom(16).hex())
        return self._nobody

    def ensure_room(self) -> None:
        """Refuse early what would be refused, before anything is written for it.

        Raises:
            Unavailable: too many hashes are under way.
        """
        if self._room <= 0:
            raise Unavailable(*BUSY)

    @contextmanager
    def _place(self) -> Iterator[None]:
        with self._counting:
            self.ensure_room()
            self._room -= 1
        try:
            if not self._places.acquire(timeout=WAIT):
                raise Unavailable(*BUSY)
            try:
                yield
            finally:
                self._places.release()
        finally:
            with self._counting:
                self._room += 1
