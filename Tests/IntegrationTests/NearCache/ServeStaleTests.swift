import TestSupport
import Testing

@Suite(
    "S10: known sessions are served while Redis is silent, for near-cache.serve-stale and not longer", .demanding,
    .needsNearCache)
struct ServeStaleTests {
    private static let settings = ["near-cache.serve-stale": "3s", "redis.timeout": "250ms"]

    enum Outage: String, CaseIterable, CustomTestStringConvertible {
        case silent, dead
        var testDescription: String { rawValue }
    }

    private static func begin(_ outage: Outage, _ server: RedisServer) {
        switch outage {
        case .silent: server.pause()
        case .dead: server.kill9()
        }
    }

    private static func end(_ outage: Outage, _ server: RedisServer) throws {
        switch outage {
        case .silent: server.resume()
        case .dead: try server.start()
        }
    }

    @Test("answered with stale 1, then UNAVAILABLE, then without it again", arguments: Outage.allCases)
    func outage(_ outage: Outage) throws {
        try withWorld(settings: Self.settings) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let token = try client.issue("SUBJECT", "ann")
            try client.warm(token)
            #expect(try client.validate(token)["stale"] == nil)
            let began = ContinuousClock.now
            Self.begin(outage, server)
            var (stale, wasUnavailable) = (0, false)
            while ContinuousClock.now - began < .seconds(5) {
                let sent = ContinuousClock.now
                let reply = try client.call("TOKEN.VALIDATE", token)
                if let code = reply.errorCode {
                    #expect(code == "UNAVAILABLE")
                    #expect(sent - began > .milliseconds(2_000), "a known session was refused too early")
                    wasUnavailable = true
                    continue
                }
                let fields = try Fields(reply)
                #expect(fields.status == "valid" && fields.text("subject") == "ann")
                #expect(!wasUnavailable, "accepted again while Redis is silent")
                if fields.integer("stale") == 1 {
                    stale += 1
                    #expect(fields.names == acceptedFields + ["stale"])
                    #expect(sent - began <= .milliseconds(3_000))
                } else {
                    #expect(fields["stale"] == nil)
                    #expect(sent - began <= .milliseconds(1_000), "a hit without a proof of life")
                }
                letPass(.milliseconds(2))
            }
            #expect(stale > 0 && wasUnavailable)
            #expect(try NearCacheFacts(client)["stale_answers"] == stale)
            try Self.end(outage, server)
            let back = try eventually("service") {
                let reply = try client.call("TOKEN.VALIDATE", token)
                return try reply.errorText == nil ? Fields(reply) : nil
            }
            #expect(back.status == "valid" && back["stale"] == nil)
            try NearCacheFacts.awaitArmed(world.daemon)
            try client.warm(token)
        }
    }

    @Test("what is not known is UNAVAILABLE, never unknown: other tokens, former ones, forged ones")
    func others() throws {
        let settings = Self.settings.merging(["rotation.after": "100ms", "rotation.overlap": "50ms"]) { $1 }
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let first = try client.issue()
            let second = try client.rotateAndConfirm(first)
            try client.warm([second])
            let revoked = try client.issue()
            try client.warm([revoked])
            _ = try client.fields("TOKEN.REVOKE", revoked)
            let unseen = try client.issue()
            server.pause()
            let questions = [TokenText.random(), first, TokenText.forged(second), revoked, unseen]
            let began = ContinuousClock.now
            while ContinuousClock.now - began < .seconds(4) {
                for token in questions {
                    #expect(try client.call("TOKEN.VALIDATE", token).errorCode == "UNAVAILABLE")
                }
            }
            server.resume()
            try client.awaitService()
        }
    }

    @Test("a rotation that is due waits: the old token stays good, and no successor is made up")
    func rotationWaits() throws {
        let settings = Self.settings.merging(["rotation.after": "1s"]) { $1 }
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let token = try client.issue()
            try client.warm([token])
            server.pause()
            letPass(.milliseconds(1_200))
            let reply = try client.validate(token)
            #expect(reply.status == "valid" && reply.integer("stale") == 1 && reply.sessionToken == nil)
            server.resume()
            try client.awaitService()
            _ = try client.rotateAndConfirm(token)
        }
    }

    @Test("one that is due when the outage begins waits as well, although nobody knows whether it was written")
    func rotationUnanswered() throws {
        let settings = Self.settings.merging(["rotation.after": "1s", "near-cache.serve-stale": "20s"]) { $1 }
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let token = try client.issue("DATA", "a", "1")
            try client.warm(token)
            letPass(.milliseconds(1_100))
            server.pause()
            let began = ContinuousClock.now
            repeat {
                let reply = try client.fields("TOKEN.VISIT", token, "DATA", "a")
                #expect(reply.status == "valid" && reply.integer("stale") == 1 && reply.sessionToken == nil)
                #expect(try reply.data() == ["a": "1"])
            } while ContinuousClock.now - began < .milliseconds(1_500)
            server.resume()
            try client.awaitService()
            _ = try client.rotateAndConfirm(token)
        }
    }

    @Test("previous tokens are served as long as they are good, without a successor; a pending one waits for Redis")
    func previousTokens() throws {
        let settings = Self.settings.merging([
            "rotation.after": "1s", "rotation.overlap": "6s", "near-cache.serve-stale": "20s",
        ]) { $1 }
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let replaced = try client.issue()
            let pending = try client.rotateWhenDue(replaced)
            let overlapping = try client.issue()
            let current = try client.rotateAndConfirm(overlapping)
            try client.warm([replaced, overlapping, current])
            server.pause()
            // Until nothing proves any more that Redis lives.
            _ = try eventually("a stale answer") { try client.validate(overlapping)["stale"] }
            for token in [replaced, overlapping, current] {
                let reply = try client.validate(token)
                #expect(reply.status == "valid" && reply.integer("stale") == 1 && reply.sessionToken == nil)
            }
            #expect(try client.call("TOKEN.VALIDATE", pending).errorCode == "UNAVAILABLE")
            _ = try eventually("the end of the overlap") {
                try client.call("TOKEN.VALIDATE", overlapping).errorCode == "UNAVAILABLE" ? true : nil
            }
            #expect(try client.validate(current).integer("stale") == 1)
            server.resume()
            try client.awaitService()
            #expect(try client.validate(replaced).sessionToken == pending)
            #expect(try client.validate(pending).status == "valid")
        }
    }

    @Test(
        "a session whose end was asked for and has an unknown fate is not served",
        arguments: [
            Ending.revoke, .rotate, .loginSame, .revokeSID,
        ])
    func unknownFate(_ ending: Ending) throws {
        try withWorld(settings: Self.settings) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let token = try client.issue("SUBJECT", "user-1")
            let other = try client.issue("SUBJECT", "user-1")
            try client.warm([token, other])
            server.pause()
            #expect(try client.fields("TOKEN.VALIDATE", token).isAccepted)
            #expect(try client.call(ending.command(token, "1")).errorCode == "UNAVAILABLE")
            let began = ContinuousClock.now
            var accepted = 0
            while ContinuousClock.now - began < .milliseconds(3_500) {
                if try client.call("TOKEN.VALIDATE", token).errorCode != "UNAVAILABLE" { accepted += 1 }
                if ContinuousClock.now - began < .milliseconds(1_000), try !client.validate(other).isAccepted {
                    throw HarnessFailure("another session was punished")
                }
                letPass(.milliseconds(5))
            }
            #expect(accepted == 0, "\(accepted) answers of a session that was to end")
            server.resume()
            try client.awaitService()
        }
    }

    @Test("0 turns it off: UNAVAILABLE as soon as nothing proves that Redis lives")
    func off() throws {
        let settings = Self.settings.merging(["near-cache.serve-stale": "0"]) { $1 }
        try withWorld(settings: settings) { world in
            let client = try world.client()
            let server = try world.requireServer()
            try NearCacheFacts.awaitArmed(world.daemon)
            let token = try client.issue()
            try client.warm([token])
            server.pause()
            let began = ContinuousClock.now
            while ContinuousClock.now - began < .milliseconds(2_500) {
                let sent = ContinuousClock.now
                let reply = try client.call("TOKEN.VALIDATE", token)
                guard reply.errorCode != "UNAVAILABLE" else { continue }
                #expect(try Fields(reply)["stale"] == nil)
                #expect(sent - began <= .seconds(1))
                letPass(.milliseconds(2))
            }
            #expect(try client.call("TOKEN.VALIDATE", token).errorCode == "UNAVAILABLE")
            server.resume()
            try client.awaitService()
        }
    }

    @Test("an invalidation connection that comes back alone does not make old knowledge new")
    func feedAlone() throws {
        try withNearCache(settings: Self.settings.merging(["near-cache.serve-stale": "2s"]) { $1 }) { world in
            let (near, far) = (try world.near.client(), try world.far.client())
            let token = try far.issue()
            try near.warm([token])
            // No data connection answers any more; the other one is away for a while, and the end falls into it.
            world.proxy.treat(.data) {
                $0.isStopped = true
                $0.holdsNew = true
            }
            world.proxy.treat(.feed) { $0.holdsNew = true }
            world.proxy.cut(.feed)
            try awaitThat("disarmed") { try !NearCacheFacts(near).isArmed }
            #expect(try far.fields("TOKEN.REVOKE", token).status == "revoked")
            let acknowledged = ContinuousClock.now
            var (last, isBack) = (Duration.zero, false)
            while ContinuousClock.now - acknowledged < .seconds(7) {
                let sent = ContinuousClock.now - acknowledged
                let reply = try near.call("TOKEN.VALIDATE", token)
                if reply.errorText == nil, try Fields(reply).isAccepted { last = sent }
                letPass(.milliseconds(5))
                if !isBack, sent > .milliseconds(2_500) {
                    isBack = true
                    world.proxy.treat(.feed) { $0.holdsNew = false }
                }
            }
            #expect(last > .zero, "the session was not served stale at all")
            #expect(last <= .seconds(2), "accepted \(last) after the end, from what was known before")
            world.proxy.treat(.data) {
                $0.isStopped = false
                $0.holdsNew = false
            }
            world.proxy.cut(.data)
            try near.awaitService()
        }
    }
}
