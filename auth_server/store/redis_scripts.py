"""The Lua scripts of the state in Redis.

Layout, under the prefix; an *id* is the key's 32 bytes and the kind's one:

- `entry:<id>` hash: e expires_at, d data, c client_id, s subject, f family, t when taken; what is None is not there
- `all`, `client:<c>`, `subject:<s>`, `family:<f>` sorted sets of ids by kind and order of arrival
- `keys` sorted set of ids by their bytes alone; `expiry` sorted set of ids by expires_at
- `generation` of the records in the database, so that it comes along with other answers (store/generation.py)
- `marks` of entries (recent.py), but for the one that all have in common
- `spent`, `throttles` sorted sets of once-only values by expires_at and of buckets by the time they are full again
- `arrivals` number of the entry that came last; where it is not known, it begins with Redis' clock, so that what comes
  after the data was lost has greater numbers than all that was there before
"""

from hashlib import sha1


class Script:
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
local MARKS = 64  -- as in recent.py
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

local function mark(id, value)  -- whoever remembers an entry goes by this; where there are none, nobody does
  local marks = prefix .. 'marks'
  if redis.call('EXISTS', marks) == 1 then redis.call('SETRANGE', marks, id:byte(1) % MARKS * #value, value) end
end

local function clock()  -- in sixteenths of a millisecond: no more entries come in that time for long, until 2109
  local time = redis.call('TIME')
  return tonumber(time[1]) * 16000 + math.floor(tonumber(time[2]) * 16 / 1000)
end

local function arrive()
  local arrival = redis.call('INCR', prefix .. 'arrivals')
  if arrival > 1 then return arrival end
  arrival = clock()
  redis.call('SET', prefix .. 'arrivals', string.format('%.0f', arrival))
  return arrival
end

local function pass_the_clock(least)  -- the number of the last arrival, which is raised to what could be one by now
  local arrivals = prefix .. 'arrivals'
  local now = math.max(clock(), least, tonumber(redis.call('GET', arrivals) or 0))
  redis.call('SET', arrivals, string.format('%.0f', now))
  return now
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

# Tells whether what was taken for granted is so, if anything was: a generation, and by when a bucket is full again.
PUT = Script("""
local generation, bucket, full_by = ARGV[1], ARGV[2], ARGV[3]
if generation ~= '' and redis.call('GET', prefix .. 'generation') ~= generation then return 0 end
if bucket ~= '' and tonumber(redis.call('ZSCORE', throttles, bucket) or 0) > tonumber(full_by) then return 0 end
local keep, newest, now, id = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local kind = id:byte(-1) * KINDS
if redis.call('EXISTS', prefix .. 'entry:' .. id) == 1 then forget(id) end
remember(id, kind + arrive(), 8)
local value = keep ~= '' and redis.call('HGET', prefix .. 'entry:' .. id, keep)
if not value then return 1 end
local set, last = index[keep] .. value, kind + KINDS - 1
local size = redis.call('ZCOUNT', set, kind, last)
local over = size - newest
if over <= 0 then return 1 end
now = math.min(now, tonumber(redis.call('TIME')[1]))  -- what only our clock takes for dead may live for others (S-137)
local dead = redis.call('ZCOUNT', expiry, '-inf', now)
if dead > 0 then  -- those of this set go first; looked for on the shorter road
  local ids = dead < size and redis.call('ZRANGEBYSCORE', expiry, '-inf', now)
    or redis.call('ZRANGEBYSCORE', set, kind, last)
  for _, one in ipairs(ids) do
    local score, expires_at = redis.call('ZSCORE', set, one), redis.call('ZSCORE', expiry, one)
    if over > 0 and score and one:byte(-1) == id:byte(-1) and expires_at and tonumber(expires_at) <= now then
      forget(one)
      over = over - 1
    end
  end
end
if over > 0 then
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', set, kind, last, 'LIMIT', 0, over)) do forget(old) end
end
return 1
""")

TAKE = Script("""
local id, now, client = ARGV[1], ARGV[2], ARGV[3] or false
local row = read(id)
if not row[2] or expired(row, now) or row[3] ~= client then return false end
if not row[6] then redis.call('HSET', prefix .. 'entry:' .. id, 't', now) end
return row
""")

GIVE_BACK = Script("""
local id, now = ARGV[1], ARGV[2]
if read(id)[6] ~= now then return 0 end
local score = redis.call('ZSCORE', all, id)
forget(id)
remember(id, score, 3)
return 1
""")

SWAP = Script("""
local id, data, now = ARGV[1], ARGV[2], ARGV[3]
local row = read(id)
if row[2] ~= data or row[6] or expired(row, now) then return 0 end
local score = redis.call('ZSCORE', all, id)
forget(id)
remember(id, score, 4)
return 1
""")

SPEND = Script("""
local now = tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  local expires_at = redis.call('ZSCORE', spent, ARGV[i])
  if expires_at and tonumber(expires_at) > now then return i / 2 - 1 end
end
for i = 2, #ARGV, 2 do redis.call('ZADD', spent, ARGV[i + 1], ARGV[i]) end
return -1
""")

# A part of a list: reads *batch* ids from *last* on, and tells how many are yet to be skipped and where to go on.
LIST = Script(
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
FIND_KEYS = Script(
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

# Tells the number of the last arrival, and when the last of these entries expires: 0 if there are none, or too many to
# look at. What comes from now on has greater numbers, also where those that had come were lost.
REVOCATION = Script(
    """
local most, kind, set, low, high = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local NEVER = 2^52
local ids
if low then
  ids = redis.call('ZRANGEBYLEX', keys, low, high)
elseif kind then
  ids = redis.call('ZRANGEBYSCORE', set, kind * KINDS, (kind + 1) * KINDS - 1, 'LIMIT', 0, most + 1)
else
  ids = redis.call('ZRANGE', set, 0, most)
end
local last = 0
if #ids <= most then
  for _, id in ipairs(ids) do
    if not kind or id:byte(-1) == kind then
      last = math.max(last, tonumber(redis.call('ZSCORE', expiry, id) or NEVER))
    end
  end
end
return {pass_the_clock(0), last}
""",
    flags="allow-oom",
)

# Those that came before that moment: at once, and again where an older snapshot has brought them back. First comes a
# new mark.
REVOKE_KEYS = Script(
    """
local gone = 0
for i = 2, #ARGV, 3 do
  local key, kind, newest = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  for _, id in ipairs(redis.call('ZRANGEBYLEX', keys, '[' .. key, '[' .. key .. '\\255')) do
    local came = tonumber(redis.call('ZSCORE', all, id)) % KINDS
    if (not kind or id:byte(-1) == kind) and came <= newest then
      mark(id, ARGV[1])
      gone = gone + forget(id)
    end
  end
end
return gone
""",
    flags="allow-oom",
)

REVOKE_SET = Script(
    """
local batch, set, kind, newest, gone = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), 0
for one = kind or 0, kind or 127 do
  local first = one * KINDS
  local ids = redis.call('ZRANGEBYSCORE', set, first, first + newest, 'LIMIT', 0, batch - gone)
  for _, id in ipairs(ids) do
    mark(id, ARGV[1])
    gone = gone + forget(id)
  end
  if gone >= batch then return gone end
end
return gone
""",
    flags="allow-oom",
)

PASS_THE_CLOCK = Script("pass_the_clock(tonumber(ARGV[1]))", flags="allow-oom")

# A bucket that is emptier than empty was drawn from by a replica whose clock is wrong: it is made just empty (S-137).
DRAW = Script("""
local bucket, cost, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])
local burst, refill = tonumber(ARGV[3]), tonumber(ARGV[4])
local known = redis.call('ZSCORE', throttles, bucket)
local most = now + burst * refill
if known and tonumber(known) > most then
  known = most
  redis.call('ZADD', throttles, most, bucket)
end
local full_at = math.max(tonumber(known or 0), now)
if cost < 0 then
  if known then redis.call('ZADD', throttles, math.max(full_at + cost * refill, now), bucket) end
  return {1, 0}
end
local wait = full_at + math.max(cost, 1) * refill - most
if wait > 0 then return {0, wait} end
redis.call('ZADD', throttles, full_at + cost * refill, bucket)
return {1, 0}
""")

# What is published late must not take the place of what came after it.
PUBLISH = Script(
    """
local known = redis.call('GET', prefix .. 'generation')
if not known or tonumber(known) < tonumber(ARGV[1]) or known == ARGV[2] then
  redis.call('SET', prefix .. 'generation', ARGV[1])
end
""",
    flags="allow-oom",
)

PURGE = Script(
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
