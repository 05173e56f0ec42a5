import TestSupport
import Testing

@Suite("G6: the first thing worth remembering makes a guest a session, one, whoever asks", .parallel)
struct G6PromotionTests {
    @Test("racing SETs of one guest over three daemons make one session with one new token, and all data is there")
    func racingSets() throws {
        try withWorld(daemons: 3) { world in
            let observer = try world.client()
            for _ in 0..<10 {
                let guest = try observer.guest()
                let sid = try observer.sid(ofGuest: guest)
                let replies = try concurrently(12) {
                    try world.client(ofDaemon: $0)
                } work: { index, client in
                    try client.fields("TOKEN.SET", guest, "DATA", "f\(index)", "v\(index)")
                }
                #expect(replies.allSatisfy { $0.status == "valid" && $0.integer("changed") == 1 })
                let tokens = Set(replies.map { $0.sessionToken })
                #expect(tokens.count == 1 && !tokens.contains(nil), "\(tokens.count) tokens")
                let token = try replies[0].newToken()
                #expect(TokenText.sid(token) == sid)
                let data = try observer.fields("TOKEN.GET", token).data()
                #expect(data == Dictionary(uniqueKeysWithValues: (0..<12).map { ("f\($0)", "v\($0)") }))
            }
            let keys = try KeyAudit.keysOfUsers(world.daemon.redis())
            // One for each guest; the daemons' own readiness made three more.
            #expect(keys.filter { $0.hasPrefix("\(world.stage.prefix)s:") }.count == 10)
        }
    }

    @Test("racing LOGINs of one guest as one subject make one session with one token")
    func racingLogins() throws {
        try withWorld(daemons: 3) { world in
            let observer = try world.client()
            for round in 0..<10 {
                let guest = try observer.guest()
                let sid = try observer.sid(ofGuest: guest)
                let replies = try concurrently(9) {
                    try world.client(ofDaemon: $0)
                } work: { _, client in
                    try client.fields("TOKEN.LOGIN", guest, "ann-\(round)")
                }
                #expect(Set(replies.map { $0.sessionToken }).count == 1)
                #expect(replies.allSatisfy { $0.status == "issued" && $0.sid == sid })
                let list = try observer.call("TOKEN.LIST", "ann-\(round)").elements ?? []
                #expect(try list.map { try Fields($0).sid } == [sid])
            }
        }
    }

    @Test(
        "SET and LOGIN of one guest at once: one session, which is the subject's, and no data is lost that was said to be kept"
    )
    func setAndLogin() throws {
        try withWorld(daemons: 3) { world in
            let observer = try world.client()
            for round in 0..<15 {
                let guest = try observer.guest()
                let sid = try observer.sid(ofGuest: guest)
                let replies = try concurrently(6) {
                    try world.client(ofDaemon: $0)
                } work: { index, client in
                    index == 0
                        ? try client.fields("TOKEN.LOGIN", guest, "ann-\(round)")
                        : try client.fields("TOKEN.SET", guest, "DATA", "f\(index)", "1")
                }
                let token = try replies[0].newToken()
                #expect(replies[0].sid == sid)
                let data = try observer.fields("TOKEN.GET", token).data()
                for (index, reply) in replies.enumerated().dropFirst() {
                    if reply.isAccepted {
                        #expect(data["f\(index)"] == "1")
                    } else {
                        expectRefused("replayed", reply)
                        #expect(data["f\(index)"] == nil)
                    }
                }
                #expect(try observer.validate(token).text("subject") == "ann-\(round)")
            }
        }
    }

    @Test("a lost answer costs nothing: the guest's token leads to the same session, on any daemon")
    func lostAnswer() throws {
        try withWorld(daemons: 2) { world in
            let here = try world.client(ofDaemon: 0)
            let there = try world.client(ofDaemon: 1)
            let guest = try here.guest()
            let lost = try here.fields("TOKEN.SET", guest, "DATA", "a", "1").newToken()
            #expect(try there.fields("TOKEN.SET", guest, "DATA", "a", "1").newToken() == lost)
            #expect(try there.fields("TOKEN.SET", guest, "DATA", "a", "1").integer("changed") == 0)
            let reply = try here.validateGuest(guest)
            #expect(try reply.status == "rotated" && reply.newToken() == lost && reply.text("kind") == "session")
            #expect(try there.fields("TOKEN.GET", guest, "DATA", "a").data() == ["a": "1"])
            try awaitThat("the other daemon was told") {
                let reply = try there.validateGuest(guest)
                guard reply.isAccepted else { throw HarnessFailure("refused: \(reply)") }
                return reply.status == "rotated" && reply.sessionToken == lost
            }
        }
    }

    @Test("confirmed by use: the guest's token is good for the overlap, without the new one; then replayed")
    func confirmation() throws {
        try withWorld(daemons: 2, settings: ["rotation.overlap": "2s"]) { world in
            let client = try world.client()
            let guest = try client.guest()
            let session = try client.fields("TOKEN.SET", guest, "DATA", "a", "1").newToken()
            #expect(try client.validateGuest(guest).sessionToken == session)
            #expect(try client.validateGuest(guest).sessionToken == session, "as often as it takes")
            #expect(try client.validate(session).status == "valid")
            let late = try client.validateGuest(guest)
            #expect(late.status == "valid" && late.sessionToken == nil && late.text("kind") == "session")
            #expect(try client.fields("TOKEN.SET", guest, "DATA", "b", "2").sessionToken == nil)
            try awaitThat("its retirement") {
                let reply = try client.validateGuest(guest)
                if !reply.isAccepted { expectRefused("replayed", reply) }
                return !reply.isAccepted
            }
            // Each daemon has its own estimate of Redis's clock, a few milliseconds off.
            let other = try world.client(ofDaemon: 1)
            try awaitThat("its retirement there") { try !other.fields("TOKEN.GET", guest).isAccepted }
            for command in [
                ["TOKEN.GET", guest], ["TOKEN.SET", guest, "DATA", "c", "3"], ["TOKEN.INSPECT", guest],
                ["TOKEN.ROTATE", guest],
            ] {
                expectRefused("replayed", try client.fields(command))
                expectRefused("replayed", try other.fields(command))
            }
            #expect(try client.fields("TOKEN.GET", session).data() == ["a": "1", "b": "2"])
        }
    }

    @Test("a guest whose token was renewed in between: old and new token lead to the same session")
    func renewedInBetween() throws {
        try withWorld(daemons: 2, settings: ["guest.lifetime": "5s"]) { world in
            let client = try world.client()
            let old = try client.guest()
            let renewed = try eventually("renewal") {
                let reply = try client.validateGuest(old)
                return reply.status == "rotated" ? try reply.newToken() : nil
            }
            let session = try client.fields("TOKEN.SET", renewed, "DATA", "a", "1").newToken()
            #expect(try world.client(ofDaemon: 1).fields("TOKEN.SET", old, "DATA", "b", "2").newToken() == session)
            #expect(try client.fields("TOKEN.GET", session).data() == ["a": "1", "b": "2"])
        }
    }

    @Test("empty values make nothing; unchanged ones write nothing")
    func nothing() throws {
        try withWorld { world in
            let client = try world.client()
            let guest = try client.guest()
            var count = try WriteCount(world.requireServer())
            let empty = try client.call("TOKEN.SET", guest, "DATA", "a", "", "b", "")
            try expectShape(empty, ["status", "accepted", "sid", "changed"])
            #expect(try Fields(empty).integer("changed") == 0)
            #expect(try count.writes() == [:] && count.size() == count.keys)
            let first = try client.call("TOKEN.SET", guest, "DATA", "a", "1", "b", "")
            try expectShape(first, ["status", "accepted", "sid", "changed", "sessiontoken"])
            #expect(try Fields(first).integer("changed") == 1)
            try count.restart()
            for token in [guest, try Fields(first).newToken()] {
                #expect(try client.fields("TOKEN.SET", token, "DATA", "a", "1").integer("changed") == 0)
                #expect(try client.fields("TOKEN.SET", token, "DATA", "b", "").integer("changed") == 0)
            }
            #expect(try count.writes() == [:])
        }
    }

    @Test("too much data makes no session")
    func tooLarge() throws {
        try withWorld(settings: ["session.max-data": "64"]) { world in
            let client = try world.client()
            let guest = try client.guest()
            let count = try WriteCount(world.requireServer())
            expectError("ERR", try client.call("TOKEN.SET", guest, "DATA", "a", String(repeating: "x", count: 65)))
            #expect(try count.size() == count.keys)
            #expect(try client.validateGuest(guest).text("kind") == "guest")
        }
    }
}
