"""Two hundred logins at once: a bounded number of hashes, and everybody else is served meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from argon2 import PasswordHasher

from auth_server.domain.passwords import Passwords
from tests import proves
from tests.servers.visitors import INTROSPECT, SESSION, Answer, Visitor


class Watched(PasswordHasher):
    """A hasher that counts how many of its hashes run at once, and waits until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.running = self.most = 0
        self.two = threading.Event()
        self.go_on = threading.Event()
        self._lock = threading.Lock()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            if self.running == 2:
                self.two.set()
        self.go_on.wait(10)
        try:
            return super().hash(password, salt=salt)
        finally:
            with self._lock:
                self.running -= 1


@proves("S-139")
def test_no_more_hashes_run_than_there_are_places():
    """With two places the third hash waits for one of them."""
    hasher = Watched()
    passwords = Passwords(hasher, at_once=2, threads=21)
    with ThreadPoolExecutor(20) as pool:
        hashes = [pool.submit(passwords.hash, f"password-{number}") for number in range(20)]
        assert hasher.two.wait(10)
        hasher.go_on.set()
        assert len({done.result() for done in hashes}) == 20
    assert hasher.most == 2


@proves("S-139", "S-065")
def test_a_crowd_at_the_door_is_answered(visitor: Visitor):
    """Each of many parallel logins gets 401, 429 or 503, and introspection goes on."""
    client = visitor.client("introspect")
    token = visitor.token(client)

    def guess(number: int) -> int:
        body = {"username": f"nobody{number}", "password": "Wrong-password-1"}
        return visitor.call("POST", SESSION, json_body=body).status

    with ThreadPoolExecutor(30) as pool:
        guesses = [pool.submit(guess, number) for number in range(60)]
        asked = [visitor.post(INTROSPECT, {"token": token}, basic=client.basic) for _ in range(20)]
        statuses = {done.result() for done in guesses}
    assert statuses <= {401, 429, 503}
    assert 429 in {guess(number) for number in range(11)}
    assert all(answer.status == 200 and answer.json["active"] for answer in asked)


@proves("S-139")
def test_a_crowd_that_changes_passwords_is_answered(visitor: Visitor):
    """Each from an address of its own: 200, or 503 and then nothing is changed; introspection goes on."""
    client = visitor.client("introspect")
    token = visitor.token(client)
    users = visitor.server.inside.records.users
    one = visitor.user()
    uids = [f"{one.uid[:-3]}{number:03}" for number in range(60)]
    people = [users.add(replace(one, uid=uid, name=uid[1:], number=0)) for uid in uids]
    sessions = [visitor.session(person) for person in people]

    def change(number: int) -> Answer:
        body = {"old": "Blue-whale-42-sings", "new": f"five grey herons drink rain {number}"}
        path = f"/api/v1/users/{people[number].uid}/password"
        return Visitor(visitor.server).call("PUT", path, json_body=body, bearer=sessions[number])

    with ThreadPoolExecutor(60) as pool:
        changes = [pool.submit(change, number) for number in range(60)]
        asked = [visitor.post(INTROSPECT, {"token": token}, basic=client.basic) for _ in range(20)]
        answers = [done.result() for done in changes]
    assert {answer.status for answer in answers} == {200, 503}
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status == 503)
    changed = [visitor.server.inside.users.find(person.uid).password_version == 2 for person in people]
    assert changed == [answer.status == 200 for answer in answers]
    assert all(answer.status == 200 and answer.json["active"] for answer in asked)
