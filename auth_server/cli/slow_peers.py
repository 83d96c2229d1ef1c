"""A time limit for whole requests on Granian, which has one for heads only (S-140).

WSGI gives the body a byte stream without a clock, and a thread that reads it cannot be woken. But the kernel knows of
each connection when something was sent on it last. Granian closes one that is idle, or has not sent a head, after half
of the time; so one on which nothing was answered for all of it has a request under way that takes too long.
"""

import os
import socket
import struct
import threading
from contextlib import suppress

_OPEN = "/proc/self/fd"
_INFO = struct.Struct("=44xI")  # struct tcp_info, as far as tcpi_last_data_sent (milliseconds ago)


def watch(port: int, patience: int) -> None:
    """Cut from now on the connections that come to *port*, in a thread of this process.

    Args:
        patience: seconds from one answer to the next.
    """
    stop = threading.Event()  # nobody sets it: the thread ends with the process

    def run() -> None:
        while not stop.wait(max(0.2, patience / 20)):
            cut(port, patience * 1000)

    threading.Thread(target=run, name="slow-peers", daemon=True).start()


def cut(port: int, longest: int) -> None:
    """End what comes in on connections to *port* that had no answer for *longest* milliseconds.

    Whoever reads the request sees its end, answers and closes; if nobody does, the connection is cut altogether.
    """
    for name in os.listdir(_OPEN):
        try:
            if not os.readlink(f"{_OPEN}/{name}").startswith("socket:"):
                continue
            connection = socket.socket(fileno=os.dup(int(name)))  # a copy: the number may be another's in a moment
        except OSError:  # gone
            continue
        with connection, suppress(OSError):  # the one that listens has no peer, others have no such name
            if connection.getsockname()[1:2] == (port,) and connection.getpeername():
                (silent,) = _INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
                if silent >= longest:
                    connection.shutdown(socket.SHUT_RD if silent < 2 * longest else socket.SHUT_RDWR)
