"""What hot paths ask of the durable records by a driver alone: SQLAlchemy Core costs 100 µs a statement over it."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Protocol

import orjson
from sqlalchemy import JSON, Boolean

from auth_server.store import tables
from auth_server.store.records import AuditEvent, Consent, RefreshFamily, StoredToken, User

Row = tuple[Any, ...]
NOTED = ("at", "event", "outcome", "actor", "client_id", "address", "details")


class Shortcuts(Protocol):
    """Each does what the repository's method does, with the same errors."""

    def token(self, key: bytes) -> StoredToken | None:
        """Return what `StoredTokens.get` does."""

    def family(self, family_id: str) -> RefreshFamily | None:
        """Return what `RefreshFamilies.get` does."""

    def consent(self, uid: str, client_id: str) -> Consent | None:
        """Return what `Consents.get` does."""

    def user_by_name(self, name: str) -> User | None:
        """Return what `Users.by_name` does, known or not in the same time."""

    def note(self, event: AuditEvent) -> None:
        """Do what `Audit.note` does."""

    def advance(self, family_id: str, number: int, at: int, expires_at: int, data: bytes | None) -> bool:
        """Do what `RefreshFamilies.advance` does."""


def select(record: type[Any], table: str) -> str:
    """Return the beginning of a question for all that a record has."""
    return f"SELECT {', '.join(field.name for field in fields(record))} FROM {table}"


def _from_driver(name: str) -> Callable[[Any], Any] | None:
    """What SQLAlchemy would make of a column's value; None where it is used as it is."""
    kind = tables.users.c[name].type
    if isinstance(kind, JSON):
        return orjson.loads
    return bool if isinstance(kind, Boolean) else None


_USER_COLUMNS = [(place, make) for place, field in enumerate(fields(User)) if (make := _from_driver(field.name))]


def user(rows: Sequence[Row], name: str) -> User | None:
    """Return the account that was found by the `storable` form of a name."""
    if not rows or storable(name) != name:
        return None
    values = list(rows[0])
    for place, make in _USER_COLUMNS:
        values[place] = make(values[place])
    return User(*values)


def consent(rows: Sequence[Row]) -> Consent | None:
    """Return the consent that was found."""
    if not rows:
        return None
    values = list(rows[0])
    values[-1] = tuple(orjson.loads(values[-1]))
    return Consent(*values)


def storable(name: str) -> str:
    """Return what somebody sent as a name as every driver takes it; if that is not the same, nobody is called so."""
    return name.replace("\0", "").encode("utf-8", "ignore").decode()


def noted(event: AuditEvent) -> Sequence[object]:
    """Return an event's values, in the order of `NOTED`."""
    details = orjson.dumps(dict(event.details)).decode()
    return (event.at, event.event, event.outcome, event.actor, event.client_id, event.address, details)
