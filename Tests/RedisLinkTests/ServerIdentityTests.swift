import EventLoop
import Testing

@testable import RedisLink

/// What the servers say of themselves in `INFO server`, shortened. Redis and Valkey as they were seen; the others as their
/// manuals have it.
@Suite("Who answers")
struct ServerIdentityTests {
    static let texts: [(text: String, name: String, version: String?)] = [
        ("redis_version:7.0.15\r\nredis_mode:standalone\r\nexecutable:/usr/bin/redis-server\r\n", "Redis", "7.0.15"),
        ("redis_version:8.2.3\r\nredis_mode:standalone\r\n", "Redis", "8.2.3"),
        (
            "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\nserver_mode:cluster\r\n", "Valkey",
            "9.1.2"
        ),
        (
            "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:7.2.5\r\nredis_mode:standalone\r\n", "Valkey",
            "7.2.5"
        ),
        ("redis_version:6.2.14\r\nredis_mode:standalone\r\n", "Redis", "6.2.14"),
        (
            "redis_version:6.3.4\r\nredis_mode:standalone\r\nexecutable:/\(String(repeating: "x", count: 90))/keydb-server\r\n",
            "KeyDB", "6.3.4"
        ),
        ("redis_version:6.3.4\r\nexecutable:/usr/bin/cache\r\nfeatures:cluster_mget\r\n", "KeyDB", "6.3.4"),
        ("redis_version:7.4.0\r\ndragonfly_version:df-v1.40.1\r\nredis_mode:standalone\r\n", "Dragonfly", "1.40.1"),
        ("version:2.9.0\r\nkvrocks_version:2.9.0\r\nredis_version:7.0.0\r\n", "Kvrocks", "2.9.0"),
        ("garnet_version:1.0.84\r\nredis_version:7.4.3\r\nredis_mode:standalone\r\n", "Garnet", "1.0.84"),
        ("run_id:abc\r\n", "Redis", nil),
        ("redis_version:seven\r\n", "Redis", "seven"),
        ("redis_version:9\u{1b}[31m\u{1b}[0m99999999999999999999999999\r\n", "Redis", "931m0m999999"),
    ]

    @Test("by name and own version", arguments: texts)
    func names(text: String, name: String, version: String?) {
        let identity = ServerIdentity(.bulk(Array(text.utf8)))
        #expect(identity.name == name && identity.version == version)
    }

    @Test("those that lack what is needed are told by name, with what is needed; the others are taken")
    func faults() {
        let faults = Self.texts.map { ServerIdentity(.bulk(Array($0.text.utf8))).fault }
        let told = faults.compactMap(\.?.description)
        #expect(
            told == [
                "Redis is too old: 6.2.14, and 7.0 is the least",
                "the server lacks what the daemon needs: KeyDB 6.3.4; Redis 7.0 or Valkey 7.2 is needed",
                "the server lacks what the daemon needs: KeyDB 6.3.4; Redis 7.0 or Valkey 7.2 is needed",
                "the server lacks what the daemon needs: Dragonfly 1.40.1; Redis 7.0 or Valkey 7.2 is needed",
                "the server lacks what the daemon needs: Kvrocks 2.9.0; Redis 7.0 or Valkey 7.2 is needed",
                "the server lacks what the daemon needs: Garnet 1.0.84; Redis 7.0 or Valkey 7.2 is needed",
            ])
        #expect(faults.compactMap { $0 }.allSatisfy { $0.kind == .unfit && KnownFault.of($0.description) != nil })
        let old = ServerIdentity(.bulk(Array("redis_version:7.2.4\r\nvalkey_version:7.1.9\r\n".utf8))).fault
        #expect(old?.description == "Redis is too old: Valkey 7.1.9, and 7.2 is the least")
    }

    @Test("a cluster's node is known by either name of the field")
    func cluster() {
        for (text, isCluster) in [
            ("redis_mode:cluster\r\n", true), ("server_mode:cluster\r\n", true), ("redis_mode:standalone\r\n", false),
        ] {
            var (handshake, _) = Handshake.forCommands(RedisLogin(), scripts: [])
            while handshake.next != .server { _ = handshake.received(.status("OK")) }
            _ = handshake.received(.bulk(Array(text.utf8)))
            #expect(handshake.server.isCluster == isCluster)
        }
    }
}
