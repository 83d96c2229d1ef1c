"""The only way out: what clients have us fetch or call, so that it never reaches what only we can reach (SSRF).

The address that was checked is the one connected to, redirects are not followed, nothing is unpacked, and size and time
have limits (S-085, S-086).
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from auth_server.errors import AuthServerError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
SECONDS = 5.0  # for everything: name, connection, TLS, answer
SIZE = 262144  # bytes of an answer
NAMES_AT_ONCE = 16  # names that are looked up at the same time
AT_ONCE = 2  # documents that are fetched at the same time, while whoever needs them waits
PATIENCE = 0.25  # seconds to wait until others have theirs
REST = 30.0  # seconds that a host is left alone after it has used up its time
MOST = 1000  # hosts that this is remembered of
_UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that is given to anyone (RFC 4291 §2.4)
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # IPv4 behind NAT64 (RFC 6052)


class Unreachable(AuthServerError):
    """Nothing came back that can be used; the text is for logs and administrators, not for whoever caused it."""


@dataclass(frozen=True)
class Fetched:
    """An answer."""

    status: int
    content_type: str
    body: bytes
    max_age: int | None  # seconds that it may be kept, by Cache-Control


class Outbound:
    """Fetches and calls.

    Args:
        allowed: private networks that may be reached all the same, by http too; usually none.
        at_once: documents that may be fetched at the same time: a host that is slow must not take every thread (S-086).
    """

    def __init__(self, allowed: Sequence[Network] = (), at_once: int = AT_ONCE) -> None:
        self._allowed = tuple(allowed)
        self._free = threading.BoundedSemaphore(at_once)
        self._slow: dict[str, float] = {}  # host to the time, in monotonic seconds, until which it is left alone

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    @cached_property
    def _names(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(NAMES_AT_ONCE, thread_name_prefix="names")

    def get(self, url: str, limit: int = SIZE) -> Fetched:
        """Fetch a document.

        Args:
            limit: bytes at most.

        Raises:
            Unreachable: it is not to be had, or not to be asked for.
        """
        host = self._parts(url)[1]
        if self._slow.get(host, 0) > time.monotonic():
            raise Unreachable(f"{host} was too slow a moment ago")
        if not self._free.acquire(timeout=PATIENCE):
            raise Unreachable("too much is fetched at the same time")
        began = time.monotonic()
        try:
            return self._ask("GET", url, None, {"Accept": "application/json, application/jwt, */*;q=0.1"}, limit)
        finally:
            self._free.release()
            if time.monotonic() - began >= SECONDS:
                self._leave_alone(host)

    def _leave_alone(self, host: str) -> None:
        self._slow[host] = time.monotonic() + REST
        while len(self._slow) > MOST:
            self._slow.pop(next(iter(self._slow)), None)

    def post(self, url: str, body: bytes, content_type: str) -> Fetched:
        """Send something.

        Raises:
            Unreachable: it did not arrive, as far as we know.
        """
        return self._ask("POST", url, body, {"Content-Type": content_type}, 4096)

    def check(self, url: str) -> None:
        """Refuse a URL for its form; whether its host may be reached is told by a fetch.

        Raises:
            Unreachable: it is none that would ever be asked for.
        """
        self._parts(url)

    def _parts(self, url: str) -> tuple[str, str, int, str]:
        """Scheme, host, port and target."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Unreachable("it is no URL") from None
        host = parts.hostname or ""
        if parts.scheme not in ("https", "http") or not host or parts.username is not None or parts.fragment:
            raise Unreachable("it must be an https URL without user and fragment")
        if parts.scheme == "http" and not self._allowed:
            raise Unreachable("it must be an https URL")
        if not url.isascii() or any(c <= " " or c == "\\" for c in url):
            raise Unreachable("it holds characters that no URL has")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return parts.scheme, host, port or {"https": 443, "http": 80}[parts.scheme], target

    def _ask(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], limit: int) -> Fetched:
        ends = time.monotonic() + SECONDS
        scheme, host, port, target = self._parts(url)
        address = self._address(host, port, scheme, ends)
        connection = _Pinned(host, port, str(address), self._tls if scheme == "https" else None, ends)
        try:
            connection.request(method, target, body, {**headers, "Accept-Encoding": "identity", "Connection": "close"})
            answer = connection.getresponse()
            if answer.getheader("Content-Encoding", "identity").lower() != "identity":
                raise Unreachable("the answer is compressed")
            content = _read(connection, answer, limit, ends)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{host} does not answer as it should ({type(error).__name__})") from error
        finally:
            connection.close()
        kind = answer.getheader("Content-Type", "").partition(";")[0].strip().lower()
        return Fetched(answer.status, kind, content, _max_age(answer.getheader("Cache-Control", "")))

    def _address(self, host: str, port: int, scheme: str, ends: float) -> Address:
        """The address to connect to; all that a name has must be public, so that none can be slipped in."""
        try:
            looked_up = self._names.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            found = looked_up.result(max(ends - time.monotonic(), 0))
        except (OSError, TooSlow, UnicodeError):
            raise Unreachable(f"there is no host {host}") from None
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        for address in addresses:
            named = any(address in network for network in self._allowed if network.version == address.version)
            if not named and (scheme == "http" or not is_public(address)):
                raise Unreachable(f"{host} is not a public host")
        if not addresses:
            raise Unreachable(f"there is no host {host}")
        return addresses[0]


def is_public(address: Address) -> bool:
    """Tell whether an address can be meant from anywhere; an IPv6 one that carries an IPv4 one is judged by that."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was checked, in the name of a host."""

    def __init__(self, host: str, port: int, address: str, tls: ssl.SSLContext | None, ends: float) -> None:
        super().__init__(host, port, timeout=max(ends - time.monotonic(), 0.001))
        self._address, self._tls, self._ends = address, tls, ends
        self._end: threading.Timer | None = None

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        # A peer that sends a byte now and then would never let a read time out: at the end the connection is cut.
        self._end = threading.Timer(max(self._ends - time.monotonic(), 0), self._cut)
        self._end.daemon = True
        self._end.start()
        if self._tls is not None:
            secured = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = secured
            secured.do_handshake()

    def _cut(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._end is not None:
            self._end.cancel()
        super().close()


def _read(connection: _Pinned, answer: http.client.HTTPResponse, limit: int, ends: float) -> bytes:
    """The body, within size and time."""
    content = b""
    while True:
        left = ends - time.monotonic()
        if left <= 0:
            raise Unreachable("the answer takes too long")
        if connection.sock is not None:
            connection.sock.settimeout(left)
        part = answer.read1(min(65536, limit + 1 - len(content)))
        if not part and (time.monotonic() >= ends or answer.length):  # cut, by us or by them
            raise Unreachable("the answer breaks off")
        if not part:
            return content
        content += part
        if len(content) > limit:
            raise Unreachable(f"the answer has more than {limit} bytes")


def _max_age(header: str) -> int | None:
    for part in header.split(","):
        name, _, value = part.strip().lower().partition("=")
        if name == "max-age" and value.isdigit():
            return int(value)
    return None
