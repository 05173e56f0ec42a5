-- Asks tokencached whether a visitor is let in: `LuaHookAccessChecker …/apache.lua page`. For mod_lua, with Debian's lua-socket.

local unix = require "socket.unix"

-- Where the daemon speaks HTTP, unless a line in Apache's envvars says otherwise.
local daemon = os.getenv("TOKENCACHED_HTTP") or "/run/tokencached/http.sock"
local timeout = 3 -- seconds

-- What the daemon reads of a request. Anything else stays here.
local passed = { "Cookie", "Authorization", "X-Session-Token", "User-Agent", "Accept", "Sec-Fetch-Mode", "Sec-Fetch-Site" }
-- Who it is, as the site reads it: every name of the rule's headers belongs here, too.
local identity = { "X-Auth-Sid", "X-Auth-Subject", "X-Auth-Time", "Remote-User" }

local is_identity = {}
for _, name in ipairs(identity) do is_identity[name:lower()] = true end

-- What the client sent under these names never gets through, wherever it goes. To CGI, FastCGI and WSGI, X_Auth_Subject is
-- X-Auth-Subject.
function strip(r)
    for name in pairs(r:headers_in_table()) do
        local plain = name:lower():gsub("[^%w]", "-")
        if is_identity[plain] or plain:find("^x%-auth%-") then r.headers_in[name] = nil end
    end
    return apache2.DECLINED
end

-- The status of the answer, and its fields by their names in small letters.
local function ask(connection, r, path)
    local head = {
        "GET " .. path .. " HTTP/1.1", "Host: tokencached", "Connection: close",
        "X-Forwarded-Method: " .. r.method, "X-Forwarded-Uri: " .. r.unparsed_uri,
        -- For binding.ip, by http.client-ip-header: what the client sent under this name is not believed.
        "X-Real-IP: " .. r.useragent_ip,
    }
    for _, name in ipairs(passed) do
        local value = r.headers_in[name]
        if value then head[#head + 1] = name .. ": " .. value end
    end
    connection:settimeout(timeout)
    assert(connection:connect(daemon))
    assert(connection:send(table.concat(head, "\r\n") .. "\r\n\r\n"))
    local status, fields = assert(connection:receive()):match("^HTTP/1%.1 (%d%d%d) "), {}
    while true do
        local line = assert(connection:receive())
        if line == "" then return tonumber(status), fields end
        local name, value = line:match("^([^:]+):%s*(.*)$")
        fields[name:lower()] = value
    end
end

-- By the rule of that path: neither a query nor a field chooses it.
local function let_in(r, path)
    local connection = unix()
    local answered, status, fields = pcall(ask, connection, r, path)
    if connection then connection:close() end
    if not answered then
        r:err("tokencached at " .. daemon .. ": " .. tostring(status))
        fields = {}
    end
    if answered and status == 200 then
        for _, name in ipairs(identity) do r.headers_in[name] = fields[name:lower()] end
        -- A token that was renewed goes to the client, also with an error of the site's; apache.conf lets nobody store it. What
        -- Apache looks up on the way, as the index of a folder, is asked about again, and hands on nothing.
        if r.is_initial_req or r.subprocess_env.REDIRECT_STATUS then
            for _, name in ipairs { "Set-Cookie", "X-Session-Token" } do
                local token = fields[name:lower()]
                if token then r.err_headers_out[name], r.subprocess_env.TOKENCACHED_RENEWED = token, "1" end
            end
        end
        -- Not OK, behind which no other rule would be asked.
        return apache2.DECLINED
    end
    r.err_headers_out["Cache-Control"] = "no-store"
    if status == 302 then
        r.headers_out["Location"] = fields["location"]
        return 302
    elseif status == 401 then
        r.err_headers_out["WWW-Authenticate"] = fields["www-authenticate"]
        return 401
    end
    -- Nobody knows: the visitor comes again. Whatever else the answer may be, it is nobody's permission.
    r.err_headers_out["Retry-After"] = "1"
    return 503
end

-- The rules of http.rules that apache.conf names.
function page(r) return let_in(r, "/auth-page") end
function socket(r) return let_in(r, "/auth-socket") end
