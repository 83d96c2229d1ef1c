"""The shortcuts of a server database."""

from auth_server.store.raw_connections import Connections
from auth_server.store.records import AuditEvent, Consent, RefreshFamily, StoredToken, User
from auth_server.store.shortcuts import NOTED, consent, noted, select, storable, user

_TOKEN = f"{select(StoredToken, 'stored_tokens')} WHERE key = $1"
_USER = f"{select(User, 'users')} WHERE name = $1"
_FAMILY = f"{select(RefreshFamily, 'refresh_families')} WHERE family_id = $1"
_CONSENT = f"{select(Consent, 'consents')} WHERE uid = $1 AND client_id = $2"
_ADVANCE = (
    "UPDATE refresh_families SET number = number + 1, used_at = $1, expires_at = $2, data = coalesce($3, data)"
    " WHERE family_id = $4 AND number = $5"
)
_NOTE = f"INSERT INTO audit_events ({', '.join(NOTED)}) VALUES ($1, $2, $3, $4, $5, $6, $7)"


class DatabaseShortcuts:
    """Each is one round trip, where SQLAlchemy makes three or four (`shortcuts.Shortcuts`).

    A server that ends may have done what it did not tell; then it is done twice: an event is noted again, and `advance`
    finds the next number, which its caller takes for a second use within the grace.

    Args:
        connections: to the database of the records.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def token(self, key: bytes) -> StoredToken | None:
        rows = self._connections.rows(_TOKEN, (key,))
        return StoredToken(*rows[0]) if rows else None

    def family(self, family_id: str) -> RefreshFamily | None:
        rows = self._connections.rows(_FAMILY, (family_id,))
        return RefreshFamily(*rows[0]) if rows else None

    def consent(self, uid: str, client_id: str) -> Consent | None:
        return consent(self._connections.rows(_CONSENT, (uid, client_id)))

    def user_by_name(self, name: str) -> User | None:
        return user(self._connections.rows(_USER, (storable(name),)), name)

    def note(self, event: AuditEvent) -> None:
        self._connections.count(_NOTE, noted(event))

    def advance(self, family_id: str, number: int, at: int, expires_at: int, data: bytes | None) -> bool:
        return self._connections.count(_ADVANCE, (at, expires_at, data, family_id, number)) > 0
