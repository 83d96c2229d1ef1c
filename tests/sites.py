"""A whole server in this process, over its embedded stores, with a clock that tests move."""

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.test import Client as HttpClient

from auth_server import assembly
from auth_server.domain.passwords import Passwords
from auth_server.http.lane import Application
from auth_server.protocol.feature import Authorization, Feature
from auth_server.protocol.server import Server
from auth_server.protocol.tokens.access_token import issue
from auth_server.settings import Settings
from auth_server.store import recent
from auth_server.store.records import User
from tests.stored import stored

ISSUER = "https://auth.example.org"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
recent.TERM = 0  # who calls the domain without HTTP does not wait; tests/store/test_recent.py has the real one
ELSEWHERE = {"home", "keys_dir", "database_url", "key_encryption_key"}  # who names one has stores or keys of their own


class Compiled(BytecodeCache):
    """The pages' templates, compiled once for all sites of a process."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.code


Flask.jinja_options = {"bytecode_cache": Compiled()}


class Clock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass(frozen=True)
class Site:
    """A server, its WSGI application, and a client that asks it."""

    server: Server
    application: Application
    http: HttpClient
    clock: Clock

    def token(self, scope: str, form: str = "opaque") -> str:
        """Return a token of a client that was just registered with *scope*."""
        client = self.server.clients.add({"client_name": "test", "scope": scope}).client
        allowed = Authorization("client", "oauth2", "client_credentials", scope, 3600, client, form=form)
        return issue(allowed, self.server).value

    def session(self, user: User) -> str:
        """Return the session of a person who signed in."""
        return issue(Authorization("local", "default", "password", "", 3600, user=user), self.server).value

    def stored(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return what is kept: the same before and after a request that is refused."""
        return stored(self.server.settings.home)

    def app_password(self, user: User, scope: str) -> str:
        """Return an app password of *user*."""
        allowed = Authorization("application", "default", "cli", scope, None, user=user, form="app_password")
        return issue(allowed, self.server).value


def site(
    folder: Path,
    features: Callable[[], tuple[Feature, ...]] = tuple,
    hasher: PasswordHasher = CHEAP,
    **settings: Any,
) -> Site:
    """Return a server that keeps everything in *folder*.

    All of a process begin with the same keys, but those whose settings say where theirs are.

    Args:
        features: more of them, beside those of the catalogue.
        hasher: of people's passwords; the default takes microseconds.
        settings: by name; the issuer is ISSUER where none is given.
    """
    clock = Clock()
    if not settings.get("database_url", "sqlite").startswith("sqlite"):
        clock.now = int(time.time())  # that of the database: a server whose clock is another leaves work to others
    if not ELSEWHERE & settings.keys() and not any((folder / part).exists() for part in ("home", "keys")):
        shutil.copytree(_begun(*settings.get("signing_algs", ())), folder, dirs_exist_ok=True)
    stores, server = _assembled(folder, clock, hasher, settings)
    server = replace(server, features=(*server.features, *features()))
    application = assembly.application(server, stores)
    return Site(server, application, HttpClient(application), clock)


def _assembled(
    folder: Path, clock: Clock, hasher: PasswordHasher, settings: Mapping[str, Any]
) -> tuple[assembly.Stores, Server]:
    given = {"issuer": ISSUER, "home": folder / "home", "keys_dir": folder / "keys", "log_level": "error", **settings}
    made = Settings(**given)
    stores = assembly.stores(made)
    stores.upgrade()
    server = assembly.assemble(made, stores, clock, passwords=Passwords(hasher))
    server.keyring.advance()
    return stores, server


@cache
def _begun(*algorithms: str) -> Path:
    """Return a folder with migrated stores and the first keys, to be copied: to make them takes ten times as long.

    Args:
        algorithms: of the keys; those of the settings' default where none is given.
    """
    folder = Path(tempfile.mkdtemp(prefix="site-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    stores, server = _assembled(folder, Clock(), CHEAP, {"signing_algs": algorithms} if algorithms else {})
    server.close()
    stores.close()
    return folder
