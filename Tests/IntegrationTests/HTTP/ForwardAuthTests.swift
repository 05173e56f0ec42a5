import TestSupport
import Testing

@Suite("HTTP: forward auth", .parallel)
struct ForwardAuthTests {
    static let rules = """
        {any: {require: none}, recent: {require: subject, login-within: 1s, on-deny: header, login: /login},
         page: {require: subject, on-deny: redirect, login: /sign-in},
         asset: {require: subject, access: look},
         app: {require: subject, headers: {Remote-User: subject, Remote-Groups: roles}}}
        """

    @Test("who is logged in is let in and named; the session is the one of the token")
    func accepted() throws {
        try withHTTP { site in
            let token = try site.login("alice é%\n")
            let http = try site.http()
            for _ in 0..<2 {
                let answer = try http.get("/auth", [cookie(token)])
                #expect(answer.status == 200 && answer.body.isEmpty)
                #expect(answer["X-Auth-Sid"] == TokenText.sid(token))
                #expect(answer["X-Auth-Subject"] == "alice%20%C3%A9%25%0A")
                #expect(answer["X-Auth-Time"].flatMap { Int($0) }.map { $0 > 1_700_000_000 } == true)
                #expect(answer.values("Set-Cookie").isEmpty)
            }
            // The first cookie of the name counts, in whichever field; others do not.
            #expect(try http.get("/auth/x/y?z", ["Cookie: a=b; __Host-tc=\(token); __Host-tc=x"]).status == 200)
            #expect(try http.get("/auth", ["Cookie: a=b", cookie(token)]).status == 200)
            #expect(try http.get("/auth", ["Cookie: __Host-tc=x; __Host-tc=\(token)"]).status == 401)
            #expect(try http.get("/auth", ["Cookie: x__Host-tc=\(token)"]).status == 401)
            for field in [
                "X-Session-Token: \(token)", "Authorization: Bearer \(token)", "authorization: bearer  \(token)",
            ] {
                #expect(try http.get("/auth", [field], method: "PURGE").status == 200, "\(field.prefix(16))")
            }
            #expect(try http.get("/auth", ["Authorization: Basic \(token)"]).status == 401)
        }
    }

    @Test("tokens are bound to the address that the proxy wrote, the last of its field, and to the browser's name")
    func bindings() throws {
        let settings = ["binding.ip": "strict", "binding.ua": "strict", "http.client-ip-header": "X-Real-IP"]
        try withHTTP(settings: settings) { site in
            let token = try site.login("ann", "BIND", "ip", "192.0.2.7", "BIND", "ua", "Lynx")
            let http = try site.http()
            for (fields, status) in [
                (["X-Real-IP: 192.0.2.7", "User-Agent: Lynx"], "200"),
                // The client's own come first: by a proxy that appends, and as a field of its own.
                (["X-Real-IP: 198.51.100.1, 192.0.2.7", "User-Agent: Lynx"], "200"),
                (["X-Real-IP: 198.51.100.1", "X-Real-IP: 192.0.2.7", "User-Agent: Lynx"], "200"),
                (["X-Real-IP: 192.0.2.7, 198.51.100.1", "User-Agent: Lynx"], "mismatch"),
                (["X-Forwarded-For: 192.0.2.7", "User-Agent: Lynx"], "mismatch"),
                (["X-Real-IP: 192.0.2.7", "User-Agent: Links"], "mismatch"), (["X-Real-IP: 192.0.2.7"], "mismatch"),
                (["X-Real-IP: no address", "User-Agent: Lynx"], "mismatch"),
            ] {
                let answer = try http.get("/auth", [cookie(token)] + fields)
                #expect(answer["X-Auth-Status"] ?? "\(answer.status)" == status, "\(fields): \(answer.status)")
            }
        }
    }

    @Test("nothing of the request changes what is asked: not fields, not queries, not paths, not methods")
    func attacks() throws {
        try withHTTP(settings: ["http.rules": Self.rules]) { site in
            let http = try site.http()
            let guest = try site.world.client().fields("GUEST.ISSUE").newToken()
            for target in [
                "/auth", "/auth?require=none", "/auth/any", "/auth/-any", "/auth//auth-any", "/auth/../auth-any",
            ] {
                for fields in [
                    [], ["X-Auth-Require: none"], ["X-Auth-Subject: root", "X-Auth-Sid: 0"],
                    ["X-Original-URI: /auth-any"],
                ] {
                    for method in ["GET", "POST", "HEAD", "OPTIONS"] {
                        let none = try http.get(target, fields, method: method)
                        #expect(none.status == 401 && none["X-Auth-Status"] == "none", "\(method) \(target) \(fields)")
                        #expect(none.values("X-Auth-Subject").isEmpty)
                        let asGuest = try http.get(target, fields + [cookie(guest)], method: method)
                        #expect(asGuest.status == 401 && asGuest["X-Auth-Status"] == "anonymous")
                    }
                }
            }
            #expect(try http.get("/auth-any").status == 401)
            let letIn = try http.get("/auth-any/what/ever", [cookie(guest)])
            #expect(letIn.status == 200 && letIn["X-Auth-Subject"] == "" && letIn["X-Auth-Time"] == "")
            for target in ["/auth-none", "/auth-", "/auth-anyx", "/authx", "/AUTH", "/auth%2Dany", "//auth"] {
                #expect(try http.get(target, [cookie(guest)]).status == 404, "\(target)")
            }
        }
    }

    @Test("who is not let in keeps the cookie and is told why, in the words of HTTP")
    func denied() throws {
        try withHTTP(settings: ["http.rules": Self.rules]) { site in
            let http = try site.http()
            let none = try http.get("/auth")
            #expect(none["WWW-Authenticate"] == "Bearer realm=\"tokencached\"" && none["X-Auth-Reason"] == "")
            let unknown = try http.get("/auth", [cookie(TokenText.random())])
            #expect(unknown.status == 401 && unknown["X-Auth-Status"] == "unknown")
            #expect(unknown["WWW-Authenticate"] == "Bearer error=\"invalid_token\"")
            let token = try site.login()
            #expect(try http.get("/auth-recent", [cookie(token)]).status == 200)
            letPass(.seconds(2))
            let old = try http.get(
                "/auth-recent/a", [cookie(token), "X-Forwarded-Uri: /pay?a=b&c=d", "Sec-Fetch-Mode: navigate"])
            #expect(old.status == 401 && old["X-Auth-Status"] == "reauthenticate")
            #expect(old["WWW-Authenticate"] == "Bearer error=\"insufficient_user_authentication\", max_age=1")
            #expect(old["X-Auth-Redirect"] == "/login?return_to=/pay%3Fa%3Db%26c%3Dd")
            let post = ["X-Forwarded-Method: POST", "Sec-Fetch-Mode: navigate"]
            #expect(try http.get("/auth-recent", [cookie(token)] + post).values("X-Auth-Redirect").isEmpty)
            #expect(try http.get("/auth-recent", [cookie(token)]).values("X-Auth-Redirect").isEmpty)
            _ = try site.world.client().call("TOKEN.REVOKE", token)
            let ended = try http.get("/auth", [cookie(token)])
            #expect(ended.status == 401 && ended["X-Auth-Status"] == "revoked" && ended["X-Auth-Reason"] == "logout")
            for answer in [none, unknown, old, ended] {
                #expect(answer.values("Set-Cookie").isEmpty && answer["Cache-Control"] == "no-store")
            }
        }
    }

    @Test("a page is sent to the login page with the way back, a fetch is told 401, and nobody is sent to another site")
    func redirects() throws {
        try withHTTP(settings: ["http.rules": Self.rules]) { site in
            let http = try site.http()
            let page = try http.get("/auth-page/appended", ["Sec-Fetch-Mode: navigate", "X-Forwarded-Uri: /a b"])
            #expect(page.status == 302 && page["Location"] == "/sign-in?return_to=/")
            for (fields, location) in [
                (["X-Forwarded-Uri: /x?y"], "/x%3Fy"), (["X-Original-URI: /z"], "/z"), ([], "/appended"),
                (["X-Forwarded-Uri: //evil.example"], "/"), (["X-Forwarded-Uri: /\\evil.example"], "/"),
                (["X-Forwarded-Uri: https://evil.example/"], "/"),
            ] {
                let answer = try http.get("/auth-page/appended", ["Accept: text/html,*/*"] + fields)
                #expect(answer.status == 302 && answer["Location"] == "/sign-in?return_to=\(location)", "\(fields)")
            }
            // As Envoy appends it, query and all.
            let appended = try http.get("/auth-page/p/q?a=b&c", ["Accept: text/html"])
            #expect(appended["Location"] == "/sign-in?return_to=/p/q%3Fa%3Db%26c")
            for fields in [
                ["Sec-Fetch-Mode: cors", "Accept: text/html"], ["Accept: application/json"], [],
                ["Sec-Fetch-Mode: navigate", "X-Forwarded-Method: POST"],
            ] {
                #expect(try http.get("/auth-page", fields).status == 401, "\(fields)")
            }
        }
    }

    @Test(
        "a due token is replaced by one cookie, whoever raced gets the same, a header's by a header, and look changes nothing"
    )
    func rotation() throws {
        try withHTTP(settings: ["http.rules": Self.rules, "rotation.after": "300ms", "session.touch-interval": "10ms"])
        { site in
            let token = try site.login()
            let http = try site.http()
            letPass(.milliseconds(350))
            for _ in 0..<3 {
                let asset = try http.get("/auth-asset", [cookie(token)])
                #expect(asset.status == 200 && asset.values("Set-Cookie").isEmpty && asset["X-Auth-Subject"] == "alice")
            }
            #expect(try site.world.client().inspect(token).generation == 1)
            let first = try http.get("/auth", [cookie(token)])
            let line = try #require(first["Set-Cookie"])
            #expect(line.hasSuffix("; Path=/; Secure; HttpOnly; SameSite=Lax"))
            let successor = try #require(first.cookie())
            #expect(successor != token)
            #expect(try site.http().get("/auth", [cookie(token)]).cookie() == successor)
            let byHeader = try http.get("/auth", ["X-Session-Token: \(token)"])
            #expect(byHeader["X-Session-Token"] == successor && byHeader.values("Set-Cookie").isEmpty)
            // A look by the old token hands nothing out; by the new one it does not even confirm.
            #expect(try http.get("/auth-asset", [cookie(token)]).cookie() == nil)
            #expect(try http.get("/auth-asset", [cookie(successor)]).status == 200)
            #expect(try http.get("/auth", [cookie(token)]).cookie() == successor)
            #expect(try http.get("/auth", [cookie(successor)]).status == 200)
        }
    }

    @Test("a persistent session's cookie has its age; path, domain, name and SameSite are the operator's")
    func cookies() throws {
        let settings = [
            "http.cookie-name": "sid", "http.cookie-path": "/app", "http.cookie-domain": "example.org",
            "http.cookie-samesite": "strict", "rotation.after": "1ms",
        ]
        try withHTTP(settings: settings) { site in
            let token = try site.login("alice", "COOKIE", "persistent")
            letPass(.milliseconds(5))
            let line = try #require(try site.http().get("/auth", [cookie(token, "sid")])["Set-Cookie"])
            #expect(
                line.contains("; Path=/app; Domain=example.org; Secure; HttpOnly; SameSite=Strict; Max-Age=86"),
                "\(line)")
        }
    }

    @Test("data of the session goes into fields, encoded, and a field is there also where there is nothing")
    func headers() throws {
        try withHTTP(settings: ["http.rules": Self.rules]) { site in
            let http = try site.http()
            let token = try site.login()
            let bare = try http.get("/auth-app", [cookie(token)])
            #expect(bare["Remote-User"] == "alice" && bare["Remote-Groups"] == "")
            _ = try site.world.client().fields("TOKEN.SET", token, "DATA", "roles", "admin, editor\r\nX: y")
            let full = try http.get("/auth-app", [cookie(token)])
            #expect(full["Remote-Groups"] == "admin,%20editor%0D%0AX:%20y")
        }
    }

    @Test("while Redis is away nobody knows: 503 with Retry-After, and no cookie")
    func outage() throws {
        try withHTTP(settings: ["near-cache.serve-stale": "0", "redis.timeout": "250ms"]) { site in
            let token = try site.login()
            let http = try site.http()
            try site.world.requireServer().pause()
            defer { try? site.world.requireServer().resume() }
            letPass(.seconds(1.5))
            let answer = try http.get("/auth", [cookie(token)])
            #expect(answer.status == 503 && answer["Retry-After"] == "1" && answer.values("Set-Cookie").isEmpty)
            #expect(try http.get("/auth").status == 401)
            #expect(try http.get("/healthz").status == 200)
            let ready = try http.get("/readyz")
            #expect(ready.status == 503 && ready.body.contains("Redis"), "\(ready.body)")
        }
    }

    @Test("POST /logout of the same site ends the session and the cookie, and of another site does nothing")
    func logout() throws {
        try withHTTP(settings: ["http.after-logout": "/bye"]) { site in
            let http = try site.http()
            let token = try site.login()
            for fields in [
                [], ["Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"], ["Origin: https://evil.example"],
                ["Origin: null"],
            ] {
                #expect(try http.get("/logout", fields + [cookie(token)], method: "POST").status == 403, "\(fields)")
            }
            #expect(try http.get("/logout", [cookie(token), "Sec-Fetch-Site: same-origin"]).status == 405)
            #expect(try http.get("/auth", [cookie(token)]).status == 200)
            let answer = try http.get("/logout", [cookie(token), "Sec-Fetch-Site: same-origin"], method: "POST")
            #expect(answer.status == 303 && answer["Location"] == "/bye")
            #expect(answer["Set-Cookie"] == "__Host-tc=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
            #expect(try http.get("/auth", [cookie(token)])["X-Auth-Status"] == "revoked")
            let again = try http.get("/logout", ["Origin: http://localhost"], method: "POST")
            #expect(again.status == 303 && again.cookie() == "")
        }
    }
}
