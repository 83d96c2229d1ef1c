"""A connection to MariaDB or MySQL by PyMySQL alone."""

import re
import select
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pymysql  # type: ignore[import-untyped]
from pymysql.constants import ER  # type: ignore[import-untyped]

from auth_server.errors import Unavailable
from auth_server.store.database_refusals import READ_ONLY
from auth_server.store.raw_connections import TryAgain
from auth_server.store.shortcuts import Row

_AGAIN = (ER.LOCK_DEADLOCK, ER.CHECKREAD)  # nothing was done: a deadlock, or the row has changed since it was read
_PARAMETER = re.compile(r"\$(\d+)")
_KEY = re.compile(r"\bkey\b")  # a reserved word there


@lru_cache(1024)
def _translated(statement: str) -> tuple[str, tuple[int, ...]]:
    """A statement as PyMySQL takes it, and in which order the values go into it."""
    order = tuple(int(number) - 1 for number in _PARAMETER.findall(statement))
    return _KEY.sub("`key`", _PARAMETER.sub("%s", statement)), order


class MariadbConnection:
    """One of them, for one thread at a time.

    Args:
        driver: a PyMySQL connection; nobody else uses it any more.
    """

    used_at = 0.0

    def __init__(self, driver: "pymysql.Connection[Any]") -> None:
        self._driver = driver
        try:
            driver.autocommit(True)
        except pymysql.Error as error:
            raise Unavailable(f"the database does not answer ({type(error).__name__})") from error
        self._readable = select.poll()
        self._readable.register(driver._sock, select.POLLIN)

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        with self._execute(statement, values) as cursor:
            return list(cursor.fetchall())

    def count(self, statement: str, values: Sequence[object] = ()) -> int:
        with self._execute(statement, values) as cursor:
            return int(cursor.rowcount)

    def _execute(self, statement: str, values: Sequence[object]) -> "pymysql.cursors.Cursor":
        text, order = _translated(statement)
        cursor = self._driver.cursor()
        try:
            cursor.execute(text, [values[place] for place in order] or None)
        except pymysql.Error as error:
            code = error.args[0] if error.args else 0
            if code in _AGAIN:
                raise TryAgain from error
            if code in READ_ONLY:  # the name may lead to another server by now
                self._driver.close()
                raise Unavailable("the database is read-only") from error
            raise Unavailable(f"the database does not answer ({type(error).__name__} {code})") from error
        return cursor

    def is_alive(self) -> bool:
        return self.is_open() and not self._readable.poll(0)  # a server that says something unasked says farewell

    def is_open(self) -> bool:
        return bool(self._driver.open)

    def rollback(self) -> None:
        self.count("ROLLBACK")

    def close(self) -> None:
        if self._driver.open:
            self._driver.close()
