-- Enters a session into the index of its subject and writes it, at one moment: for where both stand on one server. Above
-- stand `enter` and `commit`, as the files of these names say them.
--
-- KEYS[1]   the session
-- KEYS[2]   the subject's index
-- KEYS[3]   the logins' numbers
-- ARGV      those of `commit`, and behind them sid, absolute end and login as `enter` takes them. The login's number is one
--           more field to set
--
-- A login that is sent twice, as its answer was lost, has a new number the second time; that of the session stays.
--
-- Reply     that of `commit`, and behind its detail that of `enter`: {number, sid, score, ...}
--           {"late", now ms}              nothing was changed; but the place stands where the time ran out in between
local last = #ARGV
local entered = enter({KEYS[2], KEYS[3]}, {ARGV[1], ARGV[last - 2], ARGV[last - 1], ARGV[last], ''})
if entered[1] ~= 'done' then return entered end

local number = entered[3][1]
if number ~= '' then
  local sets = tonumber(ARGV[6])
  table.insert(ARGV, 11 + 2 * sets, 'N')
  table.insert(ARGV, 12 + 2 * sets, number)
  ARGV[6] = sets + 1
end
local reply = commit({KEYS[1]}, ARGV)
reply[4] = entered[3]
return reply
