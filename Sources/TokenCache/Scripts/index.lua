-- Enters a session into the index of its subject, before the session itself is written: whatever a later
-- REVOKEALL must find is there. Members whose session has ended by its absolute limit leave on the way.
--
-- KEYS[1]   the subject's index: sorted set of sid by absolute end (Unix ms)
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   sid, 32 hex digits
-- ARGV[3]   absolute end of the session, Unix ms
--
-- Reply     {"done" | "late", now ms}
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
redis.call('ZADD', key, 'GT', ARGV[3], ARGV[2])
-- The TTL only ever grows; a new key has none, and GT would take that for the longest of all.
if redis.call('PTTL', key) < 0 then
  redis.call('PEXPIREAT', key, ARGV[3])
else
  redis.call('PEXPIREAT', key, ARGV[3], 'GT')
end
return {'done', now}
