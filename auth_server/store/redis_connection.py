"""A connection to Redis, for hot paths: redis-py opens it; then the exchange is the parser's (hiredis) and ours.

redis-py's own methods cost 10 µs more, mostly for what they do besides: health checks, pushed messages, retries.
"""

import socket
import ssl
import struct
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as BrokenConnection
from redis.exceptions import InvalidResponse, ResponseError

Command = tuple[bytes | str | int, ...]

_BUFFER = 65536  # bytes that are read at once
_MORE = object()  # what the parser says when an answer is not whole yet


class Closed(BrokenConnection):
    """The other side had closed it, or did so in place of an answer."""


class RedisConnection:
    """One of them, for one thread.

    Args:
        opened: a connection of redis-py, which leaves its members untyped; nobody else uses it any more.
    """

    used_at = 0.0

    def __init__(self, opened: Any) -> None:
        self._opened, self._sock = opened, opened._sock
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=opened._parser.parse_error, notEnoughData=_MORE
        )
        self._buffer = bytearray(_BUFFER)
        _let_the_kernel_count(self._sock, opened.socket_timeout)

    def exchange(self, *commands: Command) -> list[Any]:
        """Send commands in one go, and return their whole answers; what an answer says went wrong is one too.

        Raises:
            Closed: the other side has closed the connection, perhaps before the commands came.
            BrokenConnection: no answer in time, or none that counts; the connection is closed.
        """
        try:
            self._sock.sendall(b"".join(map(hiredis.pack_command, commands)))  # type: ignore[arg-type]  # tuples of any length
            return [self._answer() for _ in commands]
        except (ConnectionResetError, BrokenPipeError) as error:
            self.close()
            raise Closed(str(error)) from error
        except OSError as error:
            self.close()
            raise BrokenConnection(str(error) or type(error).__name__) from error
        except BaseException:  # whatever it is: an answer that nobody has read must meet no other question (S-135)
            self.close()
            raise

    def ask(self, *command: bytes | str | int) -> Any:
        """Send one command and return its answer.

        Raises:
            ResponseError: the answer says what went wrong; the connection stays open.
            BrokenConnection: as `exchange`.
        """
        (answer,) = self.exchange(command)
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    def _answer(self) -> Any:
        reader, buffer = self._reader, self._buffer
        while (answer := reader.gets()) is _MORE:
            size = self._sock.recv_into(buffer)
            if size == 0:
                raise Closed("it hung up")
            reader.feed(buffer, 0, size)  # type: ignore[arg-type]  # takes any buffer
        if isinstance(answer, BrokenConnection):  # it is about to go, or not there yet
            raise answer
        return answer

    def is_open(self) -> bool:
        """Tell whether nobody has closed it, as far as is known here."""
        return bool(self._opened.is_connected)

    def is_quiet(self) -> bool:
        """Tell whether the other side has not closed it, and says nothing unasked."""
        try:
            return not self._opened.can_read()
        except BrokenConnection:
            return False

    def close(self) -> None:
        """Hang up."""
        self._opened.disconnect()


def _let_the_kernel_count(sock: socket.socket, seconds: float | None) -> None:
    """Have the kernel end what takes too long: Python polls before each call if it counts itself.

    Each system call gives the interpreter lock away, which is what an exchange costs most when threads are busy. TLS
    is left alone: it reads until it has a whole record.
    """
    if seconds is None or isinstance(sock, ssl.SSLSocket):
        return
    limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))  # a timeval
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    sock.settimeout(None)
