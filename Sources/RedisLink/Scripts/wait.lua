-- A write, so that the WAIT behind it on the same connection covers all that this server wrote before: WAIT itself counts
-- only up to the last write of its own connection. Flagged allow-oom: what replicas have is asked of a full Redis, too.
--
-- KEYS[1]   a key of nobody
--
-- Reply     OK
return redis.call('SET', KEYS[1], 1, 'PX', 2000)
