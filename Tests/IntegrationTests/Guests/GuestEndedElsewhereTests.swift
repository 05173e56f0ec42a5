import TestSupport
import Testing

@Suite(
    "S5 for guests: a daemon that was not told, or has forgotten, asks about those who may have been ended", .demanding,
    .needsNearCache)
struct GuestEndedElsewhereTests {
    /// What takes a guest's token without asking Redis, where it need not be asked.
    private static func expectEnded(
        _ end: GuestEndingTests.End, _ guest: String, _ csrf: String, _ client: RESPClient
    ) throws {
        for command in ["TOKEN.VALIDATE", "TOKEN.VISIT"] {
            let reply = try client.fields(command, guest)
            #expect(!reply.isAccepted && reply.status == end.statusAfter, "\(command) after \(end): \(reply)")
        }
        // Of a token that was replaced lately the holder is the guest of its page; LOGIN's form is good while it may be
        // repeated.
        let isReplaced = end.statusAfter == "replayed"
        let verified = try client.verify(guest, csrf)
        #expect(isReplaced ? ["failed", "passed"].contains(verified) : verified == end.statusAfter)
        #expect(
            try client.fields("CAPTCHA.ISSUE", "FOR", guest).status == (isReplaced ? "issued" : end.statusAfter))
    }

    /// Guests that were seen at a daemon, with a form of theirs.
    private static func guests(_ count: Int, _ client: RESPClient) throws -> [(token: String, csrf: String)] {
        try (0..<count).map { _ in
            let guest = try client.guest()
            #expect(try client.validateGuest(guest).status == "valid")
            return (guest, try client.csrf(guest))
        }
    }

    /// Waits until guests that a daemon makes are answered by it without Redis.
    private static func awaitKnowledge(_ client: RESPClient) throws {
        try awaitThat("new guests are known", every: .milliseconds(100)) {
            let guest = try client.guest()
            let before = try DaemonFacts(client, "tokens").number("guests_looked_up")
            #expect(try client.validateGuest(guest).status == "valid")
            return try DaemonFacts(client, "tokens").number("guests_looked_up") == before
        }
    }

    @Test(
        "after 70,000 changes of others' sessions",
        .topologies(.alone, .cluster, .sentinels, why: "a script writes keys of all slots"))
    func flood() throws {
        try withWorld(daemons: 2) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let (here, there) = (try world.client(ofDaemon: 0), try world.client(ofDaemon: 1))
            try Self.awaitKnowledge(there)
            let ends = GuestEndingTests.End.allCases
            let guests = try Self.guests(ends.count, there)
            for (index, end) in ends.enumerated() { try end.carryOut(here, guests[index].token, "flood-\(index)") }
            let before = try NearCacheFacts(there)["invalidations"]
            // Written by another program: the sessions of 70,000 visitors would take a minute.
            let script = """
                for i = 1, 1000 do
                    local key = KEYS[1] .. string.format('%032x', ARGV[1] * 1000 + i)
                    redis.call('SET', key, '', 'EX', 60)
                    redis.call('DEL', key)
                end
                """
            let redis = try world.requireServer().client()
            var rounds = 0
            _ = try eventually(within: .seconds(120), every: .zero, "70,000 changes were told") { () throws -> Bool? in
                let reply = try redis.call("EVAL", script, "1", "\(world.stage.prefix)s:", "\(rounds)")
                guard reply.errorText == nil else { throw HarnessFailure("\(reply)") }
                rounds += 1
                return try NearCacheFacts(there)["invalidations"] >= before + 70_000 ? true : nil
            }
            for (end, guest) in zip(ends, guests) { try Self.expectEnded(end, guest.token, guest.csrf, there) }
        }
    }

    @Test("while Redis tells of no changes, and when it does again")
    func missed() throws {
        try withNearCache { world in
            let (near, far) = (try world.near.client(), try world.far.client())
            try Self.awaitKnowledge(near)
            let ends = GuestEndingTests.End.allCases
            let guests = try Self.guests(2 * ends.count, near)
            let flushes = try NearCacheFacts(near)["flushes"]
            world.proxy.treat(.feed) { $0.holdsNew = true }
            world.proxy.cut(.feed)
            _ = try eventually("disarmed") { try NearCacheFacts(near).isArmed ? nil : true }
            for (index, guest) in guests.enumerated() {
                try ends[index % ends.count].carryOut(far, guest.token, "missed-\(index)")
            }
            for (end, guest) in zip(ends, guests) { try Self.expectEnded(end, guest.token, guest.csrf, near) }
            world.proxy.treat(.feed) { $0.holdsNew = false }
            try NearCacheFacts.awaitRearmed(world.near, flushesBefore: flushes)
            // Those of whom it heard nothing in the meantime.
            for (end, guest) in zip(ends, guests.suffix(ends.count)) {
                try Self.expectEnded(end, guest.token, guest.csrf, near)
            }
        }
    }

    @Test("by a daemon that was restarted since")
    func restarted() throws {
        try withWorld(daemons: 2) { world in
            let client = try world.client()
            let ends = GuestEndingTests.End.allCases
            let guests = try Self.guests(ends.count, client)
            for (index, end) in ends.enumerated() { try end.carryOut(client, guests[index].token, "restart-\(index)") }
            try world.daemon.stop()
            try world.daemon.start()
            let again = try world.client()
            for (end, guest) in zip(ends, guests) { try Self.expectEnded(end, guest.token, guest.csrf, again) }
            try NearCacheFacts.awaitArmed(world.daemon)
            for (end, guest) in zip(ends, guests) { try Self.expectEnded(end, guest.token, guest.csrf, again) }
        }
    }

    @Test("an end that overtakes the reply of the question: that there was no session is not remembered")
    func overtaken() throws {
        try withNearCache { world in
            let (near, far) = (try world.near.client(), try world.far.client())
            for (index, end) in GuestEndingTests.End.allCases.enumerated() {
                // So that it has to ask: guests from before the connection that it has now.
                let guest = try far.guest()
                let flushes = try NearCacheFacts(near)["flushes"]
                world.proxy.cut(.feed)
                try NearCacheFacts.awaitRearmed(world.near, flushesBefore: flushes)
                let count = try CommandCount(world.server)
                world.proxy.treat(.data) { $0.delay = .milliseconds(300) }
                try near.send("TOKEN.VALIDATE", guest)
                try awaitThat("it was read") { try count.calls()["hgetall"] == 1 }
                try end.carryOut(far, guest, "overtaken-\(index)")
                // Asked before the end: either answer is right.
                let status = try Fields(near.readReply()).status
                #expect(status == "valid" || status == end.statusAfter)
                world.proxy.treat(.data) { $0.delay = .zero }
                let reply = try near.validateGuest(guest)
                #expect(!reply.isAccepted && reply.status == end.statusAfter, "\(end): \(reply)")
            }
        }
    }

    @Test("Redis is not asked about those whom this daemon issued itself, from the first moment on")
    func fresh() throws {
        try withWorld { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let client = try world.client()
            let count = try CommandCount(world.requireServer())
            for _ in 0..<50 {
                let guest = try client.guest()
                for command in ["TOKEN.VALIDATE", "TOKEN.VISIT"] {
                    #expect(try client.fields(command, guest).status == "valid")
                }
            }
            #expect(try count.calls() == [:])
        }
    }

    @Test("it costs one read for a guest from before a restart, none for one from after it, and no write")
    func cost() throws {
        try withWorld { world in
            let client = try world.client()
            let old = try (0..<50).map { _ in try client.guest() }
            try world.daemon.stop()
            try world.daemon.start()
            try NearCacheFacts.awaitArmed(world.daemon)
            let again = try world.client()
            try Self.awaitKnowledge(again)
            let new = try (0..<50).map { _ in try again.guest() }
            let count = try CommandCount(world.requireServer())
            let views = { (guests: [String]) in
                for guest in guests {
                    #expect(try again.validateGuest(guest).status == "valid")
                    let csrf = try again.csrf(guest)
                    #expect(try again.fields("TOKEN.VISIT", guest, "CHECK", csrf, "").text("check") == "passed")
                    #expect(try again.verify(guest, csrf) == "passed")
                }
            }
            for _ in 0..<3 { try views(new) }
            #expect(try count.calls() == [:])
            for _ in 0..<3 { try views(old) }
            #expect(try count.calls() == ["hgetall": old.count])
        }
    }

    @Test("while Redis is away they are guests, but for those who are known to be somebody")
    func outage() throws {
        try withWorld(settings: ["guest.lifetime": "10s", "redis.timeout": "200ms"]) { world in
            let client = try world.client()
            let guest = try client.guest()
            let ended = try client.guest()
            _ = try client.fields("TOKEN.LOGIN", ended, "ann").newToken()
            let server = try world.requireServer()
            server.kill9()
            // Nobody knows whether a LOGIN elsewhere has given its bearer a newer token: it is not renewed.
            try awaitThat("half of its life") {
                let reply = try client.validateGuest(guest)
                #expect(reply.status == "valid" && reply.sessionToken == nil, "\(reply)")
                return (reply.integer("expires_in") ?? 0) < 4
            }
            expectError("UNAVAILABLE", try client.call("TOKEN.VALIDATE", ended))
            try server.start()
            try awaitThat("the end is told again") { try client.call("TOKEN.VALIDATE", ended).errorText == nil }
            #expect(try !client.validateGuest(ended).isAccepted)
            #expect(try client.validateGuest(guest).status == "rotated", "renewed after a look at Redis")
        }
    }
}
