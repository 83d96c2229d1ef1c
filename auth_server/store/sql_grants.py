"""What people have allowed clients, on SQLAlchemy Core: consents, and families of refresh tokens."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine, delete, insert, select, update

from auth_server.store import tables
from auth_server.store.engine import all_retried, purge_expired, reading, writing
from auth_server.store.records import Consent, RefreshFamily
from auth_server.store.shortcuts import Shortcuts
from auth_server.store.state import Page


def _consent(row: Any) -> Consent:
    return Consent(**{**row._mapping, "claims": tuple(row.claims)})


@all_retried
class SqlConsents:
    table = tables.consents

    def __init__(self, engine: Engine, shortcuts: Shortcuts) -> None:
        self._engine, self._shortcuts = engine, shortcuts

    def get(self, uid: str, client_id: str) -> Consent | None:
        return self._shortcuts.consent(uid, client_id)

    def put(self, consent: Consent) -> None:
        c = self.table.c
        values = {**asdict(consent), "claims": list(consent.claims)}
        changed = {name: values[name] for name in ("scope", "claims", "updated_at")}
        same = (c.uid == consent.uid) & (c.client_id == consent.client_id)
        with writing(self._engine) as connection:
            if not connection.execute(update(self.table).where(same).values(**changed)).rowcount:
                connection.execute(insert(self.table).values(**values))

    def remove(self, *, client_id: str, uid: str | None = None) -> bool:
        c = self.table.c
        these = delete(self.table).where(c.client_id == client_id)
        with writing(self._engine) as connection:
            return connection.execute(these if uid is None else these.where(c.uid == uid)).rowcount > 0

    def page(self, uid: str, page: Page) -> Sequence[Consent]:
        c = self.table.c
        query = select(self.table).where(c.uid == uid).order_by(c.updated_at.desc(), c.client_id)
        with reading(self._engine) as connection:
            return [_consent(row) for row in connection.execute(query.limit(page.limit).offset(page.offset))]


@all_retried
class SqlRefreshFamilies:
    table = tables.refresh_families

    def __init__(self, engine: Engine, shortcuts: Shortcuts) -> None:
        self._engine, self._shortcuts = engine, shortcuts

    def get(self, family_id: str) -> RefreshFamily | None:
        return self._shortcuts.family(family_id)

    def add(self, family: RefreshFamily) -> None:
        with writing(self._engine) as connection:
            connection.execute(insert(self.table).values(**asdict(family)))

    def advance(self, family_id: str, number: int, at: int, expires_at: int, data: bytes | None = None) -> bool:
        return self._shortcuts.advance(family_id, number, at, expires_at, data)

    def remove(self, *, family_id: str | None = None, uid: str | None = None, client_id: str | None = None) -> int:
        named = {"family_id": family_id, "uid": uid, "client_id": client_id}
        conditions = [self.table.c[name] == value for name, value in named.items() if value is not None]
        if not conditions:
            return 0
        with writing(self._engine) as connection:
            return connection.execute(delete(self.table).where(*conditions)).rowcount

    def find(self, uid: str, client_id: str | None = None) -> Sequence[RefreshFamily]:
        c = self.table.c
        query = select(self.table).where(c.uid == uid)
        if client_id is not None:
            query = query.where(c.client_id == client_id)
        with reading(self._engine) as connection:
            return [RefreshFamily(**row._mapping) for row in connection.execute(query)]

    def purge(self, now: int, limit: int) -> int:
        return purge_expired(self._engine, self.table, "family_id", now, limit)
