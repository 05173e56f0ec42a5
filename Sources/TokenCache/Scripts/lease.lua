-- Takes a lease, or goes on holding it.
-- Flagged allow-oom: one short string.
--
-- KEYS[1]   the lease
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   who asks
-- ARGV[3]   for how long, ms
-- ARGV[4]   "1" = take it where nobody holds it, whoever held it; else go on holding it
--
-- Reply     {"done" | "held" | "late", now ms}   held: by another, or where it was to be taken, by whomever
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

local holder = redis.call('GET', key)
if ARGV[4] == '1' and holder or ARGV[4] ~= '1' and holder ~= ARGV[2] then return {'held', now} end
redis.call('SET', key, ARGV[2], 'PX', ARGV[3])
return {'done', now}
