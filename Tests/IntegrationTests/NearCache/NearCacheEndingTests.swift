import TestSupport
import Testing

@Suite(
    "S5 with the near cache: once an end is acknowledged, the old token dies everywhere in time", .demanding,
    .needsNearCache)
struct NearCacheEndingTests {
    private static let endings: [Ending] = [.revoke, .revokeAll, .rotate, .loginSame, .loginOther]

    @Test("the daemon that acknowledged never answers from memory what it knew before")
    func sameDaemon() throws {
        try withWorld { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let (client, other) = (try world.client(), try world.client())
            let pairs = NearCacheWorld.rounds(2_000, long: 100_000)
            var (stale, done) = (0, 0)
            while done < pairs {
                let ending = Self.endings[done / 50 % Self.endings.count]
                let rounds = (0..<50).map { "\(done + $0)" }
                let tokens = try client.pipeline(rounds.map(ending.issue)).map { try Fields($0).newToken() }
                try other.warm(tokens)
                for (token, round) in zip(tokens, rounds) {
                    #expect(try other.validate(token).status == "valid")
                    let reply = try client.fields(ending.command(token, round))
                    guard ["revoked", "rotated", "issued"].contains(reply.status) else {
                        throw HarnessFailure("\(ending) was answered \(reply)")
                    }
                    if try other.validate(token).isAccepted { stale += 1 }
                    if try client.validate(token).isAccepted { stale += 1 }
                }
                done += rounds.count
            }
            #expect(stale == 0, "of \(pairs)")
            // Else this was no test of the near cache.
            #expect(try NearCacheFacts(client)["hits"] >= pairs)
        }
    }

    @Test("a session that is presented all the time, by many, from memory")
    func underLoad() throws {
        try withWorld { world in
            try NearCacheFacts.awaitArmed(world.daemon)
            let client = try world.client()
            let presenters = try (0..<3).map { _ in try world.client() }
            for index in 0..<100 {
                let ending = Self.endings[index % Self.endings.count]
                let token = try client.fields(ending.issue("\(index)")).newToken()
                try client.warm([token])
                let background = presenters.map { presenter in
                    Background { _ = try presenter.pipeline(Array(repeating: ["TOKEN.VALIDATE", token], count: 16)) }
                }
                _ = try client.fields(ending.command(token, "\(index)"))
                for _ in 0..<5 { #expect(try !client.validate(token).isAccepted, "\(ending)") }
                for presenter in background { try presenter.stop() }
                #expect(try !client.validate(token).isAccepted, "\(ending): a late read brought the token back")
            }
        }
    }

    @Test("another daemon stops within 50 ms while invalidations are told")
    func otherDaemon() throws {
        try withWorld(daemons: 2) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let here = try world.client(ofDaemon: 0)
            let there = try world.client(ofDaemon: 1)
            let meter = StallMeter()
            defer { try? meter.stop() }
            let pairs = NearCacheWorld.rounds(2_000, long: 100_000)
            var lateness = Lateness()
            var excused = 0
            while lateness.rounds < pairs {
                let ending = Self.endings[lateness.rounds / 50 % Self.endings.count]
                let rounds = (0..<50).map { "\(lateness.rounds + $0)-\(excused)" }
                let tokens = try here.pipeline(rounds.map(ending.issue)).map { try Fields($0).newToken() }
                try there.warm(tokens)
                for (token, round) in zip(tokens, rounds) {
                    meter.reset()
                    var one = Lateness()
                    _ = try here.fields(ending.command(token, round))
                    one.note(acknowledged: .now, lastAccepted: try Self.lastAccepted(there, token))
                    // A machine that stood still has measured itself.
                    if one.longest > .milliseconds(50), meter.longest > .milliseconds(20) {
                        excused += 1
                        guard excused <= 20 else { throw HarnessFailure("this machine stands still too often") }
                    } else {
                        lateness.add(one)
                    }
                }
            }
            lateness.report("another daemon")
            #expect(lateness.longest <= .milliseconds(50))
            #expect(try NearCacheFacts(there)["hits"] >= pairs)
        }
    }

    /// Presents a token until it is refused; when the last request was sent that was accepted.
    private static func lastAccepted(_ client: RESPClient, _ token: String) throws -> ContinuousClock.Instant? {
        var last: ContinuousClock.Instant?
        let deadline = Deadline(in: .seconds(5))
        while !deadline.hasPassed {
            let sent = ContinuousClock.now
            guard try client.validate(token).isAccepted else { return last }
            last = sent
        }
        throw HarnessFailure("still accepted after five seconds")
    }

    @Test("another daemon stops within 1 s when its invalidation connection has fallen silent")
    func silentConnection() throws {
        try withNearCache { world in
            let (near, far) = (try world.near.client(), try world.far.client())
            var lateness = Lateness()
            let pairs = NearCacheWorld.rounds(2_000, long: 100_000)
            while lateness.rounds < pairs {
                let tokens = try far.issue(count: 200)
                try near.warm(tokens)
                let flushes = try NearCacheFacts(near)["flushes"]
                world.proxy.stopThose(.feed)
                letPass(.milliseconds(20))
                let acknowledged = try Self.revoke(tokens, far)
                try Self.presentUntilRefused(tokens, near, acknowledged, &lateness)
                try NearCacheFacts.awaitRearmed(world.near, flushesBefore: flushes)
            }
            lateness.report("silent invalidation connection")
            #expect(lateness.longest <= .seconds(1))
            #expect(lateness.lateAccepts > 0, "the connection was not silent: this measured nothing")
        }
    }

    @Test(
        "so it does when the connection's proxy was stopped by SIGSTOP",
        .topologies(.alone, .cluster, .sentinels, why: "the proxy stands before one server"))
    func stoppedProxy() throws {
        let stage = try Stage()
        let server = try stage.addRedis()
        let proxy = try ProxyProcess(stage, to: server)
        var problems: [String] = []
        do {
            let daemons = [try stage.addDaemon(.url(proxy.url)), try stage.addDaemon(.redis(server))]
            for daemon in daemons { try NearCacheFacts.awaitArmed(daemon) }
            let (near, far) = (try daemons[0].client(), try daemons[1].client())
            var lateness = Lateness()
            for _ in 0..<NearCacheWorld.rounds(2, long: 10) {
                let tokens = try far.issue(count: 200)
                try near.warm(tokens)
                let flushes = try NearCacheFacts(near)["flushes"]
                try proxy.stopFeed()
                let acknowledged = try Self.revoke(tokens, far)
                try Self.presentUntilRefused(tokens, near, acknowledged, &lateness)
                try NearCacheFacts.awaitRearmed(daemons[0], flushesBefore: flushes)
            }
            lateness.report("a stopped proxy")
            #expect(lateness.longest <= .seconds(1))
            #expect(lateness.lateAccepts > 0, "the connection was not silent: this measured nothing")
        } catch {
            problems.append("\(error)")
        }
        // A daemon that is stopped talks to its Redis once more.
        for daemon in stage.daemons {
            do { try daemon.stop() } catch { problems.append("\(error)") }
        }
        proxy.end()
        problems += stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    private static func revoke(
        _ tokens: [String], _ client: RESPClient
    ) throws -> [String: ContinuousClock.Instant] {
        var acknowledged: [String: ContinuousClock.Instant] = [:]
        for token in tokens {
            guard try client.fields("TOKEN.REVOKE", token).status == "revoked" else {
                throw HarnessFailure("a revocation failed")
            }
            acknowledged[token] = .now
        }
        return acknowledged
    }

    private static func presentUntilRefused(
        _ tokens: [String], _ client: RESPClient, _ acknowledged: [String: ContinuousClock.Instant],
        _ lateness: inout Lateness
    ) throws {
        var living = tokens
        var last: [String: ContinuousClock.Instant] = [:]
        let deadline = Deadline(in: .seconds(10))
        while !living.isEmpty {
            guard !deadline.hasPassed else { throw HarnessFailure("\(living.count) tokens are still accepted") }
            var accepted: [String] = []
            for start in stride(from: 0, to: living.count, by: 50) {
                let some = living[start..<min(start + 50, living.count)]
                let sent = ContinuousClock.now
                let replies = try client.pipeline(some.map { ["TOKEN.VALIDATE", $0] })
                for (token, reply) in zip(some, replies) where try Fields(reply).isAccepted {
                    last[token] = sent
                    accepted.append(token)
                }
            }
            living = accepted
        }
        for token in tokens {
            guard let moment = acknowledged[token] else { continue }
            lateness.note(acknowledged: moment, lastAccepted: last[token])
        }
    }
}
