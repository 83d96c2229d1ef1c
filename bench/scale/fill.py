"""Filling a store past the interface, by what its database takes fastest: real records under real digests."""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from sqlalchemy import JSON, Engine, LargeBinary, Table, select

from auth_server import assembly
from auth_server.clock import system_random
from auth_server.domain import credentials
from auth_server.domain.tokens import Token, pack
from auth_server.store import tables
from auth_server.store.records import ClientSecret
from auth_server.store.state import Kind
from bench import site
from bench.site import Client
from bench.stores import Place

DAY = 86400
LIMIT = 10  # living tokens of a client that has a limit, which is the default one
SAMPLES = 500  # clients of each kind, and sessions, that the load uses in turn


@dataclass(frozen=True)
class Size:
    """How much there is.

    Args:
        clients: half of them with a limit on living tokens, and with that many.
        tokens: of each client without a limit.
        sessions: of each user.
    """

    users: int
    clients: int
    tokens: int
    sessions: int

    @property
    def all_tokens(self) -> int:
        return self.clients // 2 * (LIMIT + self.tokens) + self.users * self.sessions


FULL = Size(users=100_000, clients=10_000, tokens=90, sessions=5)
TENTH = Size(users=10_000, clients=1_000, tokens=90, sessions=5)
EMPTY = Size(users=SAMPLES, clients=2 * SAMPLES, tokens=1, sessions=1)  # what the load uses, and nothing else


@dataclass(frozen=True)
class Filled:
    """What the load uses of a filled store: clients with and without a limit, each with one token, and sessions."""

    limited: Sequence[Client]
    unlimited: Sequence[Client]
    tokens: Sequence[str]
    sessions: Sequence[str]
    seconds: float


def fill(place: Place, size: Size) -> Filled:
    """Make a store of this *size*; every value is as the server would have written it."""
    begun = time.perf_counter()
    site.prepare(place)
    server, stores = site.assembled(place)
    records, (state, table) = stores.records, entries(stores)
    one_client = server.clients.add({"client_name": "bench", "scope": site.SCOPE, "token_limit": -1}).client
    now = server.clock()  # a token is not older than its client
    pattern = _row(records, tables.clients, one_client.client_id)
    clients = [Client(_uid("c", now), credentials.new_client_secret(system_random)) for _ in range(size.clients)]
    limited, unlimited = clients[::2], clients[1::2]
    held = {client.client_id for client in limited}
    _insert(
        records,
        tables.clients,
        (
            pattern
            | {
                "client_id": client.client_id,
                "secrets": [asdict(ClientSecret(credentials.digest(client.secret).hex()))],
                "token_limit": LIMIT if client.client_id in held else -1,
            }
            for client in clients
        ),
    )
    admin = server.users.find(server.settings.admin_user)
    pattern = _row(records, tables.users, admin.uid)
    uids = [_uid("u", now) for _ in range(size.users)]
    _insert(
        records,
        tables.users,
        (
            {**pattern, "number": None, "uid": uid, "name": f"person{number}", "role": "user", "super_admin": False}
            for number, uid in enumerate(uids)
        ),
    )
    tokens: list[str] = []
    sessions: list[str] = []

    def issued() -> Iterator[Token]:
        for turn in range(max(size.tokens, LIMIT)):
            for client in unlimited if turn < size.tokens else ():
                value, token = of_client(client, now)
                if turn == 0:
                    tokens.append(value)
                yield token
            for client in limited if turn < LIMIT else ():
                yield of_client(client, now)[1]
        for turn in range(size.sessions):
            for uid in uids:
                value, token = _of_person(uid, now, admin.password_version)
                if turn == 0:
                    sessions.append(value)
                yield token

    _insert(state, table, (_entry(token) for token in issued()))
    server.close()
    stores.close()
    seconds = time.perf_counter() - begun
    return Filled(limited[:SAMPLES], unlimited[:SAMPLES], tokens[:SAMPLES], sessions[:SAMPLES], seconds)


def entries(stores: assembly.Stores) -> tuple[Engine, Table]:
    """Return the table of tokens, and the database that it is in: both follow from the settings."""
    return next(
        (engine, table)
        for engine, history in reversed(stores.histories())
        for name, table in history.metadata.tables.items()
        if name in ("entries", "state_entries")
    )


def _uid(prefix: str, now: int) -> str:
    return credentials.new_uid(system_random, prefix, now)


def of_client(client: Client, now: int, life: int = DAY) -> tuple[str, Token]:
    """Return a token as client credentials give it."""
    value = credentials.new_access_token(system_random)
    return value, Token(
        key=credentials.digest(value),
        provider="client",
        method="oauth2",
        grant_type="client_credentials",
        created_at=now,
        expires_at=now + life,
        scope=site.SCOPE,
        client_id=client.client_id,
        client_name="bench",
    )


def _of_person(uid: str, now: int, password_version: int) -> tuple[str, Token]:
    """Return a session as a login gives it."""
    value = credentials.new_access_token(system_random)
    return value, Token(
        key=credentials.digest(value),
        provider="local",
        method="default",
        grant_type="password",
        created_at=now,
        expires_at=now + 14 * DAY,
        scope="",
        subject=uid,
        idle=7 * DAY,
        last_active=now + 2 * 3600,  # so that no run notes a use, which is done once in a minute
        password_version=password_version,
        login_address="127.0.0.1",
        address="127.0.0.1",
    )


def _entry(token: Token) -> dict[str, Any]:
    return {
        "kind": int(Kind.ACCESS_TOKEN),
        "key": token.key,
        "client_id": token.client_id,
        "subject": token.subject,
        "expires_at": token.expires_at,
        "data": pack(token),
    }


def _row(engine: Engine, table: Table, identity: str) -> dict[str, Any]:
    """Return the row of a record that the server itself has made."""
    key = table.c.uid if table is tables.users else table.c.client_id
    with engine.connect() as connection:
        return dict(connection.execute(select(table).where(key == identity)).mappings().one())


def _insert(engine: Engine, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows that have the same members, without what SQLAlchemy costs for each; None numbers are left out."""
    rows = iter(rows)
    first = next(rows)
    columns = [table.c[name] for name, value in first.items() if name != "number"]

    def converted(row: Mapping[str, Any]) -> tuple[Any, ...]:
        values = []
        for column in columns:
            value = row[column.name]
            if isinstance(column.type, JSON) and value is not None:
                value = json.dumps(value)
            elif isinstance(column.type, LargeBinary) and isinstance(value, str):
                value = value.encode()
            values.append(value)
        return tuple(values)

    names = ", ".join(f'"{column.name}"' for column in columns)
    everything = map(converted, (row for part in ((first,), rows) for row in part))
    if engine.dialect.name == "sqlite":
        _into_sqlite(str(engine.url.database), f"INSERT INTO {table.name} ({names})", len(columns), everything)
    else:
        _into_postgresql(engine, table.name, names, everything)


def _into_sqlite(path: str, insert: str, width: int, rows: Iterator[tuple[Any, ...]]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    statement = f"{insert} VALUES ({', '.join('?' * width)})"
    while batch := list(islice(rows, 50_000)):
        connection.execute("BEGIN")
        connection.executemany(statement, batch)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _into_postgresql(engine: Engine, table: str, names: str, rows: Iterator[tuple[Any, ...]]) -> None:
    import psycopg

    url = engine.url
    conninfo = f"dbname={url.database} user={url.username} host={url.query['host']}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        connection.execute(f"VACUUM ANALYZE {table}")  # as autovacuum would, in its own time
