import Testing
import TokenCrypto

/// The primitives against the answers of their standards: a wrong parameter must not survive as "some other hash".
@Suite("Digests and derived keys: known answers")
struct KnownAnswerTests {
    /// FIPS 180-4 examples, and the lengths around a block (55, 56, 64 bytes), where padding changes.
    @Test(
        "SHA-256 gives the answers of FIPS 180-4",
        arguments: [
            ([UInt8](), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (Array("abc".utf8), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8),
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
            (
                Array(
                    ("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                        + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu").utf8),
                "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
            ),
            (
                Array(repeating: UInt8(ascii: "a"), count: 55),
                "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"
            ),
            (
                Array(repeating: UInt8(ascii: "a"), count: 56),
                "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"
            ),
            (
                Array(repeating: UInt8(ascii: "a"), count: 64),
                "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"
            ),
            (
                Array(repeating: UInt8(ascii: "a"), count: 1_000_000),
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
            ),
        ])
    func sha256(message: [UInt8], expected: String) throws {
        #expect(try CryptoContext().digest(message).bytes == bytes(expected))
    }

    struct HKDFCase: Sendable {
        var key: [UInt8], salt: [UInt8], info: [UInt8], output: [UInt8]
    }

    static let rfc5869 = [
        HKDFCase(
            key: Array(repeating: 0x0b, count: 22), salt: Array(0x00...0x0c), info: Array(0xf0...0xf9),
            output: bytes("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")),
        HKDFCase(
            key: Array(0x00...0x4f), salt: Array(0x60...0xaf), info: Array(0xb0...0xff),
            output: bytes(
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
                    + "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87")),
        HKDFCase(
            key: Array(repeating: 0x0b, count: 22), salt: [], info: [],
            output: bytes("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")),
    ]

    @Test("HKDF-SHA256 gives the answers of RFC 5869", arguments: rfc5869)
    func hkdfSHA256(vector: HKDFCase) throws {
        let crypto = try CryptoContext()
        #expect(
            try crypto.hkdf(vector.key, salt: vector.salt, info: vector.info, count: vector.output.count)
                == vector.output)
    }

    @Test("a context that is used again gives the answers of a fresh one")
    func contextUsedAgain() throws {
        let crypto = try CryptoContext()
        for round in 0..<50 {
            let vector = Self.rfc5869[round % 3]
            #expect(
                try crypto.hkdf(vector.key, salt: vector.salt, info: vector.info, count: vector.output.count)
                    == vector.output)
            let text = Array("round \(round)".utf8)
            #expect(try crypto.digest(text) == CryptoContext().digest(text))
        }
    }

    @Test("HKDF past its 255 blocks is an error, the context works on after it")
    func hkdfTooLong() throws {
        let crypto = try CryptoContext()
        #expect(throws: CryptoError.self) { try crypto.hkdf([1], salt: [2], info: [3], count: 255 * 32 + 1) }
        #expect(try crypto.hkdf([1], salt: [2], info: [3], count: 255 * 32).count == 255 * 32)
        let vector = Self.rfc5869[0]
        #expect(
            try crypto.hkdf(vector.key, salt: vector.salt, info: vector.info, count: vector.output.count)
                == vector.output)
    }

    @Test("a verifier's digest is that of its 48 bytes")
    func verifierDigest() throws {
        let crypto = try CryptoContext()
        let verifier = try #require(Verifier(bytes: Array(0..<48)))
        #expect(try crypto.digest(verifier) == crypto.digest(Array(0..<48)))
    }
}
