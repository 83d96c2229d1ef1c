"""The SQLAlchemy tables of the durable records. Migrations bring a store to exactly this; a test compares them."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.mysql import VARBINARY

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives out ascending row ids only for INTEGER primary keys.
_Number = BigInteger().with_variant(Integer, "sqlite")
# MariaDB and MySQL index no BLOB as a whole.
_Digest = LargeBinary(32).with_variant(VARBINARY(32), "mysql")

users = Table(
    "users",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("uid", String(16), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("role", String(64), nullable=False),
    Column("email", String(255), nullable=False),
    Column("email_verified", Boolean, nullable=False),
    Column("display_name", String(255), nullable=False),
    Column("claims", JSON, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("super_admin", Boolean, nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("password_version", Integer, nullable=False),
    Column("token_version", Integer, nullable=False, server_default="1"),
    Column("must_change_password", Boolean, nullable=False),
    Column("auth_method", String(16), nullable=False, server_default="default"),
    Column("login_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# Of each account the key that is in force, and one that waits to be confirmed and activated.
passcodes = Table(
    "passcodes",
    metadata,
    Column("uid", String(16), ForeignKey("users.uid", ondelete="CASCADE"), primary_key=True),
    Column("active", Boolean, primary_key=True),
    Column("type", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("recovery_hash", String(255), nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("verified_at", BigInteger),
    Column("activated_at", BigInteger),
)

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(255), primary_key=True),
    Column("client_name", String(255), nullable=False, index=True),
    Column("enabled", Boolean, nullable=False),
    Column("owner_uid", String(16), ForeignKey("users.uid", ondelete="CASCADE"), index=True),
    Column("role", String(64), nullable=False),
    Column("secrets", JSON, nullable=False),
    Column("token_endpoint_auth_method", String(64), nullable=False),
    Column("strict_auth_method", Boolean, nullable=False),
    Column("grant_types", JSON, nullable=False),
    Column("response_types", JSON, nullable=False),
    Column("redirect_uris", JSON, nullable=False),
    Column("post_logout_redirect_uris", JSON, nullable=False),
    Column("scope", Text, nullable=False),
    Column("audience", JSON, nullable=False),
    Column("resource", JSON, nullable=False),
    Column("token_format", String(16), nullable=False),
    Column("access_token_ttl", BigInteger),
    Column("token_limit", Integer, nullable=False),
    Column("jwks", JSON(none_as_null=True)),
    Column("jwks_uri", Text, nullable=False),
    Column("require_par", Boolean, nullable=False),
    Column("require_dpop", Boolean, nullable=False),
    Column("first_party", Boolean, nullable=False),
    Column("profile", String(32), nullable=False, server_default="oauth21"),
    Column("metadata", JSON, nullable=False),
    Column("token_version", Integer, nullable=False, server_default="1"),
    Column("registration_token", String(64), nullable=False, server_default=""),
    Column("unused_until", BigInteger, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

initial_tokens = Table(
    "initial_tokens",
    metadata,
    Column("key", _Digest, primary_key=True),
    Column("uses", Integer, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

# What a person allowed a client; asked again only for more.
consents = Table(
    "consents",
    metadata,
    Column("uid", String(16), ForeignKey("users.uid", ondelete="CASCADE"), primary_key=True),
    Column("client_id", String(255), ForeignKey("clients.client_id", ondelete="CASCADE"), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("claims", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# One row for all refresh tokens of one authorization. No token and no digest of one is in it: see refresh_tokens.py.
refresh_families = Table(
    "refresh_families",
    metadata,
    Column("family_id", String(64), primary_key=True),
    Column("uid", String(16), ForeignKey("users.uid", ondelete="CASCADE"), nullable=False, index=True),
    Column("client_id", String(255), ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("number", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("data", LargeBinary, nullable=False),
)

# What must not be lost with the short-lived store: app passwords, tokens made on the command line. No foreign keys:
# a token's death is the domain's business and must not depend on the order of deletes.
stored_tokens = Table(
    "stored_tokens",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("key", _Digest, nullable=False, unique=True),
    Column("subject", String(16), index=True),
    Column("client_id", String(255)),
    Column("expires_at", BigInteger, index=True),
    Column("data", LargeBinary, nullable=False),
)

# What clients must still be told. No foreign key: for a client that is gone it is dropped when its turn comes.
outbox = Table(
    "outbox",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("client_id", String(255), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, index=True),
    Column("ends_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
)
Index("ix_outbox_client_id", outbox.c.client_id, outbox.c.due_at)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("alg", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("public_jwk", JSON, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("published_at", BigInteger, nullable=False),
    Column("activates_at", BigInteger),
    Column("retires_at", BigInteger),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("event", String(64), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("client_id", String(255), nullable=False),
    Column("address", String(64), nullable=False),
    Column("details", JSON, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

# One row. Its number moves, in the same transaction, with every change that cached copies must notice.
generation = Table(
    "generation",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
)

# What was revoked in Redis, as long as it could live there: done again where Redis comes back with older data.
revocations = Table(
    "revocations",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("by", Integer, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("kind", Integer),
    Column("arrival", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

# One row: the Redis in which all that has been done.
reconciled_redis = Table(
    "reconciled_redis",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=False),
    Column("identity", String(128), nullable=False),
)

# The embedded short-lived state: a file of its own, with a history of migrations of its own (sql_state.py).
state_metadata = MetaData(naming_convention=metadata.naming_convention)

entries = Table(
    "entries",
    state_metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("kind", Integer, nullable=False),
    Column("key", LargeBinary(32), nullable=False),
    Column("client_id", String(255)),
    Column("subject", String(255)),
    Column("family", LargeBinary(32)),
    Column("expires_at", BigInteger),
    Column("taken_at", BigInteger),
    Column("data", LargeBinary, nullable=False),
)
Index("ux_entries_kind_key", entries.c.kind, entries.c.key, unique=True)
Index("ix_entries_kind_client_id", entries.c.kind, entries.c.client_id, entries.c.number, entries.c.expires_at)
Index("ix_entries_subject", entries.c.subject, sqlite_where=entries.c.subject.is_not(None))
Index("ix_entries_family", entries.c.family, sqlite_where=entries.c.family.is_not(None))

spent = Table(
    "spent",
    state_metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

throttles = Table(
    "throttles",
    state_metadata,
    Column("bucket", String(255), primary_key=True),
    Column("full_at", BigInteger, nullable=False, index=True),
)
