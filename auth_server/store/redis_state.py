"""Short-lived state in Redis (7.0 or later) or Valkey, for any number of replicas.

Each method is one command or one Lua script, so that it happens as a whole. Layout and scripts: redis_scripts.py.

No key has a TTL of Redis's own. That would run by Redis's clock and not by ours, would leave ids without entries in
the sorted sets, and a `volatile-…` eviction policy would then drop a spent jti to make room. `purge` deletes what has
expired. For the same reason the policy must not be `allkeys-…`.

Redis decides how long an acknowledged write lasts: it survives the death of our processes always, that of Redis
with `appendonly yes`, power loss at once only with `appendfsync always`. What must last whatever Redis is told to do
is the business of redis_with_journal.py.

In a cluster all keys are in one slot, because a script touches entries and their indexes together: the prefix holds
a hash tag. More nodes do not make it faster, then; they take over. While that slot is moved from node to node, entries
can be read, and all that takes a script has to wait: where a script runs, all its keys must be.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

from redis.exceptions import AskError, ClusterDownError, NoScriptError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as BrokenConnection

from auth_server import redis_url
from auth_server.errors import AuthServerError, Unavailable
from auth_server.store import redis_scripts
from auth_server.store.ahead import Ahead
from auth_server.store.guess import Granted
from auth_server.store.recent import MARK, MARKED, MARKS, Recent, mark_of, new_mark
from auth_server.store.redis_connection import Closed, Command, RedisConnection
from auth_server.store.redis_refusals import A_CLUSTER, NO_CLUSTER, unavailable
from auth_server.store.redis_topology import ask, topology
from auth_server.store.silence import Silence
from auth_server.store.state import (
    BATCH,
    Allowance,
    Entry,
    Index,
    Keep,
    Kind,
    OnceKey,
    Page,
    Rate,
    Taken,
    is_part_of_key,
    key_range,
)

_NEWEST = 2**46 - 1  # no entry of a kind arrives later
_UNUSED = 0.002  # seconds after which a thread looks whether Redis has closed its connection meanwhile
_FIELD = {Index.SUBJECT: "s", Index.CLIENT: "c", Index.FAMILY: "f"}
_SET = {Index.ALL: b"all", Index.SUBJECT: b"subject:", Index.CLIENT: b"client:", Index.FAMILY: b"family:"}
_FIELDS = (b"e", b"d", b"c", b"s", b"f", b"t")
_ALLOWED = Allowance(True, 0)
_KIND = tuple(bytes([number]) for number in range(128))
# Answers that say: not here. Nothing has happened; somebody else may be master by now, or have our slot.
_ELSEWHERE = (ReadOnlyError, AskError, ClusterDownError)  # MOVED is an AskError too


@dataclass(frozen=True, slots=True)
class Revocation:
    """What is revoked, so that it can be done again where Redis has come back with older data.

    Args:
        arrival: number of the last entry that had come at that moment: none that came later is meant.
        expires_at: when the last of it expires; 0 if that is not known.
    """

    index: Index
    value: str
    kind: Kind | None
    arrival: int
    expires_at: int


class RedisState:
    """State of many machines.

    Args:
        url: a REDIS_URL, in one of the forms of redis_url.py.
        prefix: what every key begins with; in a cluster it holds a hash tag. The default has one there.
        admit: is told who the Redis behind each new connection is, before that is used: its `run_id`, another one after
            each start, and its `master_replid`, another one when it has got the data of a master, or becomes one. In
            it this state may be used already.
        learn: is told the generation of the records when it comes along with an answer.

    Raises:
        AuthServerError: the URL has no form, or options that are none.
    """

    is_far = True

    def __init__(
        self,
        url: str,
        prefix: str = "",
        admit: Callable[[str], None] | None = None,
        learn: Callable[[int], None] | None = None,
    ) -> None:
        try:
            where = self._where = redis_url.read(url)
        except ValueError as error:
            raise AuthServerError(f"REDIS_URL: {error}") from None
        self._prefix = (prefix or ("{as}:" if where.kind == "cluster" else "as:")).encode()
        database = where.options.get("db", 0)
        self._part = "" if (database, self._prefix) == (0, b"as:") else f" {database} {self._prefix.decode()}"
        self._entry = self._prefix + b"entry:"
        self._generation, self._throttles = self._prefix + b"generation", self._prefix + b"throttles"
        self._topology, self._admit, self._learn = topology(where, self._prefix), admit, learn
        self._marks = self._prefix + b"marks"
        self._ahead, self._recent = Ahead(), Recent()
        self.mark, self.settle = self._recent.mark, self._recent.settle
        self._local, self._epoch, self._silence = threading.local(), 0, Silence("Redis")
        self._opening = threading.Lock()
        self._connections: weakref.WeakSet[RedisConnection] = weakref.WeakSet()

    # ---- connections: one a thread, opened when first used; none crosses a fork
    def _connection(self, *, unseen: bool = False) -> RedisConnection:
        """Return this thread's connection, without an answer that nobody waits for (S-135): else it was closed.

        Args:
            unseen: do not look whether Redis has closed it meanwhile: that costs a system call.
        """
        self._silence.check()
        local = self._local
        if getattr(local, "pid", 0) != os.getpid():
            local.connection, local.pid = None, os.getpid()
        connection: RedisConnection | None = local.connection
        if connection is not None and connection.is_open():
            now = time.monotonic()
            # One that is being let in has just said who it is: if others look anew meanwhile, this thread does later.
            is_known = local.epoch == self._epoch or getattr(local, "is_admitting", False)
            if is_known and (unseen or now - connection.used_at < _UNUSED or connection.is_quiet()):
                connection.used_at = now
                return connection
            connection.close()
        if getattr(local, "is_admitting", False):
            raise BrokenConnection("Redis went away again")
        local.epoch, since = self._epoch, time.monotonic()
        try:
            connection = local.connection = self._topology.open()
        except RedisError:
            self._silence.noticed(since)
            raise
        connection.used_at = since
        with self._opening:
            self._connections.add(connection)
        if self._admit is not None:
            self._let_in(connection, self._admit)
        return connection

    def _let_in(self, connection: RedisConnection, admit: Callable[[str], None]) -> None:
        local = self._local
        local.is_admitting = True
        try:
            lines = self._asked_first(connection).splitlines()
            told: dict[bytes, bytes] = dict(line.split(b":", 1) for line in lines if b":" in line)
            if told.get(b"role") != b"master" or b"run_id" not in told:
                raise BrokenConnection("it is a replica, or does not say who it is")
            unfit, why = (b"0", NO_CLUSTER) if self._where.kind == "cluster" else (b"1", A_CLUSTER)
            if told.get(b"cluster_enabled") == unfit:
                raise ResponseError(why)
            local.identity = (told[b"run_id"] + b" " + told.get(b"master_replid", b"")).decode() + self._part
            local.common_mark = sha256(local.identity.encode()).digest()[:MARK]
            admit(local.identity)
        except BaseException:  # nothing is swallowed: who was not let in must not be used
            connection.close()
            raise
        finally:
            local.is_admitting = False

    def _asked_first(self, connection: RedisConnection) -> bytes:
        try:
            info: bytes = connection.ask(b"INFO", b"server", b"replication", b"cluster")
        except BrokenConnection:
            self._silence.noticed(connection.used_at)
            raise
        self._silence.over()
        return info

    @property
    def identity(self) -> str:
        """Who the Redis is that this thread talked to last: another one with each start and each change of master.

        Those who share a server, but not its database or the prefix, share nothing: they have different ones too.
        """
        return str(self._local.identity)

    def reopen(self) -> None:
        """Let each thread open a new connection for its next command, and so ask anew where to go."""
        self._epoch += 1

    def leave(self) -> None:
        """Close this thread's connection: the next command asks anew where to go."""
        self._local.connection.close()

    def _exchange(self, *command: bytes | str | int) -> Any:
        """Send one command and return its answer; if it says to ask elsewhere, hang up."""
        connection = self._connection()
        try:
            answer = connection.ask(*command)
        except BrokenConnection:
            self._silence.noticed(connection.used_at)
            raise
        except _ELSEWHERE:
            self.leave()
            raise
        self._silence.over()
        return answer

    def _read(self, *commands: Command) -> list[Any]:
        """Send commands that only read, and may be sent again where the connection turns out to be closed."""
        connection = self._connection(unseen=True)
        try:
            try:
                answers = connection.exchange(*commands)
            except Closed:
                connection = self._connection()
                answers = connection.exchange(*commands)
        except BrokenConnection:
            self._silence.noticed(connection.used_at)
            raise
        self._silence.over()
        return answers

    def _send(self, *command: bytes | str | int) -> Any:
        """Send one command to whom has our keys now."""
        try:
            return self._exchange(*command)
        except _ELSEWHERE:
            return self._exchange(*command)

    def _ask(self, *command: bytes | str) -> Any:
        """Send a command with one key that only reads; it follows that key on its way to another node of a cluster."""
        try:
            try:
                return self._send(*command)
            except AskError as moving:
                connection = self._topology.open_at((moving.host, moving.port))
                ask(connection, b"ASKING")
                answer = ask(connection, *command)
                connection.close()
                return answer
        except RedisError as error:
            raise unavailable(error, self._where) from error

    def _ask_and_more(self, *command: bytes | str, hear: bool = False) -> tuple[Any, int | None]:
        """Send a command like `_ask`; return the generation too. What is asked for soon comes along as well.

        Args:
            hear: whether to ask for the marks too, and remember the answers; what is asked for soon has that done.
        """
        ahead, asked_at = self._ahead, self._recent.monotonic()
        soon = () if ahead.id is None else ((b"HMGET", ahead.id, *_FIELDS),)
        also = ((b"GET", self._marks),) if hear or soon else ()  # first: what is read of an entry is then no older
        try:
            answers = self._read(*also, command, (b"GET", self._generation), *soon)
        except RedisError as error:
            raise unavailable(error, self._where) from error
        if any(isinstance(answer, ResponseError) for answer in answers):
            return self._ask(*command), self.generation()  # these see to what may be wrong
        answer, number = answers[len(also) : len(also) + 2]
        generation = None if number is None else int(number)
        if also:
            marks = getattr(self._local, "common_mark", bytes(MARK)) + (answers[0] or self._new_marks())
            self._recent.hear(asked_at, marks, generation)
            if soon:
                ahead.row, ahead.marks = answers[-1], marks
        if self._learn is not None and generation is not None:
            self._learn(generation)
        return answer, generation

    def _new_marks(self) -> bytes:
        """Make marks where there are none; return some that nobody has, for what is read before there are any."""
        with suppress(Unavailable):  # a Redis that takes nothing: then each time
            self._ask(b"SET", self._marks, new_mark(MARKS), b"NX")
        return new_mark(MARKS)

    def _run(self, script: redis_scripts.Script, *arguments: bytes | str | int) -> Any:
        try:
            try:
                return self._send(b"EVALSHA", script.digest, 1, self._prefix, *arguments)
            except NoScriptError:  # nothing happened: Redis is new, or forgot its scripts
                return self._send(b"EVAL", script.source, 1, self._prefix, *arguments)
        except RedisError as error:
            raise unavailable(error, self._where) from error

    # ---- the interface
    def put(self, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> None:
        self.put_if(Granted(), kind, entry, now, keep=keep)

    def put_if(self, granted: Granted, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> bool:
        condition = ("" if granted.generation is None else granted.generation, granted.bucket, granted.full_by)
        field, newest = (_FIELD[keep.index], keep.newest) if keep is not None else ("", 0)
        id_ = entry.key + _KIND[kind]
        return bool(self._run(redis_scripts.PUT, *condition, field, newest, now, id_, *_fields(entry)))

    def holds(self, granted: Granted) -> bool:
        full_at, generation = self._ask_and_more(b"ZSCORE", self._throttles, granted.bucket)
        return granted.is_right(generation, int(full_at or 0))

    def guess(self) -> AbstractContextManager[None]:
        return nullcontext()

    def get(self, kind: Kind, key: bytes, now: int) -> Entry | None:
        id_ = self._entry + key + _KIND[kind]
        came = self._ahead.taken(id_)
        row = came or self._ask_and_more(b"HMGET", id_, *_FIELDS)[0]
        if row[1] is None or row[5] is not None:
            return None
        entry = _entry(key, row)
        if came is not None and kind in MARKED:
            entry.mark = mark_of(key, self._ahead.marks)
        return entry if entry.expires_at is None or entry.expires_at > now else None

    def ahead(self, kind: Kind, key: bytes) -> AbstractContextManager[None]:
        self._ahead.id = self._entry + key + _KIND[kind]
        return self._ahead

    def take(self, kind: Kind, key: bytes, client_id: str | None, now: int) -> Taken | None:
        client = () if client_id is None else (client_id,)
        row = self._run(redis_scripts.TAKE, key + _KIND[kind], now, *client)
        return Taken(_entry(key, row), first=row[5] is None) if row else None

    def give_back(self, kind: Kind, entry: Entry, now: int) -> None:
        """Let an entry be taken once more, by the one who did so at *now*: it came to nothing."""
        self._run(redis_scripts.GIVE_BACK, entry.key + _KIND[kind], now, *_fields(entry))

    def swap(self, kind: Kind, old: Entry, new: Entry, now: int) -> bool:
        return bool(self._run(redis_scripts.SWAP, old.key + _KIND[kind], old.data, now, *_fields(new)))

    def spend(self, keys: Sequence[OnceKey], now: int) -> OnceKey | None:
        pairs = (part for once in keys for part in (once.key, once.expires_at))
        known: int = self._run(redis_scripts.SPEND, now, *pairs)
        return keys[known] if known >= 0 else None

    def find(self, kind: Kind, index: Index, value: str, page: Page, now: int) -> Sequence[Entry]:
        if index is Index.KEY:
            rows = self._run(redis_scripts.FIND_KEYS, int(kind), now, *_range(*key_range(value)))
            return [_entry(row[5], row) for row in rows[page.offset : page.offset + page.limit]]
        batch = min(page.offset + page.limit, BATCH)
        return list(islice(self._listed(kind, self._set(index, value), now, page.offset, batch), page.limit))

    def each(
        self, kind: Kind, now: int, index: Index = Index.ALL, value: str = "", *, batch: int = BATCH
    ) -> Iterator[Entry]:
        return self._listed(kind, self._set(index, value), now, 0, batch)

    def _listed(self, kind: Kind, where: bytes, now: int, skip: int, batch: int) -> Iterator[Entry]:
        """Yield the living entries of a set but the first *skip*, newest first; each script reads *batch* of them."""
        last = _NEWEST
        while last >= 0:
            rows, skip, last = self._run(redis_scripts.LIST, int(kind), now, skip, batch, last, where)
            for row in rows:
                yield _entry(row[5], row)

    def revoke(self, index: Index, value: str, kind: Kind | None = None) -> int:
        if is_part_of_key(index, value):
            return 0
        return self.revoke_as(self.revocation(index, value, kind))

    def revocation(self, index: Index, value: str, kind: Kind | None) -> Revocation:
        """Return what is to be revoked: all that has come by now; nothing has happened to it yet."""
        where: tuple[bytes, ...] = (self._set(index, value),)
        if index is Index.KEY:
            where += _range(bytes.fromhex(value), bytes.fromhex(value))
        arrival, last = self._run(redis_scripts.REVOCATION, BATCH, "" if kind is None else int(kind), *where)
        return Revocation(index, value, kind, arrival, last)

    def revoke_as(self, one: Revocation) -> int:
        """Delete what is to be revoked, as far as it is here; return how many entries died."""
        kind = "" if one.kind is None else int(one.kind)
        gone: int = 0
        if one.index is Index.KEY:
            gone = self._run(redis_scripts.REVOKE_KEYS, new_mark(), bytes.fromhex(one.value), kind, one.arrival)
            self._ended(one.kind)
            return gone
        where = self._set(one.index, one.value)
        while True:
            some: int = self._run(redis_scripts.REVOKE_SET, new_mark(), BATCH, where, kind, one.arrival)
            gone += some
            if some < BATCH:
                self._ended(one.kind)
                return gone

    def _ended(self, kind: Kind | None) -> None:
        if kind in MARKED:
            self._recent.end()

    def revoke_again(self, revocations: Iterable[Revocation]) -> None:
        """Delete what has come back of entries that were revoked; what comes from now on is newer than all those."""
        keys: list[bytes | str | int] = []
        newest = 0
        for one in revocations:
            newest = max(newest, one.arrival)
            if one.index is Index.KEY:
                keys += (bytes.fromhex(one.value), "" if one.kind is None else int(one.kind), one.arrival)
                if len(keys) >= BATCH:
                    self._run(redis_scripts.REVOKE_KEYS, new_mark(), *keys)
                    keys = []
            else:
                self.revoke_as(one)
        if keys:
            self._run(redis_scripts.REVOKE_KEYS, new_mark(), *keys)
        self._run(redis_scripts.PASS_THE_CLOCK, newest)

    def _set(self, index: Index, value: str) -> bytes:
        if index in (Index.ALL, Index.KEY):
            return self._prefix + b"all"
        return self._prefix + _SET[index] + (bytes.fromhex(value) if index is Index.FAMILY else value.encode())

    def draw(self, bucket: str, cost: int, rate: Rate, now: int) -> Allowance:
        if cost == 0:  # only a question, by a command: a Redis that is full refuses scripts that might write
            if self._ahead.id is None and self._recent.knows(bucket, self._learn):
                return _ALLOWED
            asked_at = self._recent.monotonic()
            full_at = self._ask_and_more(b"ZSCORE", self._throttles, bucket, hear=True)[0]
            full_at, most = int(full_at or 0), now + rate.burst * rate.refill
            if full_at <= now:
                self._recent.hear_untouched(asked_at, bucket)
            if full_at <= most:
                wait = max(full_at, now) + rate.refill - most
                return Allowance(wait <= 0, max(wait, 0))
        self._recent.touch(bucket)
        allowed, wait = self._run(redis_scripts.DRAW, bucket, cost, rate.burst, rate.refill, now)
        return Allowance(bool(allowed), wait)

    def purge(self, now: int, limit: int) -> int:
        gone: int = self._run(redis_scripts.PURGE, now, limit)
        return gone

    def generation(self) -> int | None:
        """Return the generation of the records that was published; None if that is lost."""
        known = self._ask(b"GET", self._generation)
        return None if known is None else int(known)

    def publish_generation(self, value: int, in_place_of: int | None = None) -> None:
        """Remember the generation of the records, unless a higher one is known; or if *in_place_of* is."""
        try:
            self._run(redis_scripts.PUBLISH, value, "" if in_place_of is None else in_place_of)
        except Unavailable:
            self._recent.end_unheard()
            raise
        self._recent.end()

    def sync(self) -> None:
        """Do nothing: Redis syncs by its own setting `appendfsync`."""

    def check(self) -> None:
        self._ask(b"EXISTS", self._prefix)  # of a cluster not any node, but the one that has our keys

    def close(self) -> None:
        with self._opening:
            for connection in list(self._connections):
                connection.close()


def _range(low: bytes, high: bytes) -> tuple[bytes, bytes]:
    """Two keys as ends of a range of ids, as ZRANGEBYLEX wants them."""
    return b"[" + low, b"[" + high + b"\xff"


def _fields(entry: Entry) -> list[bytes | str | int]:
    """An entry as fields and values of its hash; what is None stays out."""
    fields: list[bytes | str | int] = [b"d", entry.data]
    if entry.expires_at is not None:
        fields += b"e", entry.expires_at
    if entry.client_id is not None:
        fields += b"c", entry.client_id
    if entry.subject is not None:
        fields += b"s", entry.subject
    if entry.family is not None:
        fields += b"f", entry.family
    return fields


def _entry(key: bytes, row: Sequence[Any]) -> Entry:
    expires_at, data, client_id, subject = row[:4]
    return Entry(
        key,
        None if expires_at is None else int(expires_at),
        data,
        None if client_id is None else client_id.decode(),
        None if subject is None else subject.decode(),
        row[4],
    )
