-- Spends a captcha: the first attempt, by whichever daemon, wins.
--
-- KEYS[1]   the mark of the captcha
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   nonce of the attempt: one that is sent twice is still the same attempt
-- ARGV[3]   how long the mark is kept, ms
--
-- Reply     {"done" | "spent" | "late", now ms}
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

local before = redis.call('SET', key, ARGV[2], 'NX', 'PX', ARGV[3], 'GET')
if not before or before == ARGV[2] then return {'done', now} end
return {'spent', now}
