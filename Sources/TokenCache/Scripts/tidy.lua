-- Puts an index right by what was read of its members' sessions. A living session keeps its place. A member without a
-- session is first condemned: its score becomes two minutes from now, longer than a session that was entered before may
-- still take to be written and than clocks of masters may differ. Whoever finds no session after that takes it out.
-- Nothing is done about a member whose score is not the one that was read: it was entered again. Where a tombstone was
-- written the member leaves at once: what entered before can be written no more.
-- Flagged allow-oom: what it takes away is what fills Redis.
--
-- KEYS[1]   the subject's index: sorted set of sid by absolute end (Unix ms); that of a condemned one has a half more
-- KEYS[2]   the logins' numbers: hash of sid by number
-- ARGV[1]   not-after, Unix ms by Redis's clock
-- ARGV[2…]  n × (sid, score that was read, finding): the absolute end of the living session in Unix ms, "gone", or
--           "ended", whatever the score, where a tombstone was written by whoever says so
--
-- Reply     {"done" | "late", now ms, members taken out}
local index, numbers = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

local margin, removed = 120000, 0
for at = 2, #ARGV - 2, 3 do
  local sid, seen, finding = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local score = tonumber(seen)
  if finding ~= 'ended' and (redis.call('ZSCORE', index, sid) ~= seen or not score) then
    -- Entered again, or taken out by another.
  elseif finding ~= 'gone' and finding ~= 'ended' then
    if tonumber(finding) > score then
      redis.call('ZADD', index, 'GT', finding, sid)
      for _, key in ipairs(KEYS) do
        if redis.call('PTTL', key) >= 0 then redis.call('PEXPIREAT', key, tonumber(finding) + margin, 'GT') end
      end
    end
  elseif finding == 'ended' or (score % 1 ~= 0 and score <= now) or score + margin <= now then
    redis.call('HDEL', numbers, sid)
    removed = removed + redis.call('ZREM', index, sid)
  elseif score > now + margin then
    redis.call('ZADD', index, string.format('%.1f', now + margin + 0.5), sid)
  end
end
if removed > 0 and redis.call('EXISTS', index) == 0 then redis.call('DEL', numbers) end
return {'done', now, removed}
