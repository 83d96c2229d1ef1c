"""What clients must still be told, on SQLAlchemy Core."""

from collections.abc import Collection, Sequence
from dataclasses import asdict

from sqlalchemy import Engine, delete, func, insert, select, update

from auth_server.store import tables
from auth_server.store.engine import all_retried, reading, writing
from auth_server.store.records import Delivery


@all_retried
class SqlOutbox:
    table = tables.outbox

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, deliveries: Sequence[Delivery]) -> None:
        rows = [{name: value for name, value in asdict(one).items() if name != "number"} for one in deliveries]
        if rows:
            with writing(self._engine) as connection:
                connection.execute(insert(self.table), rows)

    def waiting(self, now: int, limit: int, *, without: Collection[str] = ()) -> Sequence[str]:
        c = self.table.c
        due = select(c.client_id).where(c.due_at <= now, c.client_id.not_in(without))
        query = due.group_by(c.client_id).order_by(func.min(c.due_at), c.client_id).limit(limit)
        with reading(self._engine) as connection:
            return connection.execute(query).scalars().all()

    def claim(self, client_id: str, now: int, until: int) -> Delivery | None:
        c = self.table.c
        due = select(self.table).where(c.client_id == client_id, c.due_at <= now).order_by(c.due_at, c.number).limit(1)
        with writing(self._engine) as connection:
            row = connection.execute(due.with_for_update(skip_locked=True)).one_or_none()
            if row is None:
                return None
            claimed = {**row._mapping, "due_at": until, "tries": row.tries + 1}
            connection.execute(
                update(self.table).where(c.number == row.number).values(due_at=until, tries=claimed["tries"])
            )
        return Delivery(**claimed)

    def put_off(self, delivery: Delivery, due_at: int) -> bool:
        c = self.table.c
        still_mine = (c.number == delivery.number) & (c.tries == delivery.tries)
        with writing(self._engine) as connection:
            return connection.execute(update(self.table).where(still_mine).values(due_at=due_at)).rowcount > 0

    def remove(self, delivery: Delivery) -> bool:
        with writing(self._engine) as connection:
            return connection.execute(delete(self.table).where(self.table.c.number == delivery.number)).rowcount > 0
