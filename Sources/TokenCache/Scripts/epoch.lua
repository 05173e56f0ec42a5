-- Logs everyone out: from now on a session that was made until this moment is ended, and so is a guest.
-- Flagged allow-oom: a few bytes, for the worst of days.
--
-- KEYS[1]   the epoch
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   how long it is kept, ms: as long as any session or guest may live
--
-- Reply     {"done" | "late", now ms, the epoch in Unix ms}
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

-- Guests are judged by whole seconds, and whoever was made since the last time is later than that.
local epoch = math.max(now, (tonumber(redis.call('GET', key) or 0) or 0) + 1000)
redis.call('SET', key, string.format('%.0f', epoch), 'PX', ARGV[2])
return {'done', now, epoch}
