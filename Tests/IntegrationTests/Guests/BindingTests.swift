import Foundation
import TestSupport
import Testing

@Suite("Bindings", .parallel)
struct BindingTests {
    /// A holder of either kind, made with these signals.
    private static func holder(_ kind: String, _ client: RESPClient, _ signals: [String]) throws -> String {
        switch kind {
        case "guest": try client.fields(["GUEST.ISSUE"] + signals).newToken()
        case "session": try client.fields(["TOKEN.ISSUE"] + signals).newToken()
        case "login":
            try client.fields(["TOKEN.LOGIN", "", "ann-\(UInt32.random(in: 0...UInt32.max))"] + signals).newToken()
        case "visit": try client.fields(["TOKEN.VISIT", ""] + signals).newToken()
        default: throw HarnessFailure("no such holder")
        }
    }

    private static let kinds = ["guest", "session", "login", "visit"]
    private static let home = ["BIND", "ip", "192.0.2.10", "BIND", "ua", "Firefox"]
    private static let away = ["BIND", "ip", "198.51.100.1", "BIND", "ua", "Chrome"]

    @Test("off: signals are taken and ignored", arguments: kinds)
    func off(_ kind: String) throws {
        try withWorld { world in
            let client = try world.client()
            let token = try Self.holder(kind, client, Self.home)
            for signals in [Self.home, Self.away, []] {
                try expectShape(client.call(["TOKEN.VALIDATE", token] + signals), acceptedFields)
            }
        }
    }

    @Test("log: what differs is told, and accepted", arguments: kinds, ["64MiB", "0"])
    func log(_ kind: String, _ cache: String) throws {
        let settings = ["binding.ip": "log", "binding.ua": "log", "near-cache.max-memory": cache]
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let token = try Self.holder(kind, client, Self.home)
            // From Redis at first, then from the near cache.
            for _ in 0..<3 {
                try expectShape(client.call(["TOKEN.VALIDATE", token] + Self.home), acceptedFields)
                let away = try client.call(["TOKEN.VALIDATE", token] + Self.away)
                try expectShape(away, acceptedFields + ["differs"])
                #expect(try Fields(away).text("differs") == "ip ua" && Fields(away).status == "valid")
                let ip = try client.fields([
                    "TOKEN.VISIT", token, "BIND", "ip", "198.51.100.1", "BIND", "ua", "Firefox",
                ])
                #expect(ip.text("differs") == "ip")
                // A signal that is not given tells nothing.
                #expect(try client.validateGuest(token).text("differs") == nil)
            }
        }
    }

    @Test("strict: a difference, and a signal that is not given, is a mismatch", arguments: kinds, ["64MiB", "0"])
    func strict(_ kind: String, _ cache: String) throws {
        let settings = ["binding.ip": "strict", "binding.ua": "strict", "near-cache.max-memory": cache]
        try withWorld(daemons: 2, settings: settings) { world in
            let client = try world.client()
            let token = try Self.holder(kind, client, Self.home)
            let wrong: [[String]] = [
                Self.away, [], ["BIND", "ip", "192.0.2.10"], ["BIND", "ua", "Firefox"],
                ["BIND", "ip", "192.0.2.10", "BIND", "ua", "firefox"],
                ["BIND", "ip", "2001:db8::1", "BIND", "ua", "Firefox"],
            ]
            for index in 0..<4 {
                let client = try world.client(ofDaemon: index)
                #expect(try client.validateGuest(token, "BIND", "ip", "192.0.2.99", "BIND", "ua", "Firefox").isAccepted)
                for signals in wrong {
                    expectRefused("mismatch", try client.fields(["TOKEN.VALIDATE", token] + signals))
                    expectRefused("mismatch", try client.fields(["TOKEN.GET", token] + signals))
                    expectRefused("mismatch", try client.fields(["TOKEN.SET", token] + signals + ["DATA", "a", "1"]))
                    expectRefused("mismatch", try client.fields(["CSRF.ISSUE", token] + signals))
                    expectRefused("mismatch", try client.fields(["TOKEN.ROTATE", token] + signals))
                    let visit = try client.fields(["TOKEN.VISIT", token] + signals)
                    #expect(visit.status == "mismatch" && visit.text("kind") == "guest")
                    #expect(visit.sid != (try client.fields(["TOKEN.INSPECT", token] + Self.home).sid))
                }
            }
            // Another client's LOGIN with the token gets a session of its own.
            let own = try client.fields(["TOKEN.INSPECT", token] + Self.home).sid
            let login = try client.fields(["TOKEN.LOGIN", token, "eve"] + Self.away)
            #expect(login.status == "issued" && login.sid != own)
            #expect(try client.fields(["TOKEN.VALIDATE", token] + Self.home).isAccepted)
            // Whoever holds a token may end its session from wherever.
            if kind == "session" || kind == "login" {
                #expect(try client.fields("TOKEN.REVOKE", token).status == "revoked")
            }
        }
    }

    @Test(
        "strict: EXPIRE, INCR, GETDEL and SET with IF change nothing for another client, and nothing of the binding",
        arguments: kinds)
    func strictWrites(_ kind: String) throws {
        try withWorld(daemons: 2, settings: ["binding.ip": "strict", "binding.ua": "strict"]) { world in
            let client = try world.client()
            let holder = try Self.holder(kind, client, Self.home)
            let made = try client.fields(["TOKEN.SET", holder] + Self.home + ["DATA", "a", "1", "n", "1"])
            let token = made.sessionToken ?? holder
            let before = try client.fields(["TOKEN.INSPECT", token] + Self.home)
            for index in 0..<4 {
                let other = try world.client(ofDaemon: index)
                for signals in [Self.away, [], ["BIND", "ip", "192.0.2.10"]] {
                    for (command, rest) in [
                        ("TOKEN.EXPIRE", ["IDLE", "1m", "ABSOLUTE", "2m"]), ("TOKEN.INCR", ["DATA", "n"]),
                        ("TOKEN.GETDEL", ["DATA", "a"]), ("TOKEN.SET", ["IF", "a", "1", "DATA", "a", "2"]),
                    ] {
                        expectRefused("mismatch", try other.fields([command, token] + signals + rest))
                    }
                }
            }
            let after = try client.fields(["TOKEN.INSPECT", token] + Self.home)
            #expect((after.integer("absolute_in") ?? 0) >= (before.integer("absolute_in") ?? 0) - 60)
            #expect(try client.fields(["TOKEN.GET", token] + Self.home).data() == ["a": "1", "n": "1"])
            let shorter = try client.fields(["TOKEN.EXPIRE", token] + Self.home + ["IDLE", "1m", "ABSOLUTE", "2m"])
            #expect(shorter.isAccepted && (110...120).contains(shorter.integer("absolute_in") ?? 0))
            expectRefused("mismatch", try client.fields(["TOKEN.VALIDATE", token] + Self.away))
            #expect(try client.fields(["TOKEN.VALIDATE", token] + Self.home).isAccepted)
        }
    }

    @Test("strict: EXPIRE of a guest makes a session that is bound as the guest was")
    func strictPromotion() throws {
        try withWorld(settings: ["binding.ip": "strict", "binding.ua": "strict"]) { world in
            let client = try world.client()
            let guest = try Self.holder("guest", client, Self.home)
            expectRefused("mismatch", try client.fields(["TOKEN.EXPIRE", guest] + Self.away + ["IDLE", "1h"]))
            #expect(try client.fields(["TOKEN.VALIDATE", guest] + Self.home).text("kind") == "guest")
            let made = try client.fields(["TOKEN.EXPIRE", guest] + Self.home + ["IDLE", "1h"])
            let token = try made.newToken()
            expectRefused("mismatch", try client.fields(["TOKEN.VALIDATE", token] + Self.away))
            #expect(try client.fields(["TOKEN.VALIDATE", token] + Self.home).status == "valid")
        }
    }

    @Test("a token that was made without a signal is not bound by it")
    func unbound() throws {
        try withWorld(settings: ["binding.ip": "strict", "binding.ua": "strict"]) { world in
            let client = try world.client()
            let token = try Self.holder("visit", client, ["BIND", "ua", "Firefox"])
            #expect(
                try client.validateGuest(token, "BIND", "ua", "Firefox", "BIND", "ip", "203.0.113.9").isAccepted)
            #expect(try client.validateGuest(token, "BIND", "ua", "Firefox").isAccepted)
            #expect(try client.validateGuest(token, "BIND", "ip", "203.0.113.9").status == "mismatch")
            let free = try Self.holder("visit", client, [])
            #expect(try client.validateGuest(free).isAccepted)
            let session = try client.fields("TOKEN.SET", free, "DATA", "a", "1").newToken()
            #expect(try client.validate(session).isAccepted)
        }
    }

    @Test("where a binding is strict, one forgetful call cannot lose it")
    func required() throws {
        try withWorld(settings: ["binding.ip": "strict", "binding.ua": "strict"]) { world in
            let client = try world.client()
            let guest = try Self.holder("visit", client, [])
            for command in [
                ["TOKEN.ISSUE"], ["TOKEN.LOGIN", guest, "ann"], ["GUEST.ISSUE"], ["CAPTCHA.ISSUE"],
            ] {
                for (given, missing) in [
                    ([], "ip"), (["BIND", "ip", "192.0.2.1"], "ua"), (["BIND", "ua", "Firefox"], "ip"),
                ] as [([String], String)] {
                    let text = try client.call(command + given).errorText ?? ""
                    #expect(text.hasPrefix("ERR ") && text.contains("needs BIND \(missing)"), "\(command): \(text)")
                }
                let both = ["BIND", "ip", "192.0.2.1", "BIND", "ua", "Firefox"]
                #expect(try client.fields(command + both).status == "issued")
            }
        }
    }

    @Test("captchas have a switch of their own", arguments: ["inherit", "off", "strict"])
    func captchas(_ binding: String) throws {
        try withWorld(settings: ["captcha.binding": binding]) { world in
            let client = try world.client()
            let bare = try client.call("CAPTCHA.ISSUE", "SOLUTION", "abc")
            #expect((bare.errorText == nil) == (binding != "strict"), "\(bare)")
            let captcha = try client.fields("CAPTCHA.ISSUE", "SOLUTION", "abc", "BIND", "ip", "192.0.2.1")
            let text = try #require(captcha.text("captcha"))
            let elsewhere = try client.fields("CAPTCHA.VERIFY", text, "abc", "BIND", "ip", "203.0.113.9").status
            #expect(elsewhere == (binding == "strict" ? "mismatch" : "passed"))
        }
    }

    @Test("addresses count by their prefix: /24 and /56 at their very boundaries, in any spelling")
    func prefixes() throws {
        try withWorld(settings: ["binding.ip": "strict"]) { world in
            let client = try world.client()
            let cases: [(bound: String, same: [String], other: [String])] = [
                (
                    "192.0.2.128", ["192.0.2.0", "192.0.2.255"],
                    ["192.0.1.255", "192.0.3.0", "193.0.2.128", "::ffff:192.0.3.1"]
                ),
                (
                    "2001:db8:0:aa00::1", ["2001:db8:0:aaff:ffff::", "2001:0DB8:0000:AA12:0:0:0:0"],
                    ["2001:db8:0:a9ff::1", "2001:db8:0:ab00::1", "2001:db9:0:aa00::1", "192.0.2.128"]
                ),
            ]
            for row in cases {
                for kind in Self.kinds {
                    let token = try Self.holder(kind, client, ["BIND", "ip", row.bound])
                    for address in row.same {
                        #expect(try client.validateGuest(token, "BIND", "ip", address).isAccepted, "\(address)")
                    }
                    for address in row.other {
                        #expect(
                            try client.validateGuest(token, "BIND", "ip", address).status == "mismatch", "\(address)")
                    }
                }
            }
            for wrong in ["", "192.0.2", "192.0.2.256", "192.0.2.010.1", "2001:db8", "fe80::1%eth0", "localhost"] {
                expectError("ERR", try client.call("TOKEN.VALIDATE", TokenText.random(), "BIND", "ip", wrong))
            }
        }
    }

    @Test("a changed prefix refuses nobody: each token keeps the length it was made with")
    func changedPrefix() throws {
        let stage = try Stage()
        let server = try stage.addRedis()
        let wide = try stage.addDaemon(.redis(server), settings: ["binding.ip": "strict"]).client()
        let narrow = try stage.addDaemon(
            .redis(server), settings: ["binding.ip": "strict", "binding.ip-prefix4": "32"]
        ).client()
        for kind in Self.kinds {
            let made = try Self.holder(kind, wide, ["BIND", "ip", "192.0.2.1"])
            #expect(try narrow.validateGuest(made, "BIND", "ip", "192.0.2.200").isAccepted, "made by /24")
            let exact = try Self.holder(kind, narrow, ["BIND", "ip", "192.0.2.1"])
            #expect(try wide.validateGuest(exact, "BIND", "ip", "192.0.2.1").isAccepted)
            #expect(try wide.validateGuest(exact, "BIND", "ip", "192.0.2.2").status == "mismatch", "made by /32")
        }
        let problems = stage.finish()
        #expect(problems.isEmpty, "\(problems)")
    }

    @Test("a binding whose key is gone is made anew, never a mismatch; then it binds again")
    func keyGone() throws {
        try withWorld(settings: ["binding.ua": "strict"]) { world in
            let client = try world.client()
            let ring = try TestRing(world.stage)
            let session = try Self.holder("session", client, ["BIND", "ua", "Firefox"])
            let other = try Self.holder("session", client, ["BIND", "ua", "Firefox"])
            #expect(try client.validateGuest(session, "BIND", "ua", "Firefox").isAccepted)
            try ring.write([ring.key("k2", activeFrom: 2)])
            #expect(try client.call("RELOAD") == .simple("OK"))
            #expect(try client.validateGuest(session, "BIND", "ua", "Chrome").isAccepted, "nobody knows what it was")
            #expect(try client.validateGuest(session, "BIND", "ua", "Chrome").isAccepted)
            expectRefused("mismatch", try client.validateGuest(session, "BIND", "ua", "Firefox"))
            // A signal that is not given cannot be bound anew, and is a mismatch as ever.
            expectRefused("mismatch", try client.validateGuest(other))
        }
    }

    @Test("S7: no address and no browser's name is readable in Redis, its files, logs or INFO")
    func plain() throws {
        let address = "203.0.113.77"
        let agent = "Telltale/\(UInt32.random(in: 0...UInt32.max))"
        try withWorld(settings: ["binding.ip": "log", "binding.ua": "log", "log.level": "debug"]) { world in
            let client = try world.client()
            let signals = ["BIND", "ip", address, "BIND", "ua", agent]
            for kind in Self.kinds {
                let token = try Self.holder(kind, client, signals)
                _ = try client.call(["TOKEN.VALIDATE", token] + signals)
                _ = try client.call(["TOKEN.VALIDATE", token] + Self.away)
                _ = try client.call(["TOKEN.SET", token] + signals + ["DATA", "a", "1"])
                _ = try client.call(["TOKEN.LOGIN", token, "ann"] + signals)
                for part in token.split(separator: ".") where token.contains(".") {
                    #expect(try #require(KeyRingText.data(base64url: part)).range(of: Data(agent.utf8)) == nil)
                }
            }
            _ = try client.captcha("BIND", "ip", address, "BIND", "ua", agent)
            _ = try client.call("TOKEN.VALIDATE", "x", "BIND", "ip", address + "x")
            _ = try world.daemon.redis().call("BGREWRITEAOF")
            let needles = [address, "198.51.100.1", agent, "Chrome"].map { Data($0.utf8) } + [Data([203, 0, 113, 77])]
            for path in FileManager.default.enumerator(atPath: world.stage.folder.path)?.allObjects as? [String] ?? [] {
                guard !path.hasPrefix("client"),
                    let data = FileManager.default.contents(atPath: world.stage.folder.file(path))
                else { continue }
                for needle in needles { #expect(data.range(of: needle) == nil, "\(path)") }
            }
        }
    }
}
