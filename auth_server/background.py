"""Periodic work, in a thread of each process: sync the state to disk, advance the keys, purge, tell clients of logouts.

Each piece is safe to run anywhere at any time; what should run once among all replicas holds a lease in the store.
"""

import logging
import os
import threading

from auth_server.domain import clock_check
from auth_server.errors import AuthServerError
from auth_server.logs import Seldom
from auth_server.protocol.extensions import backchannel_logout
from auth_server.protocol.server import Server

SYNC = 0.05  # seconds: often, so that little is written at once and nobody waits for it (at most 1: CONTRACT section 5)
PURGE_EVERY = 60  # seconds
PURGE_BATCH = 2000  # rows, so that no lock is held for long
PURGE_PAUSE = (
    0.01  # seconds between two batches: SQLite's writers in other processes get a turn only if nobody takes it
)
REAP_BATCH = 200  # clients that nobody uses
COURIERS = 16  # clients of this process that are called at the same time
log = logging.getLogger("auth_server.background")


class Background:
    """The thread of one process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._holder = server.random(8).hex()
        self._pid = 0
        self._purge_at = self._advanced_at = 0
        self._called: set[str] = set()
        self._seldom = Seldom(log, server.clock)

    def start(self) -> None:
        """Start the thread in this process."""
        self._pid = os.getpid()
        threading.Thread(target=self._run, name="background", daemon=True).start()

    def ensure(self) -> None:
        """Start the thread unless this process has it; asked at each request where nobody tells us of a fork."""
        if self._pid != os.getpid():
            self._restart()

    def start_in_children(self) -> None:
        """Start the thread in every process that is forked from this one: threads do not cross a fork."""
        os.register_at_fork(after_in_child=self._restart)

    def tick(self) -> None:
        """Do what is due once."""
        server, now = self._server, self._server.clock()
        if self._keep_up() and now >= self._purge_at:  # asking for the lease is a write, so not every second
            self._purge_at = now + PURGE_EVERY
            if clock_check.is_right(server.records, server.clock) and self._may_purge():
                self._purge()

    def _keep_up(self) -> bool:
        """Do what others may rely on within a second; tell whether this one had not begun yet."""
        server = self._server
        server.flush()
        now = server.clock()
        if now == self._advanced_at:
            return False
        self._advanced_at = now
        try:
            server.keyring.advance()
            self._send_couriers()
        finally:  # raises while Redis is away, which needs to hold up neither of the above
            server.records.publish()
        return True

    def _may_purge(self) -> bool:
        """Take the lease, or renew it: without that, one process more would join a long purge every minute."""
        return self._server.records.leases.take("purge", self._holder, self._server.clock(), PURGE_EVERY - 1)

    def _purge(self) -> None:
        """Delete what has expired, as long as the lease is ours.

        The lease only saves work: several that purge at once, for their clocks are apart, do no harm. What one is
        deleting the others pass over, or wait for and find gone; a client is removed by the one that has locked it.
        """
        server, now = self._server, self._server.clock()
        for purge in (
            server.state.purge,
            server.records.tokens.purge,
            server.records.refresh_families.purge,
            server.records.initial_tokens.purge,
        ):
            while purge(now, PURGE_BATCH) == PURGE_BATCH:
                if not self._purges_on():
                    return
        while server.clients.reap(REAP_BATCH) == REAP_BATCH and self._purges_on():
            pass

    def _purges_on(self) -> bool:
        """Let others have a turn and see to what cannot wait; tell whether to go on with the next batch."""
        return not self._stop.wait(PURGE_PAUSE) and (not self._keep_up() or self._may_purge())

    def _send_couriers(self) -> None:
        """Send somebody to each client that must be told something: a slow one delays no other (S-096)."""
        free = COURIERS - len(self._called)
        if free <= 0:
            return
        waiting = self._server.outbox.waiting(free, without=tuple(self._called))
        if not waiting or not clock_check.is_right(self._server.records, self._server.clock):
            return
        for client_id in waiting:
            self._called.add(client_id)
            threading.Thread(target=self._call, args=(client_id,), name="courier", daemon=True).start()

    def _call(self, client_id: str) -> None:
        """Tell a client all that is due, until it does not take something."""
        outbox = self._server.outbox
        try:
            while (delivery := outbox.claim(client_id)) is not None:
                if not backchannel_logout.deliver(delivery, self._server):
                    return
        except AuthServerError as error:
            log.warning("telling a client has to wait: %s", error)
        except Exception:  # a bug; what was claimed is due again when its time is over
            log.exception("telling a client failed")
        finally:
            self._called.discard(client_id)

    def _restart(self) -> None:
        self._holder = self._server.random(8).hex()
        self._called = set()
        self._stop = threading.Event()
        self.start()

    def _run(self) -> None:
        while not self._stop.wait(SYNC):
            try:
                self.tick()
            except AuthServerError as error:
                self._seldom.warn("periodic work has to wait: %s", error)
            except Exception:  # a bug must not end the thread: keys would stop rotating
                log.exception("periodic work failed")
