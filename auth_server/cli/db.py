"""`auth-server db`: the store."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auth_server import settings
from auth_server.cli.context import opened, opened_stores, record
from auth_server.cli.output import Output, json_option
from auth_server.cli.verbs import EVERYTHING, Ask, yes_option
from auth_server.domain.users import Changes
from auth_server.errors import AuthServerError, InvalidInput
from auth_server.store.state import Index

if TYPE_CHECKING:
    from auth_server.assembly import Stores
    from auth_server.protocol.server import Server
    from auth_server.settings import Settings

NEVER = 1 << 62  # Unix seconds
BATCH = 2000  # rows, so that no lock is held for long
NO_BACKUP = "is no backup of this server; name a file that `auth-server db backup` wrote"
NO_STORE = "is no store of this server; name the HOME of one"


@click.group()
def db() -> None:
    """The store.

    \b
    Examples:
      auth-server db upgrade
      auth-server db backup /backup/auth-server.db
    """


@db.command()
@json_option
def upgrade(output: Output) -> None:
    """Bring the store to this version's schema; `serve` does it by itself.

    \b
    Example:
      auth-server db upgrade
    """
    with opened_stores() as (_, stores):
        changed = stores.upgrade()
    output.done({"upgraded": changed}, "The store is upgraded." if changed else "The store is up to date.")


@db.command()
@json_option
def check(output: Output) -> None:
    """Check the files, the schema, and that the key-encryption key fits; files that others can read are closed.

    \b
    Example:
      auth-server db check
    """
    from auth_server.store import backups, schema

    with opened_stores() as (_, stores):
        stores.shut_out_others()
        problems = [problem for engine, _ in stores.histories() for problem in backups.integrity(engine)]
        if stores.are_current():
            problems += [str(it) for engine, line in stores.histories() for it in schema.differences(engine, line)]
    if problems:
        raise AuthServerError("\n".join(["the store is damaged; restore a backup:", *problems[:50]]))
    with opened() as server:
        server.records.check()
        server.state.check()
        server.keyring.warm()
        for client in server.clients.page("", EVERYTHING):
            server.clients.mac_secrets(client)
    output.done({"ok": True}, "The store is sound, and the key-encryption key fits.")


@db.command()
@json_option
def purge(output: Output) -> None:
    """Delete what has expired; a running server does it by itself.

    \b
    Example:
      auth-server db purge
    """
    number = 0
    with opened() as server:
        now = server.clock()
        for delete in (server.state.purge, server.records.tokens.purge):
            while gone := delete(now, BATCH):
                number += gone
    output.deleted(number)


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def backup(file: Path, output: Output) -> None:
    """Write a consistent copy of the embedded records to FILE, also while the server runs.

    Sessions are not in it: after a restore people sign in again. Neither is the key-encryption key: keep that apart.

    \b
    Example:
      auth-server db backup /backup/auth-server.db
    """
    from auth_server.store import backups

    if not file.name:
        raise InvalidInput("file", "must have a name")
    with opened_stores() as (_, stores):
        source = backups.file_of(stores.records)
    with opened() as server:
        backups.copy_out(source, file)
        record(server, "db.backup", file=str(file))
    output.done({"file": str(file)}, f"Written to {file}; keep the key-encryption key apart from it.")


@db.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--keep-app-passwords", is_flag=True, help="Keep those that this store does not know (a new machine).")
@yes_option
@json_option
def restore(file: Path, keep_app_passwords: bool, ask: Ask, output: Output) -> None:
    """Replace the records by those of a backup; the server must not run, and the key-encryption key must fit.

    All sessions and tokens end. What was taken away since the backup stays away as far as the present store tells:
    revoked app passwords and consents, removed signing keys, disabled accounts and clients, logins without the second
    factor that an account has now. A removed account comes back.

    \b
    Example:
      auth-server db restore /backup/auth-server.db
    """
    from auth_server.cli.serve import lock_home
    from auth_server.store import backups

    if not file.is_file():
        raise AuthServerError(f"there is no file {file}; name a backup")
    with opened_stores() as (loaded, stores):
        target = backups.file_of(stores.records)
        stores.make_home()
        with lock_home(loaded.home), _candidate(file, loaded, NO_BACKUP) as (candidate, copy):
            ask(f"Replace all records in {target} by those of {file}? What is newer than it is lost.")
            stores.upgrade()
            with opened() as present:
                _take_over_losses(candidate, present, keep_app_passwords=keep_app_passwords)
                backups.raise_generation(copy.records, present.records.generation())
                present.state.revoke(Index.ALL, "")
            backups.copy_in(backups.file_of(copy.records), stores.records)
    with opened() as server:
        server.state.revoke(Index.ALL, "")  # once more: with Redis, the journal of that was replaced too
        record(server, "db.restore", file=str(file))
    click.echo("The passwords and secrets of the backup count again; look through those changed since.", err=True)
    output.done({"restored": str(file)}, f"Restored from {file}; all sessions have ended.")


@db.command("import")
@click.argument("home", type=click.Path(path_type=Path))
@json_option
def import_(home: Path, output: Output) -> None:
    """Move the embedded records of HOME, whose server has stopped, into the empty database that DATABASE_URL names.

    PostgreSQL, MariaDB or MySQL. All records are copied, app passwords and refresh tokens too, and HOME stays as it is;
    sessions and other tokens end. The key-encryption key must be the one of HOME. A backup is restored to a HOME first.

    \b
    Example:
      auth-server db import /var/lib/auth-server
    """
    from auth_server.cli.serve import lock_home
    from auth_server.store import moving

    file = home / "records.db"
    if not file.is_file():
        raise AuthServerError(f"there is no file {file}; name the HOME of an embedded store")
    with opened_stores() as (loaded, stores):
        moving.check_is_server(stores.records)
        stores.make_home()
        with lock_home(home), _candidate(file, loaded, NO_STORE) as (_, copy):
            stores.upgrade()
            moving.fill(copy.records, stores.records)
    with opened() as server:
        record(server, "db.import", home=str(home))
    output.done({"imported": str(home)}, f"The records of {home} are in the database; start no server on {file} again.")


@contextmanager
def _candidate(file: Path, loaded: "Settings", refusal: str) -> Iterator[tuple["Server", "Stores"]]:
    """A server on a copy of the backup, brought to this version's schema; its keys open with our key.

    Args:
        refusal: what is told of a file that holds something else, after its name.

    Raises:
        AuthServerError: the file is no backup, of a newer version, or sealed with another key-encryption key.
    """
    from auth_server import assembly
    from auth_server.store import backups

    with tempfile.TemporaryDirectory(prefix="restore-", dir=loaded.home) as folder:
        path = Path(folder) / "records.db"
        try:
            backups.copy_out(file, path)
        except backups.NotADatabase:
            raise AuthServerError(f"{file} {refusal}") from None
        values = {"home": folder, "keys_dir": loaded.keys_path, "database_url": f"sqlite:///{path}", "redis_url": ""}
        there = settings.load(os.environ, **values).settings
        stores = assembly.stores(there)
        try:
            _check_is_backup(file, stores, refusal)
            stores.upgrade()
            server = assembly.assemble(there, stores)
            server.keyring.warm()
            yield server, stores
            server.close()
        finally:
            stores.close()


def _check_is_backup(file: Path, stores: "Stores", refusal: str) -> None:
    from auth_server.store import schema

    if schema.version(stores.records, schema.RECORDS) is None:
        raise AuthServerError(f"{file} {refusal}")
    try:
        stores.are_current()
    except AuthServerError as error:
        raise AuthServerError(f"{file} cannot be restored: {error}") from None


def _take_over_losses(backup: "Server", present: "Server", *, keep_app_passwords: bool) -> None:
    """Take from the backup what has been taken away since (S-138)."""
    for purge in (backup.records.refresh_families.purge, backup.records.initial_tokens.purge):
        while purge(NEVER, BATCH) == BATCH:  # which of them were used since is not known any more
            pass
    for token in backup.records.tokens.each(backup.clock()):
        if not keep_app_passwords and present.records.tokens.get(token.key) is None:
            backup.records.tokens.remove(key=token.key)
    kept = {key.kid for key in present.keyring.all()}
    for kid in [key.kid for key in backup.keyring.all() if key.kid not in kept]:
        backup.keyring.remove(kid)
    for user in backup.users.page("", EVERYTHING):
        now = present.records.users.get(user.uid)
        for consent in backup.records.consents.page(user.uid, EVERYTHING):
            if not keep_app_passwords and present.records.consents.get(user.uid, consent.client_id) is None:
                backup.records.consents.remove(uid=user.uid, client_id=consent.client_id)
        if now is not None and user.enabled and not now.enabled:
            backup.users.change(user.uid, Changes(enabled=False), keep_admin=False)
        factor = present.records.passcodes.get(user.uid, active=True)
        if factor is not None:  # the password alone is not enough any more, and codes that were used stay used
            backup.second_factor.adopt(factor)
    for client in backup.clients.page("", EVERYTHING):
        today = present.records.clients.get(client.client_id)
        if today is not None and client.enabled and not today.enabled:
            backup.clients.change(client.client_id, {"enabled": False})
