-- Asks tokencached whether a visitor is let in: `http-request lua.tokencached /auth`. HAProxy 2.6 or later.
-- Sets txn.auth_status, and of the answer txn.auth_sid, auth_subject, auth_time, auth_user, auth_cookie, auth_token, auth_location;
-- where it is no: auth_denial, auth_reason, auth_challenge.

local socket = os.getenv("TOKENCACHED_HTTP") or "/run/tokencached/http.sock"

-- What the daemon reads of a request. Anything else stays here.
local passed = { "cookie", "authorization", "x-session-token", "user-agent", "accept", "sec-fetch-mode", "sec-fetch-site" }

core.register_action("tokencached", { "http-req" }, function(txn, rule)
    local headers = {
        ["x-forwarded-method"] = { txn.sf:method() },
        ["x-forwarded-uri"] = { txn.sf:pathq() },
        -- For binding.ip, by http.client-ip-header: what the client sent under this name is not believed.
        ["x-real-ip"] = { txn.sf:src() },
    }
    local sent = txn.http:req_get_headers()
    for _, name in ipairs(passed) do
        if sent[name] then
            headers[name] = {}
            for index = 0, #sent[name] do headers[name][index] = sent[name][index] end
        end
    end
    local answer = core.httpclient():get({
        url = "http://tokencached" .. rule, headers = headers, dst = "unix@" .. socket, timeout = 3000,
    })
    local status = answer and answer.status or 503
    -- Whatever else it may be, it is nobody's permission.
    if status ~= 200 and status ~= 302 and status ~= 401 then status = 503 end
    txn:set_var("txn.auth_status", status)
    if not answer or not answer.headers then return end
    for variable, name in pairs({
        auth_sid = "x-auth-sid", auth_subject = "x-auth-subject", auth_time = "x-auth-time", auth_user = "remote-user",
        auth_cookie = "set-cookie", auth_token = "x-session-token", auth_location = "location",
        auth_denial = "x-auth-status", auth_reason = "x-auth-reason", auth_challenge = "www-authenticate",
    }) do
        local values = answer.headers[name]
        if values and values[0] and values[0] ~= "" then txn:set_var("txn." .. variable, values[0]) end
    end
end, 1)
