-- Leaves the mark of a daemon, by which the others know that it is there and what it is like. Marks that nobody renewed
-- leave on the way.
--
-- KEYS[1]   the marks: a hash of daemon by "<Unix ms> <what it says>"
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   which daemon
-- ARGV[3]   what it says of itself
-- ARGV[4]   how long a mark is kept, ms
--
-- Reply     {"done" | "known" | "late", now ms, {daemon, mark, ...}}   known: this daemon's stood there already
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

local verdict = redis.call('HGET', key, ARGV[2]) and 'known' or 'done'
redis.call('HSET', key, ARGV[2], string.format('%.0f', now) .. ' ' .. ARGV[3])
local marks, kept = redis.call('HGETALL', key), {}
for at = 1, #marks, 2 do
  local left_at = tonumber(string.match(marks[at + 1], '^%d+'))
  -- One from the future is from before the clock went back.
  if left_at and now - left_at < tonumber(ARGV[4]) and left_at - now < 60000 then
    kept[#kept + 1] = marks[at]
    kept[#kept + 1] = marks[at + 1]
  else
    redis.call('HDEL', key, marks[at])
  end
end
redis.call('PEXPIREAT', key, string.format('%.0f', now + ARGV[4]))
return {verdict, now, kept}
