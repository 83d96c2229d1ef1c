"""Several processes that open the same store and act at the same moment."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from auth_server.store.records import Records
from auth_server.store.state import State

S = TypeVar("S", State, Records)
P = ParamSpec("P")
R = TypeVar("R")

PATIENCE = 60.0  # seconds that one waits for the others, or for a message
_CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = ["auth_server.assembly", "auth_server.http.app", "psycopg", "pymysql", "redis"]
_CONTEXT.set_forkserver_preload(PRELOADED)  # imported once, not in each of the processes
_meeting: Barrier


class Crowd:
    """Processes that stay for all tests, for starting them takes long.

    Args:
        size: how many there are.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        meeting = _CONTEXT.Barrier(size)
        self._pool = ProcessPoolExecutor(size, mp_context=_CONTEXT, initializer=_remember, initargs=(meeting,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def run(
        self, act: Callable[Concatenate[S, int, P], R], open_store: Callable[[], S], *args: P.args, **kwargs: P.kwargs
    ) -> list[R]:
        """Let each process call *act* with its own store and its number, all at once; return what they return."""
        futures = [
            self._pool.submit(_act, act, open_store, number, *args, **kwargs)  # type: ignore[arg-type]
            for number in range(self.size)
        ]
        return [future.result() for future in futures]


def _remember(meeting: Barrier) -> None:
    global _meeting
    _meeting = meeting


def _act(
    act: Callable[Concatenate[S, int, P], R],
    open_store: Callable[[], S],
    number: int,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    store = open_store()
    try:
        store.check()  # connected, so that only what is tested remains to be done
    finally:
        _meeting.wait(PATIENCE)
    try:
        return act(store, number, *args, **kwargs)
    finally:
        store.close()


def killed_after(calls: int, act: Callable[[S, int], object], open_store: Callable[[], S]) -> int:
    """Let a process call *act* with 0, 1, 2, … and kill it when *calls* have returned; tell how many had in the end."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_act_for_ever, args=(sender, act, open_store))
    process.start()
    sender.close()
    done = 0
    while done < calls and receiver.poll(PATIENCE):
        done = receiver.recv()
    process.kill()
    process.join()
    with suppress(EOFError, OSError):
        while True:  # what it said before it died
            done = receiver.recv()
    if done < calls:
        raise TimeoutError(f"only {done} calls returned")
    return done


def _act_for_ever(sender: Connection, act: Callable[[S, int], object], open_store: Callable[[], S]) -> None:
    store = open_store()
    for number in count():
        act(store, number)
        sender.send(number + 1)
