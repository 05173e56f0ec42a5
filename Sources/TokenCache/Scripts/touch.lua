-- Records an access, unless another daemon just did. Never creates a key, never moves the absolute end.
-- Flagged allow-oom: a full Redis must not log anybody out.
--
-- KEYS[1]   the session
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   touch interval, ms: a recorded access younger than this is left alone
--
-- Reply     {"done" | "recent" | "absent" | "late", now ms}
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

local record = redis.call('HMGET', key, 'a', 'i', 'e')
local access, idle, absolute_end = tonumber(record[1]), tonumber(record[2]), tonumber(record[3])
if not access or not idle or not absolute_end then return {'absent', now} end
if now - access < tonumber(ARGV[2]) then return {'recent', now} end

redis.call('HSET', key, 'a', now)
redis.call('PEXPIREAT', key, math.min(now + idle, absolute_end))
return {'done', now}
