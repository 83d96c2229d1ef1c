"""Short-lived state in Redis (7.0 or later) or Valkey, for any number of replicas.

Each method is one command or one Lua script, so that it happens as a whole. Layout, under the prefix; an *id* is
the key's 32 bytes and the kind's one:

- `entry:<id>` hash: e expires_at, d data, c client_id, s subject, f family, t when taken; what is None is not there
- `all`, `client:<c>`, `subject:<s>`, `family:<f>` sorted sets of ids by kind and order of arrival
- `keys` sorted set of ids by their bytes alone; `expiry` sorted set of ids by expires_at
- `spent`, `throttles` sorted sets of once-only values by expires_at and of buckets by the time they are full again

No key has a TTL of Redis's own. That would run by Redis's clock and not by ours, would leave ids without entries in
the sorted sets, and a `volatile-…` eviction policy would then drop a spent jti to make room. `purge` deletes what has
expired. For the same reason the policy must not be `allkeys-…`.

Redis decides how long an acknowledged write lasts: it survives the death of our processes always, that of Redis
with `appendonly yes`, power loss at once only with `appendfsync always`.

In a cluster all keys must be in one slot, because a script touches entries and their indexes together: the prefix
then holds a hash tag, such as `{as}:`.
"""

import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from hashlib import sha1
from itertools import islice
from typing import Any

from hiredis import pack_command
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as BrokenConnection
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from auth_server.errors import AuthServerError, Unavailable
from auth_server.store.state import Allowance, Entry, Index, Keep, Kind, OnceKey, Page, Rate, Taken, key_range

TIMEOUT = 2.0  # seconds to connect, and to wait for a part of an answer
_BATCH = 1000  # entries that one script reads or deletes; Redis serves nobody else meanwhile
_NEWEST = 2**46 - 1  # no entry of a kind arrives later
_FIELD = {Index.SUBJECT: "s", Index.CLIENT: "c", Index.FAMILY: "f"}
_SET = {Index.ALL: b"all", Index.SUBJECT: b"subject:", Index.CLIENT: b"client:", Index.FAMILY: b"family:"}
_KIND = tuple(bytes([number]) for number in range(128))


class _Script:
    """A Lua script with the functions that several scripts share before it; KEYS[1] is the prefix.

    Args:
        body: what the script does.
        flags: when it may run nevertheless. By its first line Redis refuses a script before it begins, and never
            half-way, when it is out of memory, a replica, or cannot write to its disk.
    """

    def __init__(self, body: str, flags: str = "") -> None:
        self.source = "#!lua" + (f" flags={flags}" if flags else "") + "\n" + _SHARED + body
        self.digest = sha1(self.source.encode(), usedforsecurity=False).hexdigest()  # how Redis names scripts


_SHARED = """
local prefix = KEYS[1]
local all, keys, expiry = prefix .. 'all', prefix .. 'keys', prefix .. 'expiry'
local spent, throttles = prefix .. 'spent', prefix .. 'throttles'
local index = {s = prefix .. 'subject:', c = prefix .. 'client:', f = prefix .. 'family:'}
local KINDS = 2^46  -- a score is kind * KINDS + order of arrival: exact below 2^53

local function remember(id, score, first)  -- fields and values stand in ARGV from first on
  redis.call('HSET', prefix .. 'entry:' .. id, unpack(ARGV, first))
  redis.call('ZADD', all, score, id)
  redis.call('ZADD', keys, 0, id)
  for i = first, #ARGV, 2 do
    local field, value = ARGV[i], ARGV[i + 1]
    if field == 'e' then
      redis.call('ZADD', expiry, value, id)
    elseif index[field] then
      redis.call('ZADD', index[field] .. value, score, id)
    end
  end
end

local function forget(id)
  local row = redis.call('HMGET', prefix .. 'entry:' .. id, 's', 'c', 'f')
  redis.call('ZREM', all, id)
  redis.call('ZREM', keys, id)
  redis.call('ZREM', expiry, id)
  if row[1] then redis.call('ZREM', index.s .. row[1], id) end
  if row[2] then redis.call('ZREM', index.c .. row[2], id) end
  if row[3] then redis.call('ZREM', index.f .. row[3], id) end
  return redis.call('DEL', prefix .. 'entry:' .. id)
end

local function read(id)
  return redis.call('HMGET', prefix .. 'entry:' .. id, 'e', 'd', 'c', 's', 'f', 't')
end

local function expired(row, now)
  return row[1] and tonumber(row[1]) <= tonumber(now)
end

local function living(id, now)  -- what `read` gives, with the key in place of the mark; nil for the dead and taken
  local row = read(id)
  if not row[2] or row[6] or expired(row, now) then return nil end
  row[6] = id:sub(1, -2)
  return row
end
"""

_PUT = _Script("""
local keep, newest, now, id = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local kind = id:byte(-1) * KINDS
if redis.call('EXISTS', prefix .. 'entry:' .. id) == 1 then forget(id) end
remember(id, kind + redis.call('INCR', prefix .. 'arrivals'), 5)
local value = keep ~= '' and redis.call('HGET', prefix .. 'entry:' .. id, keep)
if not value then return end
local set, last = index[keep] .. value, kind + KINDS - 1
local size = redis.call('ZCOUNT', set, kind, last)
local over = size - newest
if over <= 0 then return end
local dead = redis.call('ZCOUNT', expiry, '-inf', now)
if dead > 0 then  -- those of this set go first; looked for on the shorter road
  local ids = dead < size and redis.call('ZRANGEBYSCORE', expiry, '-inf', now)
    or redis.call('ZRANGEBYSCORE', set, kind, last)
  for _, one in ipairs(ids) do
    local score, expires_at = redis.call('ZSCORE', set, one), redis.call('ZSCORE', expiry, one)
    if score and one:byte(-1) == id:byte(-1) and expires_at and tonumber(expires_at) <= now then
      forget(one)
      over = over - 1
    end
  end
end
if over > 0 then
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', set, kind, last, 'LIMIT', 0, over)) do forget(old) end
end
""")

_TAKE = _Script("""
local id, now, client = ARGV[1], ARGV[2], ARGV[3] or false
local row = read(id)
if not row[2] or expired(row, now) or row[3] ~= client then return false end
if not row[6] then redis.call('HSET', prefix .. 'entry:' .. id, 't', now) end
return row
""")

_SWAP = _Script("""
local id, data, now = ARGV[1], ARGV[2], ARGV[3]
local row = read(id)
if row[2] ~= data or row[6] or expired(row, now) then return 0 end
local score = redis.call('ZSCORE', all, id)
forget(id)
remember(id, score, 4)
return 1
""")

_SPEND = _Script("""
local now = tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  local expires_at = redis.call('ZSCORE', spent, ARGV[i])
  if expires_at and tonumber(expires_at) > now then return i / 2 - 1 end
end
for i = 2, #ARGV, 2 do redis.call('ZADD', spent, ARGV[i + 1], ARGV[i]) end
return -1
""")

# A part of a list: reads *batch* ids from *last* on, and tells how many are yet to be skipped and where to go on.
_LIST = _Script(
    """
local kind, now, skip = tonumber(ARGV[1]) * KINDS, ARGV[2], tonumber(ARGV[3])
local batch, last, set = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local ids = redis.call('ZREVRANGEBYSCORE', set, kind + last, kind, 'LIMIT', 0, batch)
local found = {}
for _, id in ipairs(ids) do
  local row = living(id, now)
  if row and skip > 0 then
    skip = skip - 1
  elseif row then
    table.insert(found, row)
  end
end
local following = #ids == batch and tonumber(redis.call('ZSCORE', set, ids[batch])) - kind - 1 or -1
return {found, skip, following}
""",
    flags="no-writes",
)

# By a range of keys: few, so they can be sorted here.
_FIND_KEYS = _Script(
    """
local kind, now, low, high = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local ids, score, found = {}, {}, {}
for _, id in ipairs(redis.call('ZRANGEBYLEX', keys, low, high)) do
  if id:byte(-1) == kind then
    table.insert(ids, id)
    score[id] = tonumber(redis.call('ZSCORE', all, id))
  end
end
table.sort(ids, function(a, b) return score[a] > score[b] end)
for _, id in ipairs(ids) do table.insert(found, living(id, now)) end
return found
""",
    flags="no-writes",
)

_REVOKE = _Script(
    """
local batch, kind, set, low, high = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local ids
if low then
  ids = redis.call('ZRANGEBYLEX', keys, low, high)
elseif kind then
  ids = redis.call('ZRANGEBYSCORE', set, kind * KINDS, (kind + 1) * KINDS - 1, 'LIMIT', 0, batch)
else
  ids = redis.call('ZRANGE', set, 0, batch - 1)
end
local gone = 0
for _, id in ipairs(ids) do
  if not kind or id:byte(-1) == kind then gone = gone + forget(id) end
end
return gone
""",
    flags="allow-oom",
)

_DRAW = _Script("""
local bucket, cost, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])
local burst, refill = tonumber(ARGV[3]), tonumber(ARGV[4])
local known = redis.call('ZSCORE', throttles, bucket)
local full_at = math.max(tonumber(known or 0), now)
if cost < 0 then
  if known then redis.call('ZADD', throttles, math.max(full_at + cost * refill, now), bucket) end
  return {1, 0}
end
local wait = full_at + math.max(cost, 1) * refill - burst * refill - now
if wait > 0 then return {0, wait} end
if cost > 0 then redis.call('ZADD', throttles, full_at + cost * refill, bucket) end
return {1, 0}
""")

_PURGE = _Script(
    """
local now, limit, gone = ARGV[1], tonumber(ARGV[2]), 0
local function dead(set) return ipairs(redis.call('ZRANGEBYSCORE', set, '-inf', now, 'LIMIT', 0, limit - gone)) end
for _, id in dead(expiry) do gone = gone + forget(id) end
for _, key in dead(spent) do gone = gone + redis.call('ZREM', spent, key) end
for _, bucket in dead(throttles) do gone = gone + redis.call('ZREM', throttles, bucket) end
return gone
""",
    flags="allow-oom",
)


class RedisState:
    """State of many machines.

    Args:
        url: redis://, rediss:// or unix://, with database, user and password as redis-py reads them.
        prefix: what every key begins with.

    Raises:
        AuthServerError: the URL has no form, or options that are none.
    """

    def __init__(self, url: str, prefix: str = "as:") -> None:
        self._prefix = prefix.encode()
        self._entry = self._prefix + b"entry:"
        try:
            self._pool = ConnectionPool.from_url(
                url,
                protocol=2,  # nothing arrives unasked
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=Retry(NoBackoff(), 0),  # the one who asked decides whether to try again
                max_connections=2**31,  # counts all that were ever opened; there is one a thread at a time
            )
            self._pool.make_connection()  # opens nothing yet, but refuses what is no option
        except (ValueError, TypeError) as error:
            raise AuthServerError(f"REDIS_URL: cannot be used: {error}") from None
        self._local = threading.local()
        self._opening = threading.Lock()
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()  # redis-py leaves their methods untyped

    # ---- connections: one a thread, opened when first used; none crosses a fork
    def _connection(self) -> Any:
        """Return this thread's connection, without an answer that nobody waits for (S-135)."""
        local = self._local
        if getattr(local, "pid", 0) != os.getpid():
            local.connection, local.pid = self._pool.make_connection(), os.getpid()
            with self._opening:
                self._connections.add(local.connection)
        connection = local.connection
        if connection.is_connected:
            try:
                if connection.can_read():
                    connection.disconnect()
            except BrokenConnection:
                connection.disconnect()  # Redis closed it meanwhile; the next command opens it again
        return connection

    def _exchange(self, *command: bytes | str | int) -> Any:
        """Send one command and return its whole answer, or throw the connection away."""
        connection = self._connection()
        try:
            packed = pack_command(command)  # type: ignore[arg-type]  # hiredis means a tuple of any length
            connection.send_packed_command((packed,), check_health=False)
            return connection.read_response()
        except ResponseError:
            raise  # an answer too, and complete
        except BaseException:
            connection.disconnect()
            raise

    def _ask(self, *command: bytes | str | int) -> Any:
        try:
            return self._exchange(*command)
        except RedisError as error:
            raise Unavailable(f"Redis does not answer ({type(error).__name__})") from error

    def _run(self, script: _Script, *arguments: bytes | str | int) -> Any:
        try:
            try:
                return self._exchange(b"EVALSHA", script.digest, 1, self._prefix, *arguments)
            except NoScriptError:  # nothing happened: Redis is new, or forgot its scripts
                return self._exchange(b"EVAL", script.source, 1, self._prefix, *arguments)
        except RedisError as error:
            raise Unavailable(f"Redis does not answer ({type(error).__name__})") from error

    # ---- the interface
    def put(self, kind: Kind, entry: Entry, now: int, *, keep: Keep | None = None) -> None:
        field, newest = (_FIELD[keep.index], keep.newest) if keep is not None else ("", 0)
        self._run(_PUT, field, newest, now, entry.key + _KIND[kind], *_fields(entry))

    def get(self, kind: Kind, key: bytes, now: int) -> Entry | None:
        row = self._ask(b"HMGET", self._entry + key + _KIND[kind], b"e", b"d", b"c", b"s", b"f", b"t")
        if row[1] is None or row[5] is not None:
            return None
        entry = _entry(key, row)
        return entry if entry.expires_at is None or entry.expires_at > now else None

    def take(self, kind: Kind, key: bytes, client_id: str | None, now: int) -> Taken | None:
        client = () if client_id is None else (client_id,)
        row = self._run(_TAKE, key + _KIND[kind], now, *client)
        return Taken(_entry(key, row), first=row[5] is None) if row else None

    def swap(self, kind: Kind, old: Entry, new: Entry, now: int) -> bool:
        return bool(self._run(_SWAP, old.key + _KIND[kind], old.data, now, *_fields(new)))

    def spend(self, keys: Sequence[OnceKey], now: int) -> OnceKey | None:
        pairs = (part for once in keys for part in (once.key, once.expires_at))
        known: int = self._run(_SPEND, now, *pairs)
        return keys[known] if known >= 0 else None

    def find(self, kind: Kind, index: Index, value: str, page: Page, now: int) -> Sequence[Entry]:
        if index is Index.KEY:
            rows = self._run(_FIND_KEYS, int(kind), now, *_range(*key_range(value)))
            return [_entry(row[5], row) for row in rows[page.offset : page.offset + page.limit]]
        batch = min(page.offset + page.limit, _BATCH)
        return list(islice(self._listed(kind, self._set(index, value), now, page.offset, batch), page.limit))

    def each(self, kind: Kind, now: int) -> Iterator[Entry]:
        return self._listed(kind, self._set(Index.ALL, ""), now, 0, _BATCH)

    def _listed(self, kind: Kind, where: bytes, now: int, skip: int, batch: int) -> Iterator[Entry]:
        """Yield the living entries of a set but the first *skip*, newest first; each script reads *batch* of them."""
        last = _NEWEST
        while last >= 0:
            rows, skip, last = self._run(_LIST, int(kind), now, skip, batch, last, where)
            for row in rows:
                yield _entry(row[5], row)

    def revoke(self, index: Index, value: str, kind: Kind | None = None) -> int:
        where: tuple[bytes, ...] = (self._set(index, value),)
        if index is Index.KEY:
            if len(value) != 64:  # a part of a key must not kill all that begin with it
                return 0
            where += _range(bytes.fromhex(value), bytes.fromhex(value))
        gone = 0
        while True:
            batch: int = self._run(_REVOKE, _BATCH, "" if kind is None else int(kind), *where)
            gone += batch
            if batch < _BATCH:
                return gone

    def _set(self, index: Index, value: str) -> bytes:
        if index in (Index.ALL, Index.KEY):
            return self._prefix + b"all"
        return self._prefix + _SET[index] + (bytes.fromhex(value) if index is Index.FAMILY else value.encode())

    def draw(self, bucket: str, cost: int, rate: Rate, now: int) -> Allowance:
        allowed, wait = self._run(_DRAW, bucket, cost, rate.burst, rate.refill, now)
        return Allowance(bool(allowed), wait)

    def purge(self, now: int, limit: int) -> int:
        gone: int = self._run(_PURGE, now, limit)
        return gone

    def sync(self) -> None:
        """Do nothing: Redis syncs by its own setting `appendfsync`."""

    def check(self) -> None:
        self._ask(b"PING")

    def close(self) -> None:
        with self._opening:
            for connection in list(self._connections):
                connection.disconnect()


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
