"""Keys for verification codes on SQLAlchemy Core."""

from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update

from auth_server.errors import NotFound
from auth_server.store import tables
from auth_server.store.engine import all_retried, move_generation, reading, writing
from auth_server.store.records import Passcode, User

Change = Callable[[User], User]


@all_retried
class SqlPasscodes:
    """What one transaction changes of keys and account together locks the account first: nobody waits in a circle."""

    table = tables.passcodes

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, uid: str, *, active: bool) -> Passcode | None:
        c = self.table.c
        with reading(self._engine) as connection:
            row = connection.execute(select(self.table).where(c.uid == uid, c.active == active)).one_or_none()
        return Passcode(**row._mapping) if row else None

    def put(self, passcode: Passcode) -> None:
        c = self.table.c
        with writing(self._engine) as connection:
            if _account(connection, passcode.uid) is None:
                raise NotFound(f"there is no user {passcode.uid!r}")
            connection.execute(delete(self.table).where(c.uid == passcode.uid, c.active == passcode.active))
            connection.execute(insert(self.table).values(**asdict(passcode)))

    def redeem(self, passcode: Passcode, step: int, *, verified_at: int | None = None) -> bool:
        unused = self._is(passcode) & (self.table.c.last_step < step)
        values = {"last_step": step}
        if verified_at is not None:
            values |= {"verified_at": verified_at, "updated_at": verified_at}
        with writing(self._engine) as connection:
            return connection.execute(update(self.table).where(unused).values(**values)).rowcount > 0

    def activate(self, passcode: Passcode, at: int, function: Change) -> User | None:
        c = self.table.c
        verified = self._is(passcode) & c.active.is_(False) & c.verified_at.is_not(None)
        with writing(self._engine) as connection:
            user = _account(connection, passcode.uid)
            if user is None or not connection.execute(select(c.uid).where(verified)).first():
                return None
            connection.execute(delete(self.table).where(c.uid == passcode.uid, c.active))
            connection.execute(update(self.table).where(verified).values(active=True, activated_at=at, updated_at=at))
            return _changed(connection, function(user))

    def remove(self, uid: str, function: Change, *, only: Passcode | None = None) -> User | None:
        c = self.table.c
        with writing(self._engine) as connection:
            user = _account(connection, uid)
            if user is None:
                return None
            if only is not None and not connection.execute(delete(self.table).where(self._is(only))).rowcount:
                return None
            others = connection.execute(delete(self.table).where(c.uid == uid)).rowcount
            if only is None and not others:
                return None
            return _changed(connection, function(user))

    def _is(self, passcode: Passcode) -> ColumnElement[bool]:
        """Whether a row is this very key: what is sealed is different each time."""
        c = self.table.c
        return (c.uid == passcode.uid) & (c.active == passcode.active) & (c.sealed == passcode.sealed)


def _account(connection: Connection, uid: str) -> User | None:
    query = select(tables.users).where(tables.users.c.uid == uid).with_for_update()
    row = connection.execute(query).one_or_none()
    return User(**row._mapping) if row else None


def _changed(connection: Connection, user: User) -> User:
    """Write an account's factor and versions; nothing else of it is the business of a key."""
    values = {name: getattr(user, name) for name in ("auth_method", "password_version", "updated_at")}
    connection.execute(update(tables.users).where(tables.users.c.uid == user.uid).values(**values))
    move_generation(connection)
    return user
