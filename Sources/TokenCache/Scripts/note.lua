-- Notes in the tombstone of an ended session that LOGIN was called with one of its tokens since: who presents that token
-- may hold, or be about to hold, a newer one.
-- Flagged allow-oom: a few bytes, without which a login could be lost.
--
-- KEYS[1]   the session
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   first 8 bytes of the token's digest
-- ARGV[3]   most bytes of all marks; the oldest leave
--
-- Reply     {"done" | "absent" | "late", now ms}
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

if not redis.call('HGET', key, 'z') then return {'absent', now} end
local mark, marks = ARGV[2], redis.call('HGET', key, 'o') or ''
for at = 1, #marks, 8 do
  if string.sub(marks, at, at + 7) == mark then return {'done', now} end
end
redis.call('HSET', key, 'o', string.sub(mark .. marks, 1, tonumber(ARGV[3])))
return {'done', now}
