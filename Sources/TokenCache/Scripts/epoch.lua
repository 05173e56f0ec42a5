-- Logs everyone out: a session that was made until the epoch is ended, and so is a guest. Never goes back.
-- Flagged allow-oom: a few bytes, for the worst of days.
--
-- KEYS[1]   the epoch, of this server
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   how long it is kept, ms: as long as any session or guest may live
-- ARGV[3]   what the epoch is to be at least, Unix ms: that of other servers
-- ARGV[4]   "1" = everyone is logged out now: by this clock, too, and once more where it was done before
--
-- Reply     {"done" | "late", now ms, the epoch in Unix ms}
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

local before = tonumber(redis.call('GET', key) or 0) or 0
-- Guests are judged by whole seconds, and whoever was made since the last time is later than that.
local epoch = tonumber(ARGV[3])
if ARGV[4] == '1' then epoch = math.max(epoch, now, before + 1000) end
if epoch <= before then return {'done', now, before} end
redis.call('SET', key, string.format('%.0f', epoch), 'PX', ARGV[2])
return {'done', now, epoch}
