"""The tables of the short-lived state in a server database (database_state.py); SQLite has its own, in tables.py.

Texts are kept as the bytes of their UTF-8: compared as a whole, whatever the database's collation, and with any
character. In lists an index ends with the number, so that a page begins where the last one ended.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table
from sqlalchemy.dialects.mysql import MEDIUMBLOB, VARBINARY
from sqlalchemy.types import TypeEngine

from auth_server.store.tables import metadata as records

metadata = MetaData(naming_convention=records.naming_convention)


def _bytes(most: int) -> TypeEngine[bytes]:
    return LargeBinary().with_variant(VARBINARY(most), "mysql", "mariadb")


entries = Table(
    "state_entries",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=True),
    Column("kind", Integer, nullable=False),
    Column("key", _bytes(32), nullable=False),
    Column("client_id", _bytes(1020)),
    Column("subject", _bytes(1020)),
    Column("family", _bytes(32)),
    Column("expires_at", BigInteger),
    Column("taken_at", BigInteger),
    Column("data", LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb"), nullable=False),
    postgresql_with={"fillfactor": 90},  # room for a mark beside the row that it is on
)
Index("ux_state_entries_kind_key", entries.c.kind, entries.c.key, unique=True)
Index("ix_state_entries_client_id", entries.c.client_id, entries.c.kind, entries.c.number)
Index("ix_state_entries_subject", entries.c.subject, entries.c.number, postgresql_where=entries.c.subject.is_not(None))
Index("ix_state_entries_family", entries.c.family, entries.c.number, postgresql_where=entries.c.family.is_not(None))
Index("ix_state_entries_expires_at", entries.c.expires_at, postgresql_where=entries.c.expires_at.is_not(None))

spent = Table(
    "state_spent",
    metadata,
    Column("key", _bytes(255), primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

throttles = Table(
    "state_throttles",
    metadata,
    Column("bucket", _bytes(255), primary_key=True),
    Column("full_at", BigInteger, nullable=False, index=True),
)

# One row: what tells whether any of the entries has been revoked (recent.py).
marks = Table(
    "state_marks",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("marks", _bytes(1024), nullable=False),
    postgresql_with={"fillfactor": 10, "autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 1000},
)
