-- lua-redis, for clients.py, which says what a line is: probe.lua SOCKET
-- luasocket needs a socket of its own for a path, which lua-redis takes.
local redis = require 'redis'
-- For its word to the system that a connection which the daemon has closed is an error, not an end (SIGPIPE).
require 'socket'
local unix = require 'socket.unix'

local function shown(reply)
    if type(reply) == 'table' then
        if reply.error then return '!' .. reply.error end
        local words = { '(' }
        for _, part in ipairs(reply) do words[#words + 1] = shown(part) end
        words[#words + 1] = ')'
        return table.concat(words, '\t')
    end
    if reply == nil then return '_' end
    return (type(reply) == 'number' and ':' or '$') .. tostring(reply)
end

local function split(line)
    local words = {}
    for word in (line .. '\t'):gmatch('([^\t]*)\t') do words[#words + 1] = word end
    return words
end

for _, name in ipairs { 'issue', 'validate', 'visit', 'incr', 'revoke', 'foo' } do
    redis.commands['token_' .. name] = redis.command('TOKEN.' .. name:upper())
end
redis.commands.hello = redis.command('HELLO')
redis.commands.client_setname = redis.command('CLIENT')

local function method_of(word) return (word:lower():gsub('%.', '_')) end

io.stdout:setvbuf('line')
print(redis._VERSION)
local client, socket
for line in io.lines() do
    local words = split(line)
    local kind = table.remove(words, 1)
    local commands = {}
    for index = 1, kind == 'call' and 0 or tonumber(words[1]) do commands[index] = split(io.read()) end
    local ok, replies = pcall(function()
        if not client then
            socket = unix()
            socket:settimeout(2)
            assert(socket:connect(arg[1]))
            client = redis.connect({ socket = socket })
        end
        if #commands == 0 then
            return { client[method_of(words[1])](client, select(2, (table.unpack or unpack)(words))) }
        end
        return (client:pipeline(function(pipe)
            for _, command in ipairs(commands) do
                pipe[method_of(command[1])](pipe, select(2, (table.unpack or unpack)(command)))
            end
        end))
    end)
    if ok then
        for index = 1, math.max(#replies, #commands, 1) do print(shown(replies[index])) end
    else
        print('!' .. tostring(replies):gsub('\n', ' '))
        if socket then socket:close() end
        client = nil
    end
end
