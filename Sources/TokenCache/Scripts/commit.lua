-- Writes one change of a session, if the session is still as it was when the change was decided.
--
-- Loaded twice: as `commit` (flagged allow-oom: rotation, confirmation, new limits, data that is taken, the end of a
-- session must work on a full Redis, too) and as `store` (not flagged: new sessions, logins and data need memory). It is a
-- part of `admit.lua`, too, as a function of KEYS and ARGV: it sets no globals.
--
-- KEYS[1]   the session
-- ARGV[1]   not-after, Unix ms by Redis's clock: past it nothing is changed
-- ARGV[2]   revision the change was decided on; "" = there is no session; "*" = any living one
-- ARGV[3]   Unix ms at which the key expires; "" = as it is
-- ARGV[4]   "1" = put the new fields in place of all that stood there
-- ARGV[5]   most bytes that names and values of data may have together
-- ARGV[6]   n, ARGV[7] m, ARGV[8] d, ARGV[9] c: then n × (field, value) to set, m fields to delete,
--           d × (data name, value), an empty value removes the field; c × (data name, value) that must stand there for
--           anything to be changed, an empty value: no such field
-- ARGV[10]  "add" = the one value of data is a number, not 0, that is added to what stands there, to 0 where nothing does;
--           "take" = the reply tells what data stood there; "" = neither
--
-- Reply     {"done", now ms, data fields changed}      "add": the sum, as text; "take": {data name, value, ...}
--           {"changed", now ms, {field, value, ...}}   another change came first; what stands there now
--           {"conflict", now ms, {data name, value, ...}}   the data is not as it must be; what it is
--           {"late", now ms}                           not-after has passed
--           {"large", now ms, bytes}                   the data would have so many bytes; nothing was changed
--           {"number", now ms}                         what stands there is no integer of 64 bits, or the sum would be
--                                                      none; nothing was changed
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', now} end

local expected = ARGV[2]
local revision = redis.call('HGET', key, 'r')
local as_expected
if expected == '' then
  as_expected = redis.call('EXISTS', key) == 0
else
  as_expected = revision and (expected == '*' or revision == expected)
end
if not as_expected then return {'changed', now, redis.call('HGETALL', key)} end

local sets, deletes, data, conditions = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local first_data = 11 + 2 * sets + deletes
local first_condition = first_data + 2 * data

local holds, standing = true, {}
for at = first_condition, first_condition + 2 * conditions - 1, 2 do
  local value = redis.call('HGET', key, '.' .. ARGV[at])
  if (value or '') ~= ARGV[at + 1] then holds = false end
  if value then
    standing[#standing + 1] = ARGV[at]
    standing[#standing + 1] = value
  end
end
if not holds then return {'conflict', now, standing} end

local replaces, how = ARGV[4] == '1', ARGV[10]
local old_size = data > 0 and not replaces and tonumber(redis.call('HGET', key, 'k') or 0) or 0
local size, fields, gone, taken, sum, undo = old_size, {}, {}, {}, nil, nil
for at = first_data, first_condition - 1, 2 do
  local name, value = ARGV[at], ARGV[at + 1]
  local field = '.' .. name
  local old = not replaces and redis.call('HGET', key, field)
  if how == 'add' then
    -- Redis adds, and the text that it wrote is the answer: a number of Lua's loses digits past 2^53.
    local added = redis.pcall('HINCRBY', key, field, value)
    if type(added) == 'table' then
      if string.find(added.err, 'integer') or string.find(added.err, 'overflow') then return {'number', now} end
      return added
    end
    sum = redis.call('HGET', key, field)
    undo = old and {'HSET', key, field, old} or {'HDEL', key, field}
    size = size + #sum - (old and #old or -#name)
  elseif value == '' then
    if old then
      gone[#gone + 1] = field
      size = size - #name - #old
      taken[#taken + 1] = name
      taken[#taken + 1] = old
    end
  elseif old ~= value then
    fields[#fields + 1] = field
    fields[#fields + 1] = value
    size = size + #value - (old and #old or -#name)
  end
end
if size > old_size and size > tonumber(ARGV[5]) then
  if undo then redis.call(unpack(undo)) end
  return {'large', now, size}
end

-- One call writes many fields: each call costs more than what it writes. Lua takes some thousand arguments at most.
local function call(command, words, first, last)
  for at = first, last, 1000 do redis.call(command, key, unpack(words, at, math.min(at + 999, last))) end
end
local changed = #fields / 2 + #gone
if replaces then redis.call('DEL', key) end
call('HSET', ARGV, 11, 10 + 2 * sets)
call('HDEL', ARGV, 11 + 2 * sets, first_data - 1)
call('HDEL', gone, 1, #gone)
if size ~= old_size then
  fields[#fields + 1] = 'k'
  fields[#fields + 1] = size
end
call('HSET', fields, 1, #fields)
if ARGV[3] ~= '' then redis.call('PEXPIREAT', key, ARGV[3]) end
return {'done', now, how == 'take' and taken or sum or changed}
