import TestSupport
import Testing

/// What the proof stands on: Redis tells a beat behind every change that was acknowledged before it.
@Suite("The order of changes and beats", .demanding)
struct BeatOrderTests {
    @Test("Redis 8 with four I/O threads, under load: no beat overtakes a change that was acknowledged before it")
    func order() throws {
        let stage = try Stage()
        defer { _ = stage.finish() }
        let server = try stage.addRedis(["--io-threads", "4"], program: OtherServer.redis8.program())
        let prefix = "\(stage.prefix)s:"
        let feed = try server.client()
        #expect(try feed.call("HELLO", "3").errorText == nil)
        #expect(try feed.call("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", prefix) == .simple("OK"))
        let (writer, beater) = (try server.client(), try server.client())
        // Others, who keep the threads busy.
        let others = try (0..<6).map { index in
            let client = try server.client()
            return Background {
                _ = try? client.pipeline(
                    (0..<200).map { ["SET", "other:\(index):\($0)", String(repeating: "x", count: 512)] })
            }
        }
        let rounds = NearCacheWorld.rounds(1_500, long: 20_000)
        var overtaken = 0
        for round in 0..<rounds {
            _ = try writer.call("SET", "\(prefix)\(round)", "1", "PX", "60000")
            _ = try beater.call("SET", "\(prefix)~\(round)", "1", "PX", "60000", "NX")
            var isTold = false
            listen: while true {
                guard let parts = try feed.readReply().elements, parts.count == 2, let keys = parts[1].elements else {
                    throw HarnessFailure("the feed says something else")
                }
                let names = keys.compactMap(\.text)
                if names.contains("\(prefix)\(round)") { isTold = true }
                if names.contains("\(prefix)~\(round)") { break listen }
            }
            if !isTold { overtaken += 1 }
        }
        for other in others { try other.stop() }
        print("order: \(rounds) changes on Redis 8 with four I/O threads, \(overtaken) beats came before their change")
        #expect(overtaken == 0)
    }
}
