"""What a worker of Granian lacks: a time limit for bodies, and sure ears for signals (docs/decisions/0005)."""

import os
import signal
import socket
import struct
import threading
from contextlib import suppress

_OPEN = "/proc/self/fd"
_INFO = struct.Struct("=44xI")  # struct tcp_info, as far as tcpi_last_data_sent (milliseconds ago)


def look_after(port: int, patience: int) -> None:
    """See from now on to slow connections and to signals, in two threads. To be called in the main thread.

    Args:
        port: that connections come to.
        patience: seconds from one answer on a connection to the next.
    """
    never = threading.Event()  # the threads end with the process

    def cut() -> None:
        while not never.wait(max(0.2, patience / 20)):
            cut_slow(port, patience * 1000)

    threading.Thread(target=cut, name="slow-peers", daemon=True).start()
    _wake_for_signals()


def cut_slow(port: int, longest: int) -> None:
    """End what comes in on connections that had no answer for *longest* milliseconds (S-140).

    WSGI gives a body as a stream without a clock, and a thread that reads it cannot be woken. But the kernel knows of
    each connection when something was sent on it last. Granian closes one that is idle, or has not sent a head, after
    half of the time; so one on which nothing was answered for all of it has a request under way that takes too long.
    Whoever reads that sees its end, answers and closes; if nobody does, the connection is cut altogether.
    """
    try:
        numbers = os.listdir(_OPEN)
    except OSError:  # no file is free to list the others by; the next time one may be
        return
    for name in numbers:
        with suppress(OSError):  # it is gone; or it is the one that listens, which has no peer
            if not os.readlink(f"{_OPEN}/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as copy:  # the number may be another's in a moment
                if copy.getsockname()[1:2] == (port,) and copy.getpeername():
                    (silent,) = _INFO.unpack(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
                    if silent >= longest:
                        copy.shutdown(socket.SHUT_RD if silent < 2 * longest else socket.SHUT_RDWR)


def _wake_for_signals() -> None:
    """Let no signal be overslept.

    Python handles signals in its main thread, which sleeps here; the kernel may give one to any of Granian's threads,
    and did so in one of fifty stops under load: the worker served on until it was killed.
    """
    main = threading.main_thread().ident
    assert main is not None
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.signal(signal.SIGURG, lambda number, frame: None)  # one that interrupts, and that nobody needs
    signal.set_wakeup_fd(tell)

    def pass_on() -> None:
        while number := os.read(told, 1):
            if number[0] != signal.SIGURG:
                signal.pthread_kill(main, signal.SIGURG)

    threading.Thread(target=pass_on, name="signals", daemon=True).start()
