import TestSupport
import Testing

@Suite("S14: data over three daemons: nothing is lost, nothing is taken twice", .demanding)
struct S14DataTests {
    @Test("INCRs of many connections come to their exact sum, each value once", arguments: [false, true])
    func sums(byName: Bool) throws {
        try withWorld(daemons: 3) { world in
            let token = try world.client().issue()
            let reference = byName ? ["SID", TokenText.sid(token)] : [token]
            let values = try concurrently(20) { index in
                try world.client(ofDaemon: index)
            } work: { _, client in
                try (0..<10).map { _ in
                    try client.fields(["TOKEN.INCR"] + reference + ["DATA", "n"]).integer("value") ?? -1
                }
            }
            #expect(values.flatMap { $0 }.sorted() == Array(1...200))
        }
    }

    @Test("INCRs that race to make a guest's session all count, in one session")
    func guests() throws {
        try withWorld(daemons: 3) { world in
            let guest = try world.client().guest()
            let answers = try concurrently(20) { index in
                try world.client(ofDaemon: index)
            } work: { _, client in
                try client.fields("TOKEN.INCR", guest, "DATA", "n")
            }
            #expect(answers.compactMap { $0.integer("value") }.sorted() == Array(1...20))
            #expect(Set(answers.map(\.sessionToken)).count == 1)
        }
    }

    @Test("of many GETDELs at most one gets what was set, round after round")
    func takers() throws {
        try withWorld(daemons: 3) { world in
            let client = try world.client()
            let token = try client.issue()
            for round in 0..<10 {
                _ = try client.fields("TOKEN.SET", token, "DATA", "flash", "\(round)")
                let taken = try concurrently(12) { index in
                    try world.client(ofDaemon: index)
                } work: { _, client in
                    try client.fields("TOKEN.GETDEL", token, "DATA", "flash").data()
                }
                #expect(taken.filter { !$0.isEmpty } == [["flash": "\(round)"]])
            }
        }
    }

    @Test("a compare-and-set loop loses no step, while other fields are written and the token rotates")
    func compareAndSet() throws {
        try withWorld(daemons: 3, settings: ["rotation.after": "100ms", "rotation.overlap": "60s"]) { world in
            let token = try world.client().issue("DATA", "n", "0")
            let sid = TokenText.sid(token)
            _ = try concurrently(12) { index in
                try world.client(ofDaemon: index)
            } work: { index, client in
                if index < 2 {
                    var newest = token
                    for round in 0..<20 {
                        newest = try client.validate(newest).sessionToken ?? newest
                        _ = try client.fields("TOKEN.SET", "SID", sid, "DATA", "other\(index)-\(round)", "x")
                    }
                    return
                }
                var steps = 0
                var known = "0"
                while steps < 10 {
                    let next = String((Int(known) ?? 0) + 1)
                    let reply = try client.fields("TOKEN.SET", "SID", sid, "IF", "n", known, "DATA", "n", next)
                    guard reply.status == "conflict" else {
                        (steps, known) = (steps + 1, next)
                        continue
                    }
                    known = try reply.data()["n"] ?? ""
                }
            }
            let data = try world.client().fields("TOKEN.GET", "SID", sid).data()
            #expect(data["n"] == "100" && data.count == 41)
        }
    }

    @Test("an INCR, a GETDEL and a SET with IF whose replies are lost are sent once", .needsNearCache)
    func unknownFate() throws {
        try withNearCache(settings: ["redis.timeout": "2s"]) { world in
            let client = try world.near.client()
            let direct = try world.far.client()
            let token = try client.issue("DATA", "n", "0", "once", "x")
            let sid = TokenText.sid(token)
            for (command, data) in [
                (["TOKEN.INCR", "SID", sid, "DATA", "n"], ["n": "1", "once": "x"]),
                (["TOKEN.SET", "SID", sid, "IF", "n", "1", "DATA", "n", "2"], ["n": "2", "once": "x"]),
                (["TOKEN.GETDEL", "SID", sid, "DATA", "once"], ["n": "2"]),
            ] {
                world.proxy.treat(.data) { $0.delay = .milliseconds(400) }
                try client.send(command)
                _ = try eventually("\(command[0]) was carried out") {
                    try direct.fields("TOKEN.GET", "SID", sid).data() == data ? true : nil
                }
                world.proxy.cut(.data)
                world.proxy.treat(.data) { $0.delay = .zero }
                expectError("UNAVAILABLE", try client.readReply())
                try client.awaitService()
                #expect(try direct.fields("TOKEN.GET", "SID", sid).data() == data, "\(command[0]) was sent twice")
            }
        }
    }

    @Test("an INCR that makes a guest's session, and whose reply is lost, is sent once", .needsNearCache)
    func unknownFateOfGuest() throws {
        try withNearCache(settings: ["redis.timeout": "2s"]) { world in
            let client = try world.near.client()
            let direct = try world.far.client()
            let guest = try client.guest()
            let sid = try #require(try client.fields("TOKEN.GET", guest).sid)
            world.proxy.treat(.data) { $0.delay = .milliseconds(400) }
            try client.send(["TOKEN.INCR", guest, "DATA", "n"])
            _ = try eventually("the session is made") {
                let reply = try direct.fields("TOKEN.GET", "SID", sid)
                return try reply.isAccepted && reply.data() == ["n": "1"] ? true : nil
            }
            world.proxy.cut(.data)
            world.proxy.treat(.data) { $0.delay = .zero }
            expectError("UNAVAILABLE", try client.readReply())
            try client.awaitService()
            // The guest's token leads there all the same, at both daemons, and counts on.
            let next = try client.fields("TOKEN.INCR", guest, "DATA", "n")
            #expect(next.integer("value") == 2 && next.sid == sid)
            let other = try direct.fields("TOKEN.INCR", guest, "DATA", "n")
            #expect(try other.integer("value") == 3 && other.newToken() == next.newToken())
        }
    }

    @Test("own writes are true at the own daemon at once: its near cache has dropped what it knew", .needsNearCache)
    func ownWrites() throws {
        try withNearCache { world in
            let client = try world.near.client()
            let token = try client.issue()
            for round in 1...50 {
                #expect(try client.fields("TOKEN.INCR", token, "DATA", "n").integer("value") == round)
                #expect(try client.fields("TOKEN.GET", token, "DATA", "n").data() == ["n": "\(round)"])
                _ = try client.validate(token)
            }
            #expect(try client.fields("TOKEN.GETDEL", token, "DATA", "n").data() == ["n": "50"])
            #expect(try client.fields("TOKEN.VALIDATE", token, "DATA").data() == [:])
        }
    }
}
