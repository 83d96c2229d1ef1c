"""Which passwords are taken for new ones, and the pool that hashes them."""

import gzip
import subprocess
import sys
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from auth_server.domain import common_passwords
from auth_server.domain.passwords import Passwords, check_new
from auth_server.domain.users import Changes
from auth_server.errors import InvalidInput, Refused, Unavailable
from tests import proves
from tests.people import PASSWORD, join, login
from tests.sites import site

ROOT = Path(__file__).parents[2]


class Slow(PasswordHasher):
    """A hasher that counts its hashes, and how many of them wait in it at once."""

    def __init__(self) -> None:
        super().__init__(1, 8, 1)
        self.hashes = self.running = self.most = 0
        self.lock = threading.Lock()
        self.go_on = threading.Event()
        self.go_on.set()

    def hash(self, *arguments: Any, **more: Any) -> str:
        with self.lock:
            self.hashes += 1
            self.running += 1
            self.most = max(self.most, self.running)
        self.go_on.wait(10)
        try:
            return super().hash(*arguments, **more)
        finally:
            with self.lock:
                self.running -= 1


def is_full(passwords: Passwords) -> bool:
    """Tell whether one more would be refused."""
    try:
        passwords.ensure_room()
    except Unavailable:
        return True
    return False


@proves("S-139")
@pytest.mark.parametrize(
    ("threads", "processes", "places", "room"),
    [(1, 1, 1, 1), (2, 1, 1, 1), (3, 1, 1, 2), (4, 64, 1, 3), (64, 64, 1, 63)],
)
def test_one_thread_is_left_to_others(threads: int, processes: int, places: int, room: int):
    """Half of them hash at most, and no more than their share of the cores; whoever finds no room is told at once."""
    hasher = Slow()
    passwords = Passwords(hasher, threads=threads, processes=processes)
    hasher.go_on.clear()
    with ThreadPoolExecutor(room) as pool:
        under_way = [pool.submit(passwords.hash, "password") for _ in range(room)]
        deadline = time.monotonic() + 10
        while not is_full(passwords):
            assert time.monotonic() < deadline
        for refused in (passwords.ensure_room, lambda: passwords.hash("password"), lambda: passwords.verify("x", "")):
            with pytest.raises(Unavailable) as told:
                refused()
            assert told.value.retry_after == 5
        hasher.go_on.set()
        assert len({done.result() for done in under_way}) == room
    assert hasher.most == places
    passwords.ensure_room()


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


@proves("S-074")
@pytest.mark.parametrize(
    "password",
    [
        "a" * 3 + "b" * 61,
        " starts and ends with blanks ",
        "correct horse battery staple",
        "Κόκκινο βράδυ 7",
        "\N{CROISSANT}\N{WHALE}" * 4,
        "x" + "\N{CROISSANT}" * 255,
        "tab\tand\nnew line",
        "onlyletters and no digit",
        "password and then some",
    ],
)
def test_what_is_long_enough_and_unexpected_is_taken_as_it_is(password: str):
    """No rule says of what it must consist; nothing is trimmed or cut."""
    assert check_new(password, ("jane",)) == password


@proves("S-074")
@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("seven-7", "must have at least 8 characters"),
        ("", "must have at least 8 characters"),
        ("e\u0301" * 7, "must have at least 8 characters"),
        ("x" * 257, "must have at most 256 characters and 1024 bytes"),
        ("\N{MERPERSON}" * 256 + "x", "must have at most 256 characters and 1024 bytes"),
    ],
)
def test_too_short_and_too_long_are_told(password: str, reason: str):
    """Characters are counted after normalisation: an accent is none of its own."""
    with pytest.raises(InvalidInput) as told:
        check_new(password)
    assert (told.value.field, told.value.reason) == ("password", reason)
    assert not isinstance(told.value, Refused)


@proves("S-074")
@pytest.mark.parametrize(
    "password",
    [
        "password",
        "Password1",
        "PASSWORD123",
        "12345678",
        "1234567890",
        "qwertyuiop",
        "iloveyou",
        "trustno1",
        "1q2w3e4r",
        "letmein123",
        "11111111",
        "administrator",
        "sunshine",
        "responsibility",
        "christopher",
    ],
)
def test_what_is_tried_first_is_refused(password: str):
    """In whatever case; the reason says why and what to do."""
    with pytest.raises(Refused, match=r"list of common passwords.*take another one"):
        check_new(password)


def test_the_list_is_exact_and_long_enough():
    """The whole password counts, not a part of it; ASVS 6.2.4 asks for 3,000 words that fit the length."""
    listed = gzip.decompress(common_passwords.FILE.read_bytes()).decode().split("\n")
    assert len(listed) > 3000
    assert listed == sorted(set(listed))
    assert all(len(word) >= 8 and unicodedata.normalize("NFC", word).casefold() == word for word in listed)
    assert all(map(common_passwords.has, (listed[0], listed[-1])))
    assert not any(map(common_passwords.has, ("", "\n", "password\npassword1", "sunshin", "unshine1", "whale-42-si")))


def test_the_list_is_what_its_tool_writes():
    """From the packages that are locked for development."""
    command = [sys.executable, "tools/common_passwords.py", "--check"]
    subprocess.run(command, cwd=ROOT, check=True)


@proves("S-074")
@pytest.mark.parametrize(
    "password",
    ["Jane.Fairfax", "JANE@highbury.EXAMPLE", "jane.doe", "Highbury", "Hartfield Highbury", "AUTH.example.org"],
)
def test_names_of_the_person_and_of_the_server_are_refused(tmp_path: Path, password: str):
    """Whether the password is given with them or later; as long as it is all of it."""
    here = site(tmp_path, signing_algs=["ES256"], issuer="https://auth.example.org")
    named = Changes(email="jane@highbury.example", display_name="Hartfield Highbury")
    other = Changes(email="jane.doe@highbury.example", display_name="Hartfield Highbury")
    join(here, "late", "user", PASSWORD)
    users = here.server.users
    late = users.find("late")
    changes = other if password == "jane.doe" else named
    with pytest.raises(Refused, match="must not be the user name"):
        users.add("jane.fairfax", password, changes)
    assert here.server.records.users.by_name("jane.fairfax") is None
    jane = users.add("jane.fairfax", PASSWORD, changes)
    with pytest.raises(Refused, match="must not be the user name"):
        users.change(jane.uid, Changes(password=password))
    if password != "Jane.Fairfax":
        with pytest.raises(Refused, match="must not be the user name"):
            users.change(late.uid, Changes(password=password, email=changes.email, display_name=changes.display_name))
    assert users.find("late") == late
    assert users.change(jane.uid, Changes(password=f"{password} and more")).password_version == 2


@proves("S-074")
def test_a_password_counts_in_whatever_form_it_is_typed(tmp_path: Path):
    """Composed or not, all 64 characters of it and not one less."""
    here = site(tmp_path, signing_algs=["ES256"])
    password = (" caf\u00e9 au lait" * 5)[:64]
    join(here, password=password)
    assert login(here, password=unicodedata.normalize("NFD", password)).status_code == 200
    for wrong in (password[:-1], password.strip(), f"{password} ", password.upper()):
        assert login(here, password=wrong).status_code == 401
