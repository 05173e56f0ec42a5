import SeededRandom
import Testing
import TokenCrypto
import Tokens

/// Tokens and session ids as clients send them: three spellings of one value, and nothing else.
@Suite("Tokens and session ids as text")
struct TokenTextTests {
    private static func base64URL(_ bytes: [UInt8]) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        let bits = bytes.flatMap { byte in (0..<8).map { byte >> (7 - $0) & 1 } }
        return stride(from: 0, to: bits.count, by: 6).map { start in
            alphabet[(0..<6).reduce(0) { $0 * 2 + (start + $1 < bits.count ? Int(bits[start + $1]) : 0) }]
        }
    }

    private func token(_ seed: UInt64) throws -> SessionToken {
        var random = SeededRandom(seed: seed)
        return SessionToken(sid: try random.bytes(), verifier: try random.bytes())
    }

    @Test("hex in either case, with and without 0x, and base64url are one token", arguments: 0..<64 as Range<UInt64>)
    func threeSpellings(seed: UInt64) throws {
        let token = try token(seed)
        let text = String(decoding: token.secretText, as: UTF8.self)
        #expect(text.utf8.count == 128 && text == text.lowercased())
        #expect(text.hasPrefix(token.sid.description))
        for spelling in [text, text.uppercased(), "0x" + text, "0X" + text.uppercased()] {
            #expect(SessionToken(text: spelling.utf8) == token)
        }
        let url = Self.base64URL(token.sid.bytes + token.verifier.bytes)
        #expect(url.count == 86)
        #expect(SessionToken(text: url) == token)
    }

    @Test(
        "what is no token is nil",
        arguments: [
            "", "0x", "0", "x", "deadbeef", "0xdeadbeef", String(repeating: "a", count: 127),
            String(repeating: "a", count: 129), String(repeating: "a", count: 130),
            "0y" + String(repeating: "a", count: 128),
            "x0" + String(repeating: "a", count: 128), "0x0x" + String(repeating: "a", count: 126),
            "0x" + String(repeating: "a", count: 126), String(repeating: "g", count: 128),
            " " + String(repeating: "a", count: 127), String(repeating: "a", count: 127) + "\n",
            String(repeating: "a", count: 128) + "\0", String(repeating: "A", count: 85),
            String(repeating: "A", count: 87),
            "0x" + String(repeating: "A", count: 86), String(repeating: "A", count: 85) + "=",
            String(repeating: "A", count: 85) + "B", String(repeating: "A", count: 84) + "==",
            String(repeating: "+", count: 86), "ä" + String(repeating: "a", count: 126),
            "٠" + String(repeating: "0", count: 126),
        ])
    func noToken(text: String) {
        #expect(SessionToken(text: text.utf8) == nil)
    }

    @Test("random garbage never traps and never is a token")
    func garbage() {
        var random = SeededRandom(seed: 99)
        let lengths = [0, 1, 2, 32, 34, 85, 86, 87, 127, 128, 129, 130, 131, 200]
        for round in 0..<20_000 {
            let text = random.bytes(lengths[round % lengths.count])
            #expect(SessionToken(text: text) == nil)
            // 32 random bytes that are all hex digits come once in 10³⁴ times.
            #expect(SessionID(text: text) == nil)
        }
    }

    @Test("a session id is read in both cases and with 0x, and printed in lower case")
    func sessionID() throws {
        let text = "0123456789abcdef0123456789ABCDEF"
        let sid = try #require(SessionID(text: text.utf8))
        #expect(sid.description == text.lowercased())
        #expect(SessionID(text: ("0x" + text).utf8) == sid)
        #expect(sid.hashValue == SessionID(text: text.uppercased().utf8)?.hashValue)
        for bad in ["", "0x", String(text.dropLast()), text + "0", "0x" + text.dropLast(2), "g" + text.dropFirst()] {
            #expect(SessionID(text: bad.utf8) == nil)
        }
    }

    @Test("S7: a token prints as its session id alone")
    func print() throws {
        var token = try token(5)
        token.verifier = try #require(Verifier(bytes: [UInt8](repeating: 0xAB, count: 48)))
        var dumped = ""
        dump(token, to: &dumped)
        dump([Optional(token)], to: &dumped)
        for text in ["\(token)", String(reflecting: token), String(describing: [token]), dumped] {
            #expect(text.contains(token.sid.description))
            #expect(!text.lowercased().contains("abab") && !text.contains("171"))
        }
        #expect(Mirror(reflecting: token).children.map(\.label) == ["sid"])
    }
}
