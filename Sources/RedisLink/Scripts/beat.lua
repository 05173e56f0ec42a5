-- Proves that this server lives and may write: a small write that Redis tells to whoever listens, behind all changes
-- before it. All daemons before a server share one beat, so that a hundred of them write no more than one does.
-- Flagged allow-oom: a full Redis still tells.
--
-- KEYS[1]   the beat
-- ARGV[1]   its number: Unix ms by Redis's clock, divided by 200. Only the present one and the one before are taken
--
-- Reply     {"done", now ms}    this call wrote it
--           {"known", now ms}   another one did before
--           {"late", now ms}    the number is not of this time; nothing was written
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local age = math.floor(now / 200) - tonumber(ARGV[1])
if age ~= 0 and age ~= 1 then return {'late', now} end
if redis.call('SET', KEYS[1], 1, 'PX', 2000, 'NX') then return {'done', now} end
return {'known', now}
