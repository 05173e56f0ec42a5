import Synchronization
import TestSupport
import Testing

@Suite("S12: an honest browser that always sends the newest token it received is never refused", .demanding)
struct S12HonestBrowserTests {
    /// The cookie jar: what arrived last is sent next.
    private final class Jar: Sendable {
        private let token: Mutex<(token: String, generation: Int)>

        init(_ token: String) { self.token = Mutex((token, 0)) }

        var newest: String { token.withLock { $0.token } }

        func take(_ reply: Fields) {
            guard let newer = reply.sessionToken, let generation = reply.generation else { return }
            // Responses of parallel requests may arrive in any order; they carry the same successor or a later one.
            token.withLock { if generation >= $0.generation { $0 = (newer, generation) } }
        }
    }

    @Test("pages of parallel requests, one after the other, a third of the responses lost")
    func pages() throws {
        let settings = [
            "rotation.after": "15ms", "rotation.overlap": "1ms", "rotation.on-replay": "revoke",
            "rotation.replay-grace": "1ms", "session.touch-interval": "5ms",
        ]
        try withWorld(daemons: 3, settings: settings) { world in
            let rotations = try concurrently(4) { browser in
                try (0..<3).map { try world.client(ofDaemon: browser + $0) }
            } work: { _, connections in
                var generator = SystemRandomNumberGenerator()
                let jar = Jar(try connections[0].issue())
                var generation = 0
                for page in 0..<350 {
                    // All requests of a page leave before the first response is there.
                    let token = jar.newest
                    for connection in connections {
                        try connection.send(page.isMultiple(of: 2) ? "TOKEN.VISIT" : "TOKEN.VALIDATE", token)
                    }
                    for connection in connections.shuffled(using: &generator) {
                        let reply = try Fields(try connection.readReply())
                        guard reply.isAccepted else { throw HarnessFailure("S12: refused on page \(page): \(reply)") }
                        generation = reply.generation ?? generation
                        if Int.random(in: 0..<3) > 0 { jar.take(reply) }
                    }
                    letPass(.milliseconds(Int.random(in: 0..<6)))
                }
                return generation
            }
            #expect(rotations.allSatisfy { $0 > 10 }, "the simulation did not rotate: \(rotations)")
        }
    }

    @Test("several tabs that share a cookie jar and do not wait for each other")
    func tabs() throws {
        let settings = [
            "rotation.after": "600ms", "rotation.overlap": "500ms", "rotation.on-replay": "revoke",
            "rotation.replay-grace": "5s",
        ]
        try withWorld(daemons: 2, settings: settings) { world in
            let jars = try (0..<3).map { _ in Jar(try world.client().issue()) }
            let start = ContinuousClock.now
            _ = try concurrently(12) { tab in
                try world.client(ofDaemon: tab)
            } work: { tab, client in
                let jar = jars[tab % jars.count]
                while ContinuousClock.now - start < .seconds(6) {
                    let sent = ContinuousClock.now
                    let reply = try client.fields(tab.isMultiple(of: 2) ? "TOKEN.VALIDATE" : "TOKEN.VISIT", jar.newest)
                    // A request that was under way for longer than the overlap may be refused: that is no dishonesty
                    // of the daemon but a stalled machine.
                    if !reply.isAccepted, ContinuousClock.now - sent < .milliseconds(400) {
                        throw HarnessFailure("S12: refused: \(reply)")
                    }
                    if reply.isAccepted, Int.random(in: 0..<4) > 0 { jar.take(reply) }
                    letPass(.milliseconds(Int.random(in: 0..<5)))
                }
            }
            for jar in jars {
                let reply = try world.client().validate(jar.newest)
                #expect(reply.isAccepted && (reply.generation ?? 0) > 4, "\(reply)")
            }
        }
    }
}
