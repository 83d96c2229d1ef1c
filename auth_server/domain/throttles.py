"""Limits by address, account and client (CONTRACT section 5), shared by all workers through the state store."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from auth_server.clock import Clock
from auth_server.domain.audit import Audit
from auth_server.errors import Throttled, Unavailable
from auth_server.store.state import Entry, Kind, OnceKey, Rate, State

ACCOUNT = Rate(10, 60)
CLIENT = Rate(10, 60)
CODE = Rate(1, 900)
CODES = 5  # wrong verification codes of one account in 15 minutes
FAILURES = Rate(100, 30 * 86400)  # wrong passwords of one account in a row, from all addresses
KNOWN_ADDRESS_TTL = 90 * 86400  # seconds
QUIET = 600  # seconds in which all refusals of one bucket are one audit event


@lru_cache(4096)
def network(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 network of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "0.0.0.0"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, 64), strict=False).network_address)
    return address


@dataclass
class Charge:
    """Tries that were taken before a secret was looked at, to be given back if it was right."""

    throttles: "Throttles"
    drawn: list[tuple[str, int, Rate]]

    def give_back(self) -> None:
        for bucket, cost, rate in self.drawn:
            self.throttles.state.draw(bucket, -cost, rate, self.throttles.clock())
        self.drawn = []

    @contextmanager
    def unless_unavailable(self) -> Iterator[None]:
        """Give the tries back if it cannot be found out whether the secret is right."""
        try:
            yield
        except Unavailable:
            self.give_back()
            raise


class Throttles:
    """Token buckets for everything that can be guessed.

    Args:
        audit: is told when a bucket is found empty, but not of each refusal: strangers must not fill the store.
        login: of an address, for passwords and codes.
        auth: of an address, for unknown tokens.
    """

    def __init__(self, state: State, audit: Audit, clock: Clock, login: Rate, auth: Rate) -> None:
        self.state, self._audit, self.clock = state, audit, clock
        self._login, self._auth = login, auth

    def login(self, address: str, account: str, uid: str | None, cost: int = 1) -> Charge:
        """Take a try from the address and one from the account, before any hash is computed.

        Strangers share the account's tries, and after 100 failures in a row have none. An address that the account
        was used from has tries of its own, so that nobody is locked out by others' failures (S-065, S-067).

        Args:
            account: the user name as it is compared, known or not: both are throttled alike.
            uid: of the account, if there is one.

        Raises:
            Throttled: one of the two is exhausted; then nothing was taken.
        """
        now, here = self.clock(), network(address)
        known = uid is not None and self.state.get(Kind.KNOWN_ADDRESS, self._known(uid, address), now) is not None
        bucket = f"account:{_name(account)}:{here}" if known else f"account:{_name(account)}"
        charge = Charge(self, [])
        for name, price, rate in ((f"login:{here}", cost, self._login), (bucket, 1, ACCOUNT)):
            allowance = self.state.draw(name, price, rate, now)
            if not allowance.allowed:
                charge.give_back()
                raise self._refused(name, allowance.retry_after, "login.password", actor=account, address=address)
            charge.drawn.append((name, price, rate))
        failures = f"failures:{_name(account)}"
        row = self.state.draw(failures, 0, FAILURES, now)
        if not row.allowed and not known:
            charge.give_back()
            retry_after = min(row.retry_after, 3600)
            raise self._refused(failures, retry_after, "login.password", actor=account, address=address)
        return charge

    def check_login(self, address: str) -> None:
        """Before anything is looked at where a password or code is going to be asked for.

        Raises:
            Throttled: the address has not one try left.
        """
        self._draw(f"login:{network(address)}", 0, self._login, "login.password", address)

    def failed_login(self, account: str) -> None:
        """Count a wrong password in the account's row of failures."""
        self.state.draw(f"failures:{_name(account)}", 1, FAILURES, self.clock())

    def succeeded_login(self, account: str, uid: str, address: str) -> None:
        """End the row of failures, and remember the address as one that the account is used from."""
        now = self.clock()
        bucket = f"failures:{_name(account)}"
        self.state.draw(bucket, -FAILURES.burst, FAILURES, now)
        key = self._known(uid, address)
        if self.state.get(Kind.KNOWN_ADDRESS, key, now + KNOWN_ADDRESS_TTL // 2) is None:
            self.state.put(Kind.KNOWN_ADDRESS, Entry(key, now + KNOWN_ADDRESS_TTL, b"", subject=f"known:{uid}"), now)

    def code(self, uid: str, address: str) -> Charge:
        """Take a try for a verification code from the account, whatever the address.

        There are five, each a bucket of its own that is full again 15 minutes after its use: in no 15 minutes are
        there more. Neither a right password nor a right code gives back what wrong codes have taken (S-071).

        Raises:
            Throttled: none is left.
        """
        now, name = self.clock(), f"code:{_name(uid)}"
        soonest = CODE.refill
        for number in range(CODES):
            bucket = f"{name}:{number}"
            allowance = self.state.draw(bucket, 1, CODE, now)
            if allowance.allowed:
                return Charge(self, [(bucket, 1, CODE)])
            soonest = min(soonest, allowance.retry_after)
        raise self._refused(name, soonest, "passcode.check", actor=uid, address=address)

    def check_client(self, client_id: str, address: str) -> None:
        """Before a client's secret is looked at.

        Raises:
            Throttled: too many wrong secrets of this client from this address.
        """
        self._try_of_client(client_id, address, 0)

    def failed_client(self, client_id: str, address: str) -> None:
        """Charge a wrong secret.

        Raises:
            Throttled: others were charged since `check_client`, and this is one too many.
        """
        self._try_of_client(client_id, address, 1)

    def _try_of_client(self, client_id: str, address: str, cost: int) -> None:
        bucket = f"client:{_name(client_id)}:{network(address)}"
        self._draw(bucket, cost, CLIENT, "client.authenticate", address, client_id)

    def unknown_token(self, address: str) -> None:
        """Charge a token that nobody has; a valid one is never asked about.

        Raises:
            Throttled: too many of them from this address.
        """
        self._draw(f"auth:{network(address)}", 1, self._auth, "token.find", address)

    def check_user_code(self, address: str, rate: Rate) -> None:
        """Before the code of a device is looked up.

        Raises:
            Throttled: too many wrong ones from this address (S-110).
        """
        self._draw(f"user_code:{network(address)}", 0, rate, "device.user_code", address)

    def wrong_user_code(self, address: str, rate: Rate) -> None:
        """Charge a code that no device has.

        Raises:
            Throttled: others were charged since `check_user_code`, and this is one too many.
        """
        self._draw(f"user_code:{network(address)}", 1, rate, "device.user_code", address)

    def waiting(self, address: str, rate: Rate) -> None:
        """Charge what is kept for a stranger until a person comes (S-091).

        Raises:
            Throttled: too much of it from this address.
        """
        self._draw(f"waiting:{network(address)}", 1, rate, "authorization.request", address)

    def waited(self, address: str, rate: Rate) -> None:
        """Give back the charge of what waits no more, because its person came."""
        self.state.draw(f"waiting:{network(address)}", -1, rate, self.clock())

    def pushed(self, client_id: str, address: str, rate: Rate) -> None:
        """Charge what a client has pushed, until a person comes (S-091).

        Args:
            client_id: empty for one that proves nothing: then the address counts.

        Raises:
            Throttled: too much of it waits.
        """
        self._draw(f"pushed:{client_id or network(address)}", 1, rate, "authorization.request", address)

    def answered(self, client_id: str, address: str, rate: Rate) -> None:
        """Give back the charge of what was pushed, because its person came."""
        self.state.draw(f"pushed:{client_id or network(address)}", -1, rate, self.clock())

    def registration(self, address: str, rate: Rate) -> None:
        """Charge a client that somebody registers (S-091).

        Raises:
            Throttled: too many from this address.
        """
        self._draw(f"registration:{network(address)}", 1, rate, "client.add", address)

    def _draw(self, bucket: str, cost: int, rate: Rate, event: str, address: str, client_id: str = "") -> None:
        """Take so many tries from a bucket; none means to look whether there is one."""
        allowance = self.state.draw(bucket, cost, rate, self.clock())
        if not allowance.allowed:
            raise self._refused(bucket, allowance.retry_after, event, address=address, client_id=client_id)

    def _refused(
        self, bucket: str, retry_after: int, event: str, *, address: str, actor: str = "", client_id: str = ""
    ) -> Throttled:
        """Return the error of an empty bucket; its first refusal in ten minutes is noted, metrics count the others."""
        now = self.clock()
        span = now // QUIET
        first = OnceKey(sha256(f"throttled {bucket} {span}".encode()).digest(), (span + 1) * QUIET)
        if self.state.spend([first], now) is None:
            self._audit.record(event, "throttled", actor=actor, client_id=client_id, address=address)
        return Throttled(retry_after)

    @staticmethod
    def _known(uid: str, address: str) -> bytes:
        return sha256(f"{uid} {network(address)}".encode()).digest()


@lru_cache(4096)
def _name(text: str) -> str:
    """A name of bounded length that says nothing in a dump."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
