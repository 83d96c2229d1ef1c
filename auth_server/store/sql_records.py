"""Durable records on SQLAlchemy Core: SQLite, PostgreSQL, MariaDB."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    RowMapping,
    Table,
    delete,
    insert,
    or_,
    select,
    update,
)

from auth_server.errors import Conflict, LastOne, NotFound
from auth_server.store import sql_registrations, tables
from auth_server.store.engine import (
    all_retried,
    lock,
    move_generation,
    reading,
    retried,
    rows,
    server_time,
    silence,
    writing,
)
from auth_server.store.records import AuditEvent, Client, ClientSecret, StoredKey, User
from auth_server.store.server_database import ServerDatabase, server_database
from auth_server.store.shortcuts import Shortcuts
from auth_server.store.sql_grants import SqlConsents, SqlRefreshFamilies
from auth_server.store.sql_outbox import SqlOutbox
from auth_server.store.sql_passcodes import SqlPasscodes
from auth_server.store.sql_registrations import SqlInitialTokens
from auth_server.store.sql_tokens import SqlStoredTokens
from auth_server.store.sqlite_shortcuts import SqliteShortcuts
from auth_server.store.state import BATCH, Page

R = TypeVar("R", User, Client)


class SqlRecords:
    """Records in a SQL database.

    Args:
        engine: from `engine.create`; its schema is up to date.
        direct: the same database by its driver alone, where it is a server's; what it has cached is shared.
    """

    def __init__(self, engine: Engine, direct: ServerDatabase | None = None) -> None:
        self.engine = engine
        direct = direct or server_database(engine)
        self._generation = direct.generation if direct else None
        self.is_far = engine.dialect.name != "sqlite"
        shortcuts = direct.shortcuts if direct else SqliteShortcuts(engine)
        self._sqlite = shortcuts if isinstance(shortcuts, SqliteShortcuts) else None
        self.users = SqlUsers(engine, shortcuts)
        self.passcodes = SqlPasscodes(engine)
        self.clients = SqlClients(engine)
        self.initial_tokens = SqlInitialTokens(engine)
        self.tokens = SqlStoredTokens(engine, shortcuts)
        self.consents = SqlConsents(engine, shortcuts)
        self.refresh_families = SqlRefreshFamilies(engine, shortcuts)
        self.outbox = SqlOutbox(engine)
        self.keys = SqlSigningKeys(engine)
        self.audit = SqlAudit(engine, shortcuts)
        self.leases = SqlLeases(engine)

    def generation(self) -> int:
        if self._generation is not None:
            return self._generation.now()
        return self._stored_generation() if self._sqlite is None else self._sqlite.generation()

    @retried
    def _stored_generation(self) -> int:
        with reading(self.engine) as connection:
            return int(connection.execute(select(tables.generation.c.value)).scalar_one())

    def is_silent(self) -> bool:
        return silence(self.engine).is_on

    def one_look(self) -> AbstractContextManager[None]:
        return nullcontext() if self._generation is None else self._generation

    def sync(self) -> None:
        if self._sqlite is not None:
            self._sqlite.sync()

    def publish(self) -> None:
        if self._generation is not None:
            self._generation.publish()

    def time(self) -> int | None:
        return server_time(self.engine)

    def check(self) -> None:
        self._stored_generation()

    def close(self) -> None:
        if self._sqlite is not None:
            self._sqlite.close()
        if self._generation is not None:
            self._generation.close()
        self.engine.dispose()


def _prefix(column: ColumnElement[str], search: str) -> ColumnElement[bool]:
    return column.istartswith(search, autoescape=True)


def _values(record: Any) -> dict[str, Any]:
    """A record as column values: mappings and sequences become what JSON columns take."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(record).items()}


@all_retried
class _Repository:
    """Records of one type that copies are kept of: each change moves the generation."""

    table: Table
    identity: str

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _where(self, value: str) -> ColumnElement[bool]:
        return self.table.c[self.identity] == value

    def _one(self, column: str, value: str) -> Row[Any] | None:
        if "\0" in value:  # no database but SQLite takes it
            return None
        condition = self.table.c[column] == value
        with reading(self._engine) as connection:
            return connection.execute(select(self.table).where(condition)).one_or_none()

    def _many(self, values: Collection[str]) -> Sequence[RowMapping]:
        """Rows of any number of records, by one statement; by none if none are asked for."""
        if not values:
            return ()
        query = select(self.table).where(self.table.c[self.identity].in_(values))
        with reading(self._engine) as connection:
            return connection.execute(query).mappings().all()

    def _locked(self, connection: Connection, value: str) -> RowMapping | None:
        query = select(self.table).where(self._where(value)).with_for_update()
        return connection.execute(query).mappings().one_or_none()

    def _change(
        self,
        value: str,
        function: Callable[[R], R],
        build: Callable[[RowMapping], R],
        check: Callable[[Connection, R, R], None] | None = None,
    ) -> R:
        with writing(self._engine) as connection:
            row = self._locked(connection, value)
            if row is None:
                raise NotFound(f"there is no {self.table.name.removesuffix('s')} {value!r}")
            before = build(row)
            changed = function(before)
            self._check_names(connection, changed)
            if check is not None:
                check(connection, before, changed)
            connection.execute(update(self.table).where(self._where(value)).values(**_values(changed)))
            move_generation(connection)
        return changed

    def _check_names(self, connection: Connection, record: Any) -> None:
        """Raise Conflict if a changed record's names are taken elsewhere."""

    def remove(self, value: str) -> bool:
        with writing(self._engine) as connection:
            gone = connection.execute(delete(self.table).where(self._where(value))).rowcount > 0
            if gone:
                move_generation(connection)
        return gone

    def _page(self, conditions: Sequence[ColumnElement[bool]], order: ColumnElement[Any], page: Page) -> Sequence[Any]:
        query = select(self.table).order_by(order, self.table.c[self.identity]).limit(page.limit).offset(page.offset)
        if conditions:
            query = query.where(or_(*conditions))
        with reading(self._engine) as connection:
            return connection.execute(query).mappings().all()


@all_retried
class SqlUsers(_Repository):
    table = tables.users
    identity = "uid"

    def __init__(self, engine: Engine, shortcuts: Shortcuts) -> None:
        super().__init__(engine)
        self._shortcuts = shortcuts

    def get(self, uid: str) -> User | None:
        row = self._one(self.identity, uid)
        return User(**row._mapping) if row else None

    def many(self, uids: Collection[str]) -> Mapping[str, User]:
        users = (User(**row) for row in self._many(uids))
        return {user.uid: user for user in users}

    def by_name(self, name: str) -> User | None:
        return self._shortcuts.user_by_name(name)

    def add(self, user: User) -> User:
        values = {name: value for name, value in _values(user).items() if name != "number"}
        with writing(self._engine) as connection:
            self._check_names(connection, user)
            number = connection.execute(insert(self.table).values(**values)).inserted_primary_key
            move_generation(connection)
        assert number is not None
        return replace(user, number=number[0])

    def change(self, uid: str, function: Callable[[User], User], *, keep_one: str = "") -> User:
        def check(connection: Connection, before: User, after: User) -> None:
            if not (after.enabled and after.role == keep_one):
                self._check_not_last(connection, before, keep_one)

        return self._change(uid, function, lambda row: User(**row), check if keep_one else None)

    def remove(self, uid: str, *, keep_one: str = "") -> bool:
        with writing(self._engine) as connection:
            row = self._locked(connection, uid)  # before the lock below, as in change: else they may wait in a circle
            if row is None:
                return False
            if keep_one:
                self._check_not_last(connection, User(**row), keep_one)
            connection.execute(delete(self.table).where(self._where(uid)))
            move_generation(connection)
        return True

    def _check_not_last(self, connection: Connection, user: User, role: str) -> None:
        """Raise LastOne unless another enabled account has the role; whoever loses it takes turns (S-136)."""
        c = self.table.c
        if not user.enabled or user.role != role:
            return
        lock(connection, f"last {role}")
        if not connection.execute(select(c.uid).where(c.role == role, c.enabled, c.uid != user.uid).limit(1)).first():
            raise LastOne(f"{user.name} is the last {role} who can sign in")

    def note_login(self, uid: str, at: int, password_version: int) -> bool:
        c = self.table.c
        same = (c.uid == uid) & c.enabled & (c.password_version == password_version)
        with writing(self._engine) as connection:
            return connection.execute(update(self.table).where(same).values(login_at=at)).rowcount > 0

    def _check_names(self, connection: Connection, record: Any) -> None:
        """A client's id must never pass for a person (S-049)."""
        lock(connection, "names")
        clash = select(tables.clients.c.client_id).where(tables.clients.c.client_id.in_([record.uid, record.name]))
        if connection.execute(clash).first():
            raise Conflict(f"a client has the id {record.name!r}")

    def page(self, search: str, page: Page) -> Sequence[User]:
        columns = (self.table.c.uid, self.table.c.name, self.table.c.email)
        found = [_prefix(column, search) for column in columns] if search else []
        return [User(**row) for row in self._page(found, self.table.c.name.asc(), page)]


_TUPLES = tuple(f.name for f in fields(Client) if str(f.type).startswith(("tuple", "Sequence")))


def _client(row: RowMapping) -> Client:
    values = {str(name): value for name, value in row.items()}
    for name in _TUPLES:
        values[name] = tuple(values[name])
    values["secrets"] = tuple(ClientSecret(**secret) for secret in values["secrets"])
    return Client(**values)


@all_retried
class SqlClients(_Repository):
    table = tables.clients
    identity = "client_id"

    def get(self, client_id: str) -> Client | None:
        row = self._one(self.identity, client_id)
        return _client(row._mapping) if row else None

    def many(self, client_ids: Collection[str]) -> Mapping[str, Client]:
        clients = (_client(row) for row in self._many(client_ids))
        return {client.client_id: client for client in clients}

    def add(self, client: Client) -> Client:
        with writing(self._engine) as connection:
            lock(connection, "names")
            users = tables.users.c
            clash = select(users.uid).where(or_(users.uid == client.client_id, users.name == client.client_id))
            if connection.execute(clash).first():  # S-049
                raise Conflict(f"a user is named {client.client_id!r}")
            connection.execute(insert(self.table).values(**_values(client)))
            move_generation(connection)
        return client

    def change(self, client_id: str, function: Callable[[Client], Client]) -> Client:
        return self._change(client_id, function, _client)

    def page(self, search: str, page: Page) -> Sequence[Client]:
        found = []
        if search:
            owners = select(tables.users.c.uid).where(_prefix(tables.users.c.name, search))
            columns = (self.table.c.client_id, self.table.c.client_name)
            found = [_prefix(column, search) for column in columns]
            found += [self.table.c.owner_uid == search, self.table.c.owner_uid.in_(owners)]
        return [_client(row) for row in self._page(found, self.table.c.created_at.desc(), page)]

    def public(self) -> Sequence[Client]:
        c = self.table.c
        query = select(self.table).where(c.enabled, c.token_endpoint_auth_method == "none")
        with reading(self._engine) as connection:
            return [_client(row) for row in connection.execute(query).mappings()]

    def unused(self, now: int, limit: int) -> Sequence[str]:
        return sql_registrations.unused(self._engine, now, limit)

    def reap(self, client_ids: Collection[str], again_at: int, *, keep: Collection[str] = ()) -> Sequence[str]:
        return sql_registrations.reap(self._engine, client_ids, again_at, keep)


@all_retried
class SqlSigningKeys:
    table = tables.signing_keys

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._select = select(self.table).order_by(self.table.c.created_at, self.table.c.kid)

    def all(self) -> Sequence[StoredKey]:
        with reading(self._engine) as connection:
            return [StoredKey(**row._mapping) for row in connection.execute(self._select)]

    def edit(self, function: Callable[[Sequence[StoredKey]], Sequence[StoredKey]]) -> Sequence[StoredKey]:
        with writing(self._engine) as connection:
            lock(connection, "signing_keys")
            before = [StoredKey(**row._mapping) for row in connection.execute(self._select)]
            after = list(function(before))
            if after != before:
                connection.execute(delete(self.table))
                if after:
                    connection.execute(insert(self.table), [asdict(key) for key in after])
                move_generation(connection)
        return after


@all_retried
class SqlAudit:
    table = tables.audit_events

    def __init__(self, engine: Engine, shortcuts: Shortcuts) -> None:
        self._engine = engine
        self.note = shortcuts.note

    def add(self, event: AuditEvent) -> None:
        values = {name: value for name, value in asdict(event).items() if name != "number"}
        with writing(self._engine) as connection:
            connection.execute(insert(self.table).values(**values))

    def page(self, page: Page) -> Sequence[AuditEvent]:
        query = select(self.table).order_by(self.table.c.number.desc()).limit(page.limit).offset(page.offset)
        with reading(self._engine) as connection:
            return [AuditEvent(**row._mapping) for row in connection.execute(query)]

    def each(self, *, batch: int = BATCH) -> Iterator[AuditEvent]:
        number = self.table.c.number
        query = select(self.table).order_by(number.desc()).limit(batch)
        below, more = 2**63 - 1, True
        while more:
            found = rows(self._engine, query.where(number < below))
            yield from (AuditEvent(**row._mapping) for row in found)
            more = len(found) == batch
            below = found[-1].number if found else 0


@all_retried
class SqlLeases:
    table = tables.leases

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take(self, name: str, holder: str, now: int, ttl: int) -> bool:
        free = (self.table.c.expires_at <= now) | (self.table.c.holder == holder)
        renewed = update(self.table).where(self.table.c.name == name, free).values(holder=holder, expires_at=now + ttl)
        try:
            with writing(self._engine) as connection:
                if connection.execute(renewed).rowcount:
                    return True
                if connection.execute(select(self.table.c.name).where(self.table.c.name == name)).first():
                    return False
                connection.execute(insert(self.table).values(name=name, holder=holder, expires_at=now + ttl))
                return True
        except Conflict:  # another replica took it between the two statements
            return False
