-- Puts a tombstone in the place of a session that was made until everyone was logged out.
-- Flagged allow-oom: what it puts there is smaller than what stood there.
--
-- KEYS[1]   the session
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   the epoch, Unix ms
-- ARGV[3]   how long the tombstone stands, ms
-- ARGV[4]   version of the record
--
-- Reply     {"done" | "absent" | "late", now ms}   absent: nothing that was to be ended
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

if redis.call('TYPE', key).ok ~= 'hash' then return {'absent', now} end
local created = tonumber(redis.call('HGET', key, 't'))
if not created or created > tonumber(ARGV[2]) or redis.call('HGET', key, 'z') then return {'absent', now} end
local until_ms = string.format('%.0f', now + ARGV[3])
redis.call('DEL', key)
redis.call('HSET', key, 'v', ARGV[4], 'z', 'admin', 'e', until_ms)
redis.call('PEXPIREAT', key, until_ms)
return {'done', now}
