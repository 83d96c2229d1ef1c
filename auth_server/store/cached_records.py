"""Records with an exact in-process cache of what every request reads: clients, users, signing keys.

Exact: before each answer the store's generation is asked for, and a copy of an older generation is never used. On
SQLite a look at mapped memory answers; elsewhere one small SELECT, or what came along with another.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from auth_server.store.records import (
    Audit,
    Client,
    Clients,
    Consents,
    InitialTokens,
    Leases,
    Outbox,
    Passcodes,
    Records,
    RefreshFamilies,
    SigningKeys,
    StoredKey,
    StoredTokens,
    User,
    Users,
)

R = TypeVar("R", User, Client)

SIZE = 20000  # records of each kind in memory at most


@dataclass(slots=True)
class _Copies:
    """What has been read while the generation stood still."""

    generation: int
    users: dict[str, User] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    keys: Sequence[StoredKey] | None = None


class CachedRecords:
    """Records that remember clients, users and keys.

    Args:
        records: where everything really stands.
    """

    def __init__(self, records: Records) -> None:
        self._records, self.is_far = records, records.is_far
        self._copies = _Copies(-1)
        self._look = _Look(records)
        self.generation: Callable[[], int] = records.generation
        self.users: Users = _CachedUsers(records.users, self.fresh)
        self.clients: Clients = _CachedClients(records.clients, self.fresh)
        self.keys: SigningKeys = _CachedKeys(records.keys, self.fresh)
        self.initial_tokens: InitialTokens = records.initial_tokens
        self.passcodes: Passcodes = records.passcodes
        self.tokens: StoredTokens = records.tokens
        self.consents: Consents = records.consents
        self.refresh_families: RefreshFamilies = records.refresh_families
        self.outbox: Outbox = records.outbox
        self.audit: Audit = records.audit
        self.leases: Leases = records.leases

    def fresh(self) -> _Copies:
        """Return copies that are true now, or were at some time since this thread's look began."""
        look = self._look
        if look.copies is not None:
            return look.copies
        generation = self.generation()
        copies = self._copies
        if copies.generation != generation:
            copies = self._copies = _Copies(generation)
        if look.is_on:
            look.copies = copies
        return copies

    def is_silent(self) -> bool:
        return self._records.is_silent()

    def one_look(self) -> AbstractContextManager[None]:
        return self._look

    def sync(self) -> None:
        self._records.sync()

    def publish(self) -> None:
        self._records.publish()

    def time(self) -> int | None:
        return self._records.time()

    def check(self) -> None:
        self._records.check()

    def close(self) -> None:
        self._records.close()


class _Look(threading.local):
    """What this thread looks at, while it does; the generation is asked for when the first copy is wanted."""

    copies: _Copies | None = None
    is_on = False

    def __init__(self, records: Records) -> None:
        self._inner = records.one_look()

    def __enter__(self) -> None:
        self._inner.__enter__()
        self.is_on = True

    def __exit__(self, *error: Any) -> None:
        self.is_on, self.copies = False, None
        self._inner.__exit__(*error)


class _CachedUsers:
    def __init__(self, users: Users, fresh: Callable[[], _Copies]) -> None:
        self._users, self._fresh = users, fresh
        self.by_name, self.add, self.change = users.by_name, users.add, users.change
        self.remove, self.page, self.note_login = users.remove, users.page, users.note_login

    def get(self, uid: str) -> User | None:
        copies = self._fresh().users
        user = copies.get(uid)
        if user is None:
            user = self._users.get(uid)
            if user is not None and len(copies) < SIZE:
                copies[uid] = user
        return user

    def many(self, uids: Collection[str]) -> Mapping[str, User]:
        return _many(uids, self._fresh().users, self._users.many)


class _CachedClients:
    def __init__(self, clients: Clients, fresh: Callable[[], _Copies]) -> None:
        self._clients, self._fresh = clients, fresh
        self.add, self.change, self.remove = clients.add, clients.change, clients.remove
        self.page, self.public = clients.page, clients.public
        self.unused, self.reap = clients.unused, clients.reap

    def get(self, client_id: str) -> Client | None:
        copies = self._fresh().clients
        client = copies.get(client_id)
        if client is None:
            client = self._clients.get(client_id)
            if client is not None and len(copies) < SIZE:
                copies[client_id] = client
        return client

    def many(self, client_ids: Collection[str]) -> Mapping[str, Client]:
        return _many(client_ids, self._fresh().clients, self._clients.many)


def _many(
    wanted: Collection[str], copies: dict[str, R], read: Callable[[Collection[str]], Mapping[str, R]]
) -> Mapping[str, R]:
    """Return the records that exist: copies, and those of which there is none by one statement."""
    known = {name: copy for name in wanted if (copy := copies.get(name)) is not None}
    found = read([name for name in wanted if name not in known])
    if len(copies) + len(found) < SIZE:
        copies.update(found)
    return {**known, **found}


class _CachedKeys:
    def __init__(self, keys: SigningKeys, fresh: Callable[[], _Copies]) -> None:
        self._keys, self._fresh = keys, fresh

    def all(self) -> Sequence[StoredKey]:
        copies = self._fresh()
        keys = copies.keys
        if keys is None:
            keys = copies.keys = self._keys.all()
        return keys

    def edit(self, function: Callable[[Sequence[StoredKey]], Sequence[StoredKey]]) -> Sequence[StoredKey]:
        return self._keys.edit(function)
