"""What a database's refusal means to whoever set it up: what the server said, and what to write or to do instead.

A statement's error may hold values (a row that does not fit): of those only the name is told. What a server says of a
connection, or of rights and names that are missing, holds none.
"""

from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from auth_server.errors import Unavailable

# What the drivers call things: PostgreSQL by SQLSTATE, MariaDB and MySQL by number.
READ_ONLY = ("25006", 1290, 1836)
LOOK = "see whether it runs, and where DATABASE_URL is set: auth-server config show"
LOOK_AT_FILE = "see its folder and its file; HOME and DATABASE_URL say where they are: auth-server config show"
NEW_DATABASE = "CREATE DATABASE NAME OWNER USER TEMPLATE template0 ENCODING 'UTF8'"
_PASSWORD = "correct the user or the password in DATABASE_URL; what is special in a URL is written in percent: @ is %40"
QUERY = "correct what follows the ? in DATABASE_URL"
_NO_DATABASE = f"correct the name in DATABASE_URL, or make it as an administrator: {NEW_DATABASE}"
_OWNER = "let DATABASE_URL name the owner of database and tables; an administrator: ALTER DATABASE NAME OWNER TO USER"
_GRANT = (
    "let an administrator give the user of DATABASE_URL its rights:"
    " GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES, DROP ON NAME.* TO USER"
)
_SCHEMA = "make the schema that search_path names, in DATABASE_URL or for its user, or leave search_path out there"
_WITH_VALUES = (1292, 1366, 1411, 1690)  # though MariaDB's driver calls them errors of its operation
# Errors whose words hold names and no values.
_ADVICE: Mapping[str | int | None, str] = {
    "42501": _OWNER,
    "3F000": _SCHEMA,
    1044: _GRANT,
    1045: _PASSWORD,
    1049: "correct the name in DATABASE_URL, or make it as an administrator: CREATE DATABASE NAME",
    1142: _GRANT,
    1143: _GRANT,
    1227: _GRANT,
}
# What PostgreSQL says to who connects has no code.
_WORDS: Mapping[str, str] = {
    "invalid connection option": QUERY,
    "bad value for": QUERY,
    "connection is bad: invalid": QUERY,
    "password authentication failed": _PASSWORD,
    "no password supplied": _PASSWORD,
    "FATAL:  role": _PASSWORD,
    "FATAL:  database": _NO_DATABASE,
    "server does not support SSL": "switch TLS on in the server (ssl = on), or take sslmode out of DATABASE_URL",
    "no pg_hba.conf entry": "let pg_hba.conf of the server admit user and host, or add sslmode=require to DATABASE_URL",
}


def code(error: BaseException | None) -> str | int | None:
    """Return what the driver calls a failure."""
    if error is not None and error.args and isinstance(error.args[0], int):  # MariaDB's SQLSTATE says less
        return error.args[0]
    return getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None)


def told(error: DBAPIError | PoolTimeout) -> Unavailable:
    """Return what to raise in place of an error: never a statement or its values."""
    if not isinstance(error, DBAPIError):
        return Unavailable(f"the database does not answer ({type(error).__name__})", advice=LOOK)
    original = error.orig
    name = code(original)
    if name in READ_ONLY:
        return Unavailable("the database is read-only", advice="let DATABASE_URL lead to the server that takes writes")
    words = str(original.args[-1] if original is not None and original.args else original).partition("\n")[0][:200]
    if name in _ADVICE:
        return Unavailable(f"the database refuses ({words})", advice=_ADVICE[name])
    look = LOOK_AT_FILE if hasattr(original, "sqlite_errorname") else LOOK
    if name in _WITH_VALUES or (error.statement is not None and not isinstance(error, OperationalError)):
        kind = f"{type(original).__name__} {name or ''}".rstrip()
        return Unavailable(f"the database refuses ({kind})", advice=look)
    advice = next((advice for part, advice in _WORDS.items() if part in words), look)
    return Unavailable(f"the database does not answer ({words or type(error).__name__})", advice=advice)
