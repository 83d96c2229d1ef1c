"""The pool that hashes passwords."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher

from auth_server.domain.passwords import Passwords
from tests import proves


class Slow(PasswordHasher):
    """A hasher that counts its hashes, and how many of them wait in it at once."""

    def __init__(self) -> None:
        super().__init__(1, 8, 1)
        self.hashes = self.running = self.most = 0
        self.lock = threading.Lock()

    def hash(self, *arguments: Any, **more: Any) -> str:
        with self.lock:
            self.hashes += 1
            self.running += 1
            self.most = max(self.most, self.running)
        threading.Event().wait(0.01)
        try:
            return super().hash(*arguments, **more)
        finally:
            with self.lock:
                self.running -= 1


@proves("S-139")
@pytest.mark.parametrize(("threads", "places"), [(1, 1), (2, 1), (3, 1)])
def test_half_of_the_threads_are_left_to_others(threads: int, places: int):
    """However many cores there are."""
    hasher = Slow()
    passwords = Passwords(hasher, threads=threads)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(passwords.hash, ["password"] * 8))
    assert hasher.most == places


@proves("S-068")
def test_a_warm_pool_has_its_hash_for_nobody():
    """The first unknown user costs one hash, like all others."""
    hasher = Slow()
    passwords = Passwords(hasher)
    passwords.warm()
    passwords.warm()
    assert hasher.hashes == 1
    assert not passwords.verify("password", "")
    assert hasher.hashes == 1
