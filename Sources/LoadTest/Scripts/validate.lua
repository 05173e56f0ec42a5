-- What a daemon does for a validation, done by Redis itself: the peer of the comparison.
--
-- KEYS[1]   the session, v:<sid>: a hash of d digest, a last access (ms), i idle limit (ms), e absolute end (ms),
--           c created (ms), g generation, s subject
-- ARGV[1]   digest of the verifier that was presented, 32 bytes
--
-- Reply     the map that TOKEN.VALIDATE answers
local record = redis.call('HMGET', KEYS[1], 'd', 'a', 'i', 'e', 'c', 'g', 's')
if record[1] ~= ARGV[1] then return {'status', 'unknown', 'accepted', 0} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local access, idle, absolute_end = tonumber(record[2]), tonumber(record[3]), tonumber(record[4])
if now >= absolute_end or now - access >= idle then return {'status', 'expired', 'accepted', 0} end

return {
  'status', 'valid', 'accepted', 1, 'kind', 'session', 'sid', string.sub(KEYS[1], 3), 'subject', record[7],
  'generation', tonumber(record[6]), 'created', math.floor(record[5] / 1000), 'modified', math.floor(access / 1000),
  'auth_time', 0,
  'expires_in', math.floor((access + idle - now) / 1000), 'absolute_in', math.floor((absolute_end - now) / 1000),
}
