-- Puts a key with all that it holds in the place of what stood there, and gives it its end: there is none without one.
--
-- KEYS[1]   the key
-- ARGV[1]   how long it is to live, ms; 0 = it is taken away
-- ARGV[2]   "1" = in the place of what stands there; "0" = beside it: the next part of a long one
-- ARGV[3]   "hash", "set" or "text"
-- ARGV[4…]  field, value, …; score, member, …; the value
--
-- Reply     OK
local key = KEYS[1]
if ARGV[2] == '1' then redis.call('DEL', key) end
if ARGV[1] == '0' then return redis.status_reply('OK') end

if ARGV[3] == 'text' then
  redis.call('SET', key, ARGV[4])
else
  local command = ARGV[3] == 'hash' and 'HSET' or 'ZADD'
  -- More than a few thousand arguments are too many for one call.
  for at = 4, #ARGV, 2000 do redis.call(command, key, unpack(ARGV, at, math.min(at + 1999, #ARGV))) end
end
local time = redis.call('TIME')
redis.call('PEXPIREAT', key, string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]))
return redis.status_reply('OK')
