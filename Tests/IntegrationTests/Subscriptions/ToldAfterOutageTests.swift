import Foundation
import TestSupport
import Testing

@Suite("Being told after an outage", .parallel, .needsNearCache)
struct ToldAfterOutageTests {
    @Test("the feed is cut again and again while sessions end elsewhere: each is told, once")
    func feedCut() throws {
        try withSubscribers { world in
            let redis = try world.requireServer().client()
            let worker = try world.client(ofDaemon: 1)
            let tokens = try worker.issue(count: 60)
            let subscriber = try Subscriber(world.daemon)
            try subscriber.watch(tokens.map(TokenText.sid))
            var left = Set(tokens.map(TokenText.sid))
            for batch in 0..<6 {
                for client in try pushClients(redis) { _ = try redis.call("CLIENT", "KILL", "ID", client) }
                for token in tokens[(batch * 10)..<(batch * 10 + 10)] { _ = try worker.fields("TOKEN.REVOKE", token) }
                for _ in 0..<10 {
                    let message = try subscriber.message()
                    #expect(message.text == "revoked logout" && left.remove(message.sid) != nil)
                }
            }
            #expect(left.isEmpty)
            try subscriber.expectSilence(for: .milliseconds(500))
        }
    }

    /// The connections on which the daemons are told of changes.
    private func pushClients(_ redis: RESPClient) throws -> [String] {
        let list = try redis.call("CLIENT", "LIST").text ?? ""
        return list.split(whereSeparator: \.isNewline).filter { $0.contains(" sub=1 ") }
            .compactMap { $0.split(separator: " ").first?.split(separator: "=").last.map(String.init) }
    }

    @Test("one daemon is cut off from Redis while another revokes: it tells when it is back, once")
    func cutOff() throws {
        try withNearCache { world in
            let worker = try world.far.client()
            let tokens = try worker.issue(count: 20)
            let sids = tokens.map(TokenText.sid)
            let subscriber = try Subscriber(world.near)
            try subscriber.watch(sids)
            _ = try eventually("all are known") { try world.near.figure("sessions_watched") == 20 ? true : nil }
            let kinds: [RedisProxy.Kind] = [.data, .feed]
            for kind in kinds {
                world.proxy.treat(kind) { $0.holdsNew = true }
                world.proxy.cut(kind)
            }
            for token in tokens[..<10] { _ = try worker.fields("TOKEN.REVOKE", token) }
            try subscriber.expectSilence(for: .milliseconds(300))
            for kind in kinds { world.proxy.treat(kind) { $0 = .init() } }
            var told: Set<String> = []
            for _ in 0..<10 {
                let message = try subscriber.message()
                #expect(message.text == "revoked logout" && told.insert(message.sid).inserted)
            }
            #expect(told == Set(sids[..<10]))
            try subscriber.expectSilence(for: .milliseconds(500))
        }
    }

    @Test("S5: the feed falls silent while nobody asks anything: noticed, and told within its bounds, once")
    func feedFallsSilent() throws {
        try withNearCache { world in
            let token = try world.far.client().issue()
            let subscriber = try Subscriber(world.near)
            try subscriber.watch([TokenText.sid(token)])
            // Past the time for which a request keeps the proof of life going.
            letPass(.seconds(7))
            world.proxy.stopThose(.feed)
            letPass(.milliseconds(50))
            _ = try world.far.client().fields("TOKEN.REVOKE", token)
            // A second until it is noticed, and the looks that take place every quarter of one.
            try subscriber.expectMessage(TokenText.sid(token), "revoked logout", within: .seconds(3))
            try subscriber.expectSilence(for: .milliseconds(500))
        }
    }

    @Test("Redis stands still, and a session expires meanwhile: told when it goes on, once")
    func standsStill() throws {
        try withSubscribers { world in
            let server = try world.requireServer()
            let worker = try world.client(ofDaemon: 1)
            let token = try worker.issue("IDLE", "2")
            let other = try worker.issue()
            let subscriber = try Subscriber(world.daemon)
            try subscriber.watch([TokenText.sid(token), TokenText.sid(other)])
            letPass(.milliseconds(100))
            server.pause()
            letPass(.seconds(3))
            server.resume()
            try subscriber.expectMessage(TokenText.sid(token), "expired", within: .seconds(15))
            _ = try eventually("revoked") {
                try worker.call("TOKEN.REVOKE", other).errorText == nil ? true : nil
            }
            try subscriber.expectMessage(TokenText.sid(other), "revoked logout")
            try subscriber.expectSilence(for: .milliseconds(500))
        }
    }

    @Test("Redis is emptied, or killed and comes back: what is gone is unknown")
    func killed() throws {
        try withSubscribers { world in
            let server = try world.requireServer()
            let worker = try world.client(ofDaemon: 1)
            let sids = try worker.issue(count: 5).map(TokenText.sid)
            let subscriber = try Subscriber(world.daemon)
            try subscriber.watch(sids)
            letPass(.milliseconds(100))
            _ = try server.client().call("FLUSHALL")
            var told: Set<String> = []
            for _ in sids {
                let message = try subscriber.message()
                #expect(message.text == "unknown" && told.insert(message.sid).inserted)
            }
            let token = try worker.issue()
            try subscriber.watch([TokenText.sid(token)], from: sids.count)
            letPass(.milliseconds(100))
            server.kill9()
            letPass(.milliseconds(200))
            #expect(try subscriber.isRefused("UNAVAILABLE", world.daemon))
            try server.restart()
            // With its log it may be there still.
            _ = try server.client().call("DEL", "\(world.stage.prefix)s:\(TokenText.sid(token))")
            try subscriber.expectMessage(TokenText.sid(token), "unknown", within: .seconds(30))
            try subscriber.expectSilence(for: .milliseconds(500))
        }
    }
}

extension Subscriber {
    /// Whether a connection of its own is told that nobody can be told.
    fileprivate func isRefused(_ code: String, _ daemon: Daemon) throws -> Bool {
        let other = try daemon.client()
        let reply = try other.call("SUBSCRIBE", Self.channel(String(repeating: "1", count: 32)))
        return reply.errorCode == code
    }
}
