"""PostgreSQL connections that do not wait for ever for a server that is silent.

The server's own `statement_timeout` helps only while it runs, and TCP's only while the peer's kernel is gone: a process
that is stopped, or a proxy that swallows answers, keeps both quiet.
"""

from typing import Any

from psycopg import Connection, OperationalError
from psycopg.pq import TransactionStatus

PATIENCE = 6.0  # seconds; more than `engine.TIMEOUT`, so that a server that lives can say itself that it was too slow


class ImpatientConnection(Connection[Any]):
    """A connection that is closed when an answer does not come."""

    patience: float | None = PATIENCE

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()  # the answer, should it come, must not meet the next question
            raise
