"""Write the next migration from the difference between the newest schema and the tables."""

import sys
import tempfile

from auth_server.store import engine, schema


def main(name: str, message: str) -> None:
    """Upgrade an empty store, compare, write."""
    history = {"records": schema.RECORDS, "state": schema.STATE}[name]
    with tempfile.TemporaryDirectory() as folder:
        database = engine.create(f"sqlite:///{folder}/empty.db")
        schema.upgrade(database, history)
        schema.write_migration(database, history, message)


main(*sys.argv[1:3])
