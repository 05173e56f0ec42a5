import TestSupport
import Testing

@Suite("HTTP: the server", .parallel)
struct HTTPServerTests {
    @Test(
        "every answer has a date, its length, and is never stored; HEAD has no body; connections are kept, pipelines in order"
    )
    func basics() throws {
        try withHTTP { site in
            let client = try site.http()
            let answer = try client.get("/healthz")
            #expect(answer.status == 200 && answer.body == "ok\n")
            #expect(answer["Cache-Control"] == "no-store" && answer["Date"]?.hasSuffix(" GMT") == true)
            #expect(answer["Connection"] == nil)
            let head = try client.get("/healthz", method: "HEAD")
            #expect(head.status == 200 && head["Content-Length"] == "3")
            try client.send(
                HTTPClient.head("GET", "/healthz") + HTTPClient.head("GET", "/nothing")
                    + HTTPClient.head("POST", "/healthz", ["Content-Length: 3"]) + "abc"
                    + HTTPClient.head("GET", "/readyz") + HTTPClient.head("HEAD", "/healthz"))
            #expect(try client.read().status == 200)
            #expect(try client.read().status == 404)
            let refused = try client.read()
            #expect(refused.status == 405 && refused["Allow"] == "GET, HEAD")
            let ready = try client.read()
            #expect(ready.status == 200 && ready.body == "ready\n")
            #expect(try client.read(isHead: true).status == 200)
            #expect(try client.get("/healthz").status == 200)
        }
    }

    @Test(
        "HEAD is GET without a body, wherever that is served",
        arguments: ["/", "/healthz", "/readyz", "/metrics", "/status.json", "/auth"])
    func head(_ path: String) throws {
        try withHTTP { site in
            let client = try site.http()
            let (get, head) = (try client.get(path), try client.get(path, method: "HEAD"))
            #expect(get.status == head.status && get["Content-Type"] == head["Content-Type"])
            #expect((get["Content-Length"] == "0") == (head["Content-Length"] == "0"))
            #expect(try client.get("/healthz").body == "ok\n", "what follows is not taken for a body")
        }
    }

    @Test("HTTP/1.0 is served, without Host, and kept only where that is asked for")
    func old() throws {
        try withHTTP { site in
            let client = try site.http()
            try client.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            #expect(try client.read()["Connection"] == "keep-alive")
            try client.send("GET /healthz HTTP/1.0\r\n\r\n")
            #expect(try client.read()["Connection"] == "close")
            #expect(try client.readToEnd() == "")
        }
    }

    @Test(
        "what is no request is told so and closed, and nothing behind it is read",
        arguments: [
            ("GET /healthz HTTP/1.1\nHost: a\n\n", 400),
            ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
            ("GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("GET /" + String(repeating: "a", count: 17_000), 414),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "a", count: 17_000), 431),
        ])
    func refusals(_ text: String, _ status: Int) throws {
        try withHTTP { site in
            let client = try site.http()
            try client.send(text + "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try client.read()
            #expect(answer.status == status && answer["Connection"] == "close")
            #expect(try client.readToEnd() == "")
        }
    }

    @Test("a body that comes along is passed over; one that does not costs the connection, never the answer")
    func bodies() throws {
        try withHTTP { site in
            let whole = try site.http()
            try whole.send(
                HTTPClient.head("POST", "/auth", ["Content-Length: 5"]) + "GET /" + HTTPClient.head("GET", "/healthz"))
            #expect(try whole.read().status == 401)
            #expect(try whole.read().status == 200)

            let never = try site.http()
            try never.send(HTTPClient.head("POST", "/auth", ["Content-Length: 100000", "Expect: 100-continue"]))
            let answer = try never.read()
            #expect(answer.status == 401 && answer["Connection"] == "close")
            // What comes now is body, or nothing: no answer to it.
            try never.send(HTTPClient.head("GET", "/healthz"))
            never.endSending()
            #expect(try never.readToEnd() == "")
        }
    }

    @Test("a half request is closed after limits.request-timeout; one that comes byte by byte in time is answered")
    func halfRequest() throws {
        try withHTTP(settings: ["limits.request-timeout": "100ms"]) { site in
            let half = try site.http()
            try half.send("GET /healthz HTTP/1.1\r\nHo")
            #expect(try half.readToEnd() == "")
            // One by one, all the same.
            let slow = try site.http()
            for byte in HTTPClient.head("GET", "/healthz").utf8.map({ [$0] }) { try slow.send(byte) }
            #expect(try slow.read().status == 200)
        }
    }

    @Test(
        "over TCP the host asked for is an address, a loopback name or one of http.hosts: a name may be somebody else's"
    )
    func hosts() throws {
        try withHTTP(settings: ["http.hosts": "metrics.example"], tcp: "") { site in
            for (host, status) in [
                ("127.0.0.1:\(site.port)", 200), ("[::1]:80", 200), ("localhost", 200), ("a.localhost:1", 200),
                ("metrics.example", 200), ("METRICS.example:9180", 200), ("evil.example", 421),
                ("metrics.example.evil", 421), ("127.0.0.1.evil.example", 421),
            ] {
                let client = try site.tcp()
                try client.send("GET /healthz HTTP/1.1\r\nHost: \(host)\r\n\r\n")
                #expect(try client.read().status == status, "\(host)")
            }
            // No browser speaks it, and load balancers do.
            let old = try site.tcp()
            try old.send("GET /healthz HTTP/1.0\r\n\r\n")
            #expect(try old.read().status == 200)
            // A proxy at the Unix socket hands on whatever the site is called.
            let local = try site.http()
            try local.send("GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            #expect(try local.read().status == 200)
        }
    }

    @Test("over TCP /auth is served only where it is named")
    func purposes() throws {
        try withHTTP(tcp: "") { site in
            let client = try site.tcp()
            #expect(try client.get("/auth").status == 404)
            #expect(try client.get("/logout", method: "POST").status == 404)
            #expect(try client.get("/metrics").status == 200)
            #expect(try client.get("/").status == 200)
        }
        try withHTTP(tcp: "auth") { site in
            let client = try site.tcp()
            #expect(try client.get("/auth").status == 401)
            #expect(try client.get("/metrics").status == 404)
            #expect(try client.get("/").status == 404)
        }
    }

    @Test("places of HTTP are its own: who fills them leaves workers theirs")
    func places() throws {
        try withHTTP(settings: ["limits.max-clients": "4", "access.default": "worker"], tcp: "") { site in
            let held = try (0..<4).map { _ in try site.tcp() }
            for client in held { #expect(try client.get("/healthz").status == 200) }
            let fifth = try site.tcp()
            #expect(try fifth.read().status == 503)
            #expect(try site.world.client().call("PING") == .simple("PONG"))
            #expect(try site.world.client().call("INFO", "clients").text?.contains("maxclients:4\r\n") == true)
        }
    }
}
