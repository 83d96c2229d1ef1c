"""A connection to PostgreSQL by libpq (psycopg's own wrapper of it): prepared statements and binary answers."""

import select
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from auth_server.errors import Unavailable
from auth_server.store.impatient import PATIENCE
from auth_server.store.raw_connections import TryAgain
from auth_server.store.shortcuts import Row

_TEXT, _BINARY = 0, 1  # formats of values
_DONE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
# What PostgreSQL did not do (SQLSTATE): a conflict with another transaction, or a deadlock; a prepared statement that
# is gone, or does not fit the tables any more; the server ends, and says so in place of an answer.
_AGAIN, _OUTDATED, _ENDS, _READ_ONLY = ("40001", "40P01"), ("26000", "0A000"), "57P01", "25006"


def _integer(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


_DECODERS: dict[int, Callable[[bytes], Any]] = {  # by the type's number in PostgreSQL; bytea stays as it is
    16: lambda value: value != b"\0",
    20: _integer,
    21: _integer,
    23: _integer,
    25: bytes.decode,
    1043: bytes.decode,
}
# A transaction that leaves something in the log, though nobody reads it: only then is its commit waited for, and with
# it all that was committed before.
_FLUSH = "SELECT pg_logical_emit_message(TRUE, '', '')"
_Decoders = list[Callable[[bytes], Any] | None]


class PostgresqlConnection:
    """One of them, for one thread at a time.

    psycopg's cursors do all this too, in half as much time again: they adapt values and look up types each time.

    Args:
        driver: a psycopg connection; nobody else uses it any more.
    """

    used_at = 0.0

    def __init__(self, driver: "psycopg.Connection[Any]") -> None:
        driver.rollback()
        self._driver, self._libpq = driver, driver.pgconn
        self._libpq.nonblocking = 1
        self._readable = select.poll()
        self._readable.register(self._libpq.socket, select.POLLIN)
        self._either = select.poll()
        self._either.register(self._libpq.socket, select.POLLIN | select.POLLOUT)
        self._prepared: dict[str, bytes] = {}
        self._decoders: dict[str, _Decoders] = {}
        self._number = 0

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        return self._decoded(statement, self._execute(statement, values))

    def rows_flushed(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement gives that commits without a sync to the disk, when another has made one.

        Both go in one message, as two transactions. What the first has locked is free before the disk is waited for,
        and PostgreSQL lets many wait together.
        """
        return self._decoded(statement, self._in_turn((statement, values), (_FLUSH, ())))

    def _decoded(self, statement: str, result: PGresult) -> list[Row]:
        columns = range(result.nfields)
        decoders = self._decoders.get(statement)
        if decoders is None:
            decoders = self._decoders[statement] = [_DECODERS.get(result.ftype(column)) for column in columns]
        get = result.get_value
        found: list[Row] = []
        for row in range(result.ntuples):
            pairs = zip([get(row, column) for column in columns], decoders, strict=True)
            found.append(tuple([value if value is None or make is None else make(value) for value, make in pairs]))
        return found

    def count(self, statement: str, values: Sequence[object] = ()) -> int:
        return self._execute(statement, values).command_tuples or 0

    def is_alive(self) -> bool:
        return not self._readable.poll(0)  # a server that says something unasked says farewell

    def is_open(self) -> bool:
        return self._libpq.status == ConnStatus.OK

    def rollback(self) -> None:
        if self._libpq.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            self._execute("ROLLBACK", ())

    def close(self) -> None:
        self._driver.close()

    # ---- the exchange
    def _execute(self, statement: str, values: Sequence[object]) -> PGresult:
        try:
            self._send(self._prepared.get(statement) or self._prepare(statement), values)
            return self._checked(self._answer())
        except psycopg.Error as error:  # libpq's: the connection is broken
            self._libpq.finish()
            raise Unavailable(f"the database does not answer ({error})") from error

    def _in_turn(self, *commands: tuple[str, Sequence[object]]) -> PGresult:
        """Make several statements, each a transaction, by one message; return the first one's answer."""
        libpq = self._libpq
        try:
            names = [self._prepared.get(statement) or self._prepare(statement) for statement, _ in commands]
            libpq.enter_pipeline_mode()
            for name, (_, values) in zip(names, commands, strict=True):
                self._send(name, values)
                libpq.pipeline_sync()
            answers = [self._answer_and_sync() for _ in commands]
            libpq.exit_pipeline_mode()
            first, *_ = [self._checked(answer) for answer in answers]
            return first
        except psycopg.Error as error:
            libpq.finish()
            raise Unavailable(f"the database does not answer ({error})") from error

    def _send(self, name: bytes, values: Sequence[object]) -> None:
        sent = [value if type(value) is bytes or value is None else _text(value) for value in values]
        formats = [_BINARY if type(value) is bytes else _TEXT for value in values]
        self._libpq.send_query_prepared(name, sent, formats, _BINARY)

    def _prepare(self, statement: str) -> bytes:
        self._number += 1
        name = b"s%d" % self._number
        self._libpq.send_prepare(name, statement.encode())
        self._checked(self._answer())
        self._prepared[statement] = name
        return name

    def _answer(self) -> PGresult:
        """Return the answer to what was sent, or hang up: it must not meet the next question (S-135)."""
        answer = None
        while (result := self._result()) is not None:
            if answer is None or result.status not in _DONE:  # a commit may fail after the statement was answered
                answer = result
        if answer is None:
            raise psycopg.OperationalError("no answer")
        return answer

    def _answer_and_sync(self) -> PGresult:
        """Return the answer to a statement of several, when it is known whether it was committed."""
        answer = self._answer()
        while (result := self._result()) is None or result.status != ExecStatus.PIPELINE_SYNC:
            if result is not None and result.status not in _DONE:
                answer = result
        return answer

    def _result(self) -> PGresult | None:
        """Send what is to be sent, and return what comes next; None after the last part of an answer."""
        libpq = self._libpq
        while libpq.flush():
            self._wait(self._either)
            libpq.consume_input()
        while libpq.is_busy():
            self._wait(self._readable)
            libpq.consume_input()
        return libpq.get_result()

    def _wait(self, event: "select.poll") -> None:
        if not event.poll(PATIENCE * 1000):
            raise psycopg.OperationalError("the server is silent")

    def _checked(self, result: PGresult) -> PGresult:
        if result.status in _DONE:
            return result
        state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
        if state in _AGAIN:
            raise TryAgain
        if state in _OUTDATED:
            self._prepared.clear()
            raise TryAgain
        if state == _READ_ONLY:  # the name may lead to another server by now
            self._libpq.finish()
        if state == _ENDS:
            self._libpq.finish()
            raise TryAgain
        raise Unavailable(f"the database refuses ({_name(state)})")


def _text(value: object) -> bytes:
    """A value as libpq reads it, which is up to the first NUL: nothing may be found by the half of its name."""
    text = str(value).encode()
    if b"\0" in text:
        raise ValueError("PostgreSQL keeps no NUL in a text")
    return text


def _name(state: str) -> str:
    """What an error is called; its text may hold values."""
    try:
        return psycopg.errors.lookup(state).__name__
    except KeyError:
        return state
