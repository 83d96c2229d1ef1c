"""Initial access tokens, and self-registered clients that nobody uses, on SQLAlchemy Core."""

from collections.abc import Collection, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Engine, delete, exists, insert, select, update

from auth_server.store import tables
from auth_server.store.engine import all_retried, move_generation, purge_expired, reading, writing
from auth_server.store.records import InitialToken


@all_retried
class SqlInitialTokens:
    table = tables.initial_tokens

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, key: bytes) -> InitialToken | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(self.table).where(self.table.c.key == key)).one_or_none()
        return InitialToken(**row._mapping) if row else None

    def add(self, token: InitialToken) -> None:
        with writing(self._engine) as connection:
            connection.execute(insert(self.table).values(**asdict(token)))

    def use(self, key: bytes, now: int) -> bool:
        c = self.table.c
        counts = (c.key == key) & (c.uses > 0) & (c.expires_at > now)
        with writing(self._engine) as connection:
            return connection.execute(update(self.table).where(counts).values(uses=c.uses - 1)).rowcount > 0

    def purge(self, now: int, limit: int) -> int:
        return purge_expired(self._engine, self.table, "key", now, limit)


def unused(engine: Engine, now: int, limit: int) -> Sequence[str]:
    """Do what `Clients.unused` does."""
    c = tables.clients.c
    query = select(c.client_id).where(c.unused_until <= now).order_by(c.unused_until).limit(limit)
    with reading(engine) as connection:
        return connection.execute(query).scalars().all()


def reap(engine: Engine, client_ids: Collection[str], again_at: int, keep: Collection[str]) -> Sequence[str]:
    """Do what `Clients.reap` does."""
    c = tables.clients.c
    with writing(engine) as connection:
        gone = _without_grants(connection, [client_id for client_id in client_ids if client_id not in keep])
        if gone:
            connection.execute(delete(tables.clients).where(c.client_id.in_(gone)))
            move_generation(connection)
        used = set(client_ids) - set(gone)
        if used:
            connection.execute(update(tables.clients).where(c.client_id.in_(used)).values(unused_until=again_at))
    return gone


def _without_grants(connection: Connection, client_ids: Collection[str]) -> Sequence[str]:
    """Those that nobody has allowed anything; locked before that is asked, so that nobody does so meanwhile."""
    c = tables.clients.c
    mine = select(c.client_id).where(c.client_id.in_(client_ids))
    connection.execute(mine.with_for_update())
    grants = [exists().where(table.c.client_id == c.client_id) for table in (tables.consents, tables.refresh_families)]
    return connection.execute(mine.where(*(~grant for grant in grants))).scalars().all()
