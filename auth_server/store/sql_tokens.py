"""Tokens that outlive the short-lived store, on SQLAlchemy Core."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Engine, Select, delete, insert, or_, select, update

from auth_server.store import tables
from auth_server.store.engine import all_retried, purge_expired, reading, rows, writing
from auth_server.store.records import StoredToken
from auth_server.store.shortcuts import Shortcuts
from auth_server.store.state import BATCH, Page, key_range

_HIGHEST = 2**63 - 1


@all_retried
class SqlStoredTokens:
    table = tables.stored_tokens

    def __init__(self, engine: Engine, shortcuts: Shortcuts) -> None:
        self._engine, self._shortcuts = engine, shortcuts
        columns = [self.table.c[f.name] for f in fields(StoredToken)]
        self._select = select(*columns)

    def get(self, key: bytes) -> StoredToken | None:
        return self._shortcuts.token(key)

    def add(self, token: StoredToken) -> None:
        with writing(self._engine) as connection:
            connection.execute(insert(self.table).values(**asdict(token)))

    def change(self, old: StoredToken, new: StoredToken) -> bool:
        same = (self.table.c.key == old.key) & (self.table.c.data == old.data)
        with writing(self._engine) as connection:
            return connection.execute(update(self.table).where(same).values(**asdict(new))).rowcount > 0

    def remove(self, *, key: bytes | None = None, subject: str | None = None) -> int:
        if key is None and subject is None:
            return 0
        condition = self.table.c.key == key if key is not None else self.table.c.subject == subject
        with writing(self._engine) as connection:
            return connection.execute(delete(self.table).where(condition)).rowcount

    def clear(self) -> int:
        with writing(self._engine) as connection:
            return connection.execute(delete(self.table)).rowcount

    def find(self, page: Page, now: int, *, key_prefix: str = "", subject: str | None = None) -> Sequence[StoredToken]:
        query = self._living(now).limit(page.limit).offset(page.offset)
        if key_prefix:
            low, high = key_range(key_prefix)
            query = query.where(self.table.c.key.between(low, high))
        if subject is not None:
            query = query.where(self.table.c.subject == subject)
        with reading(self._engine) as connection:
            return [StoredToken(**row._mapping) for row in connection.execute(query)]

    def each(self, now: int, *, subject: str | None = None, batch: int = BATCH) -> Iterator[StoredToken]:
        query = self._living(now).add_columns(self.table.c.number).limit(batch)
        if subject is not None:
            query = query.where(self.table.c.subject == subject)
        below, more = _HIGHEST, True
        while more:
            found = rows(self._engine, query.where(self.table.c.number < below))
            yield from (StoredToken(*row[:-1]) for row in found)
            more = len(found) == batch
            below = found[-1].number if found else 0

    def _living(self, now: int) -> Select[Any]:
        """What has not expired, newest first."""
        expires_at = self.table.c.expires_at
        return self._select.where(or_(expires_at.is_(None), expires_at > now)).order_by(self.table.c.number.desc())

    def purge(self, now: int, limit: int) -> int:
        return purge_expired(self._engine, self.table, "number", now, limit)
