-- Logs everyone out: from now on, or from the moment that other servers were told, a session that was made until then is
-- ended, and so is a guest. Never goes back.
-- Flagged allow-oom: a few bytes, for the worst of days.
--
-- KEYS[1]   the epoch, of this server
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   how long it is kept, ms: as long as any session or guest may live
-- ARGV[3]   the moment, Unix ms; empty: now
--
-- Reply     {"done" | "late", now ms, the epoch in Unix ms}
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

local before = tonumber(redis.call('GET', key) or 0) or 0
-- Guests are judged by whole seconds, and whoever was made since the last time is later than that.
local epoch = tonumber(ARGV[3]) or math.max(now, before + 1000)
if epoch <= before then return {'done', now, before} end
redis.call('SET', key, string.format('%.0f', epoch), 'PX', ARGV[2])
return {'done', now, epoch}
