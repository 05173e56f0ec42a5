-- Enters a session into the index of its subject, before the session itself is written, if not by the same script
-- (`admit.lua`, of which this is a part): whatever a later REVOKEALL
-- must find is there. A member that stands there keeps the later of both ends. Where a limit is kept, logins have numbers:
-- their order over all daemons. One counts when it was written into the session, and not where another login came first.
-- Nobody is taken out here: who finds a member of an ended session tells `tidy`.
--
-- KEYS[1]   the subject's index: sorted set of sid by absolute end (Unix ms)
-- KEYS[2]   the logins' numbers: hash of sid by number, and under "#" the last one. A number is the time in Unix ms, or
--           one more than the last where that is greater
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2]   sid, 32 hex digits
-- ARGV[3]   absolute end of the session, Unix ms
-- ARGV[4]   "1" = a login that gets a number; "0" = one that gets a number where others have one; "" = no login
-- ARGV[5]   most sessions of the subject, for one that has no place yet; "" = any number
-- ARGV[6]   ms after which a session that was entered is written, or never will be
-- ARGV[7…]  n × (sid, score) that were read, and no session found: those that entered longer ago take no place
--
-- Reply     {"done", now ms, {number, sid, score, ...}}   the login's number, or "", and others of the index, to be looked
--                                           at: the first to end, two at random
--           {"full", now ms, places taken}        nothing was changed
--           {"late", now ms}
local index, numbers = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

local sid, absolute_end = ARGV[2], tonumber(ARGV[3])
if ARGV[5] ~= '' and not redis.call('ZSCORE', index, sid) then
  local taken = redis.call('ZCARD', index)
  for at = 7, #ARGV - 1, 2 do
    local entered = tonumber(redis.call('HGET', numbers, ARGV[at]) or 0)
    if redis.call('ZSCORE', index, ARGV[at]) == ARGV[at + 1] and entered + ARGV[6] < now then taken = taken - 1 end
  end
  if taken >= tonumber(ARGV[5]) then return {'full', now, taken} end
end

redis.call('ZADD', index, 'GT', absolute_end, sid)
local number = ''
if ARGV[4] == '1' or (ARGV[4] == '0' and redis.call('EXISTS', numbers) == 1) then
  number = string.format('%.0f', math.max(tonumber(redis.call('HGET', numbers, '#') or 0) + 1, now))
  redis.call('HSET', numbers, '#', number, sid, number)
end
-- Two minutes more than the longest: clocks of masters differ. A new key has no TTL, and GT would take that for the
-- longest of all.
for _, key in ipairs(KEYS) do
  local ttl = redis.call('PTTL', key)
  if ttl == -1 then
    redis.call('PEXPIREAT', key, absolute_end + 120000)
  elseif ttl >= 0 then
    redis.call('PEXPIREAT', key, absolute_end + 120000, 'GT')
  end
end

local others = {number}
if redis.call('ZCARD', index) > 1 then
  for _, part in ipairs(redis.call('ZRANDMEMBER', index, 2, 'WITHSCORES')) do others[#others + 1] = part end
  for _, part in ipairs(redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')) do others[#others + 1] = part end
end
return {'done', now, others}
