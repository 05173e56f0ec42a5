import Foundation
import Testing
import TokenCrypto
import UnixTime

@Suite("The key ring")
struct KeyRingTests {
    static let secretText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    static let key = "{\"kid\":\"a\",\"key\":\"\(secretText)\",\"created\":1,\"active_from\":2}"

    static func key(_ kid: String, from activeFrom: Int64, created: Int64 = 0) throws -> RingKey {
        try RingKey(
            kid: kid, secret: SecretBytes([UInt8](0..<32)), created: UnixSeconds(created),
            activeFrom: UnixSeconds(activeFrom))
    }

    private func parse(_ json: String) throws(KeyRingError) -> KeyRing { try KeyRing.parse(Array(json.utf8)) }

    // MARK: Text

    @Test("a ring is read, and written as it was")
    func readAndWritten() throws {
        let ring = try parse("{\"keys\":[\(Self.key)]}")
        let key = try #require(ring.keys.first)
        #expect(key.kid == "a" && key.created == UnixSeconds(1) && key.activeFrom == UnixSeconds(2))
        #expect(key.secret == SecretBytes([UInt8](0..<32)))
        #expect(
            String(decoding: ring.encoded(), as: UTF8.self) == """
                {"keys":[
                {"kid":"a","key":"\(Self.secretText)","created":1,"active_from":2}
                ]}

                """)
        #expect(try KeyRing.parse(ring.encoded()) == ring)
    }

    @Test("a full ring of the longest keys comes back")
    func fullRing() throws {
        var random = SystemRandom()
        let keys = try (0..<64).map { index in
            try RingKey(
                kid: String(repeating: "k", count: 30) + (index < 10 ? "0\(index)" : "\(index)"),
                secret: .random(count: 32, from: &random), created: RingKey.times.upperBound,
                activeFrom: RingKey.times.upperBound)
        }
        let ring = try KeyRing(keys: keys.shuffled())
        #expect(ring.encoded().count < KeyRing.maxEncodedCount / 4)
        #expect(try KeyRing.parse(ring.encoded()) == ring)
        #expect(ring.keys == keys)
        #expect(throws: KeyRingError.tooManyKeys) { try ring.adding(Self.key("one-more", from: 0)) }
    }

    static let bad: [(String, String)] = [
        ("", "the key ring: not well-formed JSON, at byte 0"),
        ("[]", "the key ring: another type is expected here, at byte 0"),
        ("{}", "the key ring: a member is missing in the object that ends here, at byte 2"),
        ("{\"keys\":[]}", "a key ring needs at least one key"),
        ("{\"keys\":{}}", "keys[0] of the key ring: another type is expected here, at byte 8"),
        ("{\"keys\":[\(key)],\"v\":1}", "keys[1] of the key ring: a member that does not belong here"),
        ("{\"keys\":[\(key)],\"keys\":[]}", "keys[1] of the key ring: a member that was there before"),
        ("{\"keys\":[\(key)]} x", "keys[1] of the key ring: something follows the end"),
        ("{\"keys\":[\(key),\(key)]}", "key \"a\" of the key ring: its name is there twice"),
        ("{\"keys\":[\(key),{\"kid\":\"b\"}]}", "keys[1] of the key ring: a member is missing"),
        ("{\"keys\":[\(key.dropLast()),\"use\":\"sig\"}]}", "keys[0] of the key ring: a member that does not belong"),
        ("{\"keys\":[\(key.dropLast()),\"kid\":\"b\"}]}", "keys[0] of the key ring: a member that was there before"),
    ]

    @Test("what is no ring is refused, with what and where", arguments: bad)
    func refused(json: String, message: String) {
        let error = #expect(throws: KeyRingError.self) { try parse(json) }
        #expect("\(error.map(String.init(describing:)) ?? "")".hasPrefix(message))
    }

    static let outOfRange: [(String, String)] = [
        ("\"a\"", "\"\""), ("\"a\"", "\"a b\""), ("\"a\"", "\"ä\""), ("\"a\"", "\"a\\u0000\""), ("\"a\"", "\"../a\""),
        ("\"a\"", "\"\(String(repeating: "a", count: 33))\""), ("\"a\"", "1"),
        (secretText, String(secretText.dropLast())), (secretText, secretText + "A"), (secretText, secretText + "="),
        (secretText, String(secretText.dropLast()) + "9"), (secretText, String(secretText.dropLast()) + "+"),
        (secretText, ""), (":1,", ":-1,"), (":1,", ":1.5,"), (":1,", ":\"1\","), (":1,", ":253402300800,"),
        (":2}", ":253402300800}"), (":2}", ":null}"),
    ]

    @Test("a value out of range is refused, and no key is in the error", arguments: outOfRange)
    func valueOutOfRange(part: String, by other: String) throws {
        let json = "{\"keys\":[\(Self.key)]}"
        let range = try #require(json.firstRange(of: part))
        let error = #expect(throws: KeyRingError.self) {
            try parse(json.replacingCharacters(in: range, with: other))
        }
        let text = "\(error.map(String.init(describing:)) ?? "")" + String(reflecting: error)
        #expect(text.contains("keys[0]"))
        #expect(!text.contains("AAECAwQF"))
    }

    @Test("a text that is too long is refused unread")
    func tooLong() {
        #expect(throws: KeyRingError.tooLong) { try KeyRing.parse([UInt8](repeating: 0x20, count: 65_537)) }
    }

    // MARK: Which key signs

    @Test("the newest key whose time has come signs, whatever the order in the file")
    func newestKeySigns() throws {
        let ring = try KeyRing(keys: [Self.key("c", from: 30), Self.key("a", from: 10), Self.key("b", from: 20)])
        let signers = [10, 19, 20, 29, 30, .max].map { ring.signingKey(at: UnixSeconds($0))?.kid }
        #expect(signers == ["a", "a", "b", "b", "c", "c"])
    }

    @Test("where no other key signs, the first one does two minutes before its time, and no second one")
    func firstKeySignsEarly() throws {
        let ring = try KeyRing(keys: [Self.key("b", from: 1_010), Self.key("a", from: 1_000)])
        let times: [Int64] = [0, 879, 880, 1_000, 1_009, 1_010]
        #expect(times.map { ring.signingKey(at: UnixSeconds($0))?.kid } == [nil, nil, "a", "a", "a", "b"])
        #expect(ring.signingKey(at: .earliest) == nil)
    }

    @Test("hosts agree on the key where two have one time")
    func keysOfOneTime() throws {
        let keys = [
            try Self.key("b", from: 10, created: 5), try Self.key("a", from: 10, created: 5),
            try Self.key("z", from: 10, created: 4),
        ]
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            #expect(try KeyRing(keys: order.map { keys[$0] }).signingKey(at: UnixSeconds(10))?.kid == "b")
        }
    }

    // MARK: Fingerprint

    @Test("the fingerprint does not depend on the order, and on everything else")
    func fingerprint() throws {
        let ring = try KeyRing(keys: [Self.key("a", from: 1), Self.key("b", from: 2)])
        let text = try ring.fingerprint
        #expect(text.count == 16 && text.allSatisfy { $0.isHexDigit })
        #expect(try KeyRing(keys: ring.keys.reversed()).fingerprint == text)
        let secret = SecretBytes([UInt8](1...32))
        let others = [
            [try Self.key("a", from: 1)], [try Self.key("a", from: 1), try Self.key("c", from: 2)],
            [try Self.key("a", from: 1), try Self.key("b", from: 3)],
            [
                try Self.key("a", from: 1),
                try RingKey(
                    kid: "b", secret: secret, created: UnixSeconds(0), activeFrom: UnixSeconds(2)),
            ],
        ]
        let fingerprints = try others.map { try KeyRing(keys: $0).fingerprint } + [text]
        #expect(Set(fingerprints).count == 5)
    }

    // MARK: Pruning

    @Test("a key goes once it stopped signing longer ago than the longest lifetime")
    func pruned() throws {
        let ring = try KeyRing(keys: [Self.key("a", from: 0), Self.key("b", from: 100), Self.key("c", from: 1_000)])
        func kept(_ now: Int64, _ lifetime: Int64) -> [String] {
            ring.pruned(now: UnixSeconds(now), longestLifetime: lifetime).keys.map(\.kid)
        }
        #expect(kept(50, 10) == ["a", "b", "c"])
        #expect(kept(110, 10) == ["a", "b", "c"])
        #expect(kept(111, 10) == ["b", "c"])
        #expect(kept(1_000, 10) == ["b", "c"])
        #expect(kept(1_010, 10) == ["b", "c"])
        #expect(kept(1_011, 10) == ["c"])
        #expect(kept(.max, 10) == ["c"])
        #expect(kept(.max, .max) == ["a", "b", "c"])
        #expect(kept(1_000, 0) == ["b", "c"])
        #expect(kept(1_001, 0) == ["c"])
        #expect(kept(.min, 0) == ["a", "b", "c"])
        // A lifetime below zero would remove keys that still count.
        #expect(kept(1_000, -5_000) == ["b", "c"])
    }

    @Test("a key to come is never pruned, nor the one that signs until then")
    func neverPruned() throws {
        let ring = try KeyRing(keys: [Self.key("now", from: 0), Self.key("next", from: 5_000)])
        #expect(ring.pruned(now: UnixSeconds(4_999), longestLifetime: 0).keys.map(\.kid) == ["now", "next"])
        let future = try KeyRing(keys: [Self.key("x", from: 10), Self.key("y", from: 20)])
        #expect(future.pruned(now: UnixSeconds(0), longestLifetime: 0) == future)
    }

    // MARK: Making

    @Test("a new key is random and has a name of its own")
    func newKey() throws {
        var random: any RandomSource = SystemRandom()
        let keys = try (0..<50).map { _ in
            try RingKey.make(created: UnixSeconds(1), activeFrom: UnixSeconds(2), random: &random)
        }
        #expect(try KeyRing(keys: keys).keys.count == 50)
        #expect(
            keys.allSatisfy {
                $0.kid.count == 8 && $0.secret.count == 32 && $0.secret != keys[0].secret || $0 == keys[0]
            })
    }

    @Test("S7: a ring prints no key")
    func printsNoKey() throws {
        let ring = try parse("{\"keys\":[\(Self.key)]}")
        var dumped = ""
        dump(ring, to: &dumped)
        for text in ["\(ring)", String(reflecting: ring), dumped] {
            #expect(text.contains("<secret>") && !text.contains("AAECAw") && !text.contains("[0, 1, 2"))
        }
    }
}
