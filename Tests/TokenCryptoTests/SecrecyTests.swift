import Testing
import TokenCrypto

/// Fixed-size values: their length, their comparison, and that a secret cannot be printed (S7).
@Suite("Values of fixed size")
struct SecrecyTests {
    private func verifier(_ byte: UInt8) throws -> Verifier {
        try #require(Verifier(bytes: [UInt8](repeating: byte, count: 48)))
    }

    @Test("values take exactly their own number of bytes and give them back")
    func length() {
        for count in 0...100 {
            let input = (0..<count).map { UInt8($0) }
            #expect(Digest(bytes: input)?.bytes == (count == 32 ? input : nil))
            #expect(Verifier(bytes: input)?.bytes == (count == 48 ? input : nil))
            #expect(SealedVerifier(bytes: input)?.bytes == (count == 48 ? input : nil))
        }
    }

    @Test("a fresh value is all zeros and a copy does not change with its original")
    func freshValue() {
        var first = Digest()
        #expect(first.bytes == [UInt8](repeating: 0, count: 32))
        let copy = first
        first.withUnsafeMutableBytes { $0[31] = 1 }
        #expect(copy != first)
        #expect(copy.bytes[31] == 0)
    }

    @Test("one changed bit anywhere makes values unequal")
    func oneChangedBit() throws {
        let original = try verifier(0x5A)
        #expect(original == (try verifier(0x5A)))
        for bit in 0..<(48 * 8) {
            var changed = original
            changed.withUnsafeMutableBytes { $0[bit / 8] ^= 1 << UInt8(bit % 8) }
            #expect(!constantTimeEqual(changed, original))
            #expect(changed != original)
        }
        for bit in 0..<(32 * 8) {
            var changed = Digest()
            changed.withUnsafeMutableBytes { $0[bit / 8] ^= 1 << UInt8(bit % 8) }
            #expect(changed != Digest())
        }
    }

    @Test("a digest's short form is its first eight bytes, big-endian")
    func shortDigest() throws {
        let digest = try #require(Digest(bytes: (1...32).map { UInt8($0) }))
        #expect(digest.prefix == 0x0102_0304_0506_0708)
    }

    @Test("S7: a verifier cannot be printed, in whatever way it is tried")
    func verifierIsNotPrinted() throws {
        // Every byte is 0xAB, 171: it shows as hex or decimal wherever it leaks.
        let secret = try verifier(0xAB)
        struct Holder {
            var verifier: Verifier
            var list: [Verifier]
            var named: [String: Verifier]
        }
        let holder = Holder(verifier: secret, list: [secret], named: ["key": secret])
        var dumped = ""
        dump(secret, to: &dumped)
        dump(holder, to: &dumped)
        dump(Optional(secret), to: &dumped)
        let printed = [
            String(describing: secret), String(reflecting: secret), "\(secret)", "\(Optional(secret) as Any)",
            "\([secret])", String(describing: holder), String(reflecting: holder), dumped,
            String(describing: Result<Verifier, CryptoError>.success(secret)),
        ]
        for text in printed {
            #expect(text.contains("<secret>"))
            #expect(!text.lowercased().contains("ab, ") && !text.contains("171") && !text.lowercased().contains("abab"))
        }
        #expect(Mirror(reflecting: secret).children.isEmpty)
        #expect("\(secret)" == "<secret>")
    }

    @Test("an error of the cryptography names the operation and nothing else")
    func errors() {
        #expect("\(CryptoError(operation: "SHA-256"))" == "cryptographic operation SHA-256 failed")
    }
}
