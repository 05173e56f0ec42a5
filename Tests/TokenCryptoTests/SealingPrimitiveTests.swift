import Testing
import TokenCrypto

/// HMAC-SHA256 and AES-256-GCM against the answers of their standards.
@Suite("Signing and sealing: known answers")
struct SealingPrimitiveTests {
    private func code(_ message: [UInt8], key: [UInt8]) throws -> [UInt8] {
        let mac = try MessageAuthentication(key: SecretBytes(key))
        return try message.withRawBytes { view throws(CryptoError) in try mac.code(of: view) }.bytes
    }

    @Test("HMAC-SHA256 gives the answers of RFC 4231")
    func hmacSHA256() throws {
        #expect(
            try code(Array("Hi There".utf8), key: [UInt8](repeating: 0x0b, count: 20))
                == bytes("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"))
        #expect(
            try code(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
                == bytes("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"))
        // A key that is longer than a block.
        #expect(
            try code(
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                key: [UInt8](repeating: 0xaa, count: 131))
                == bytes("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"))
    }

    @Test("HS256 gives the signature of RFC 7515 A.1")
    func hs256() throws {
        let key = try #require(
            decodeBase64URL(
                Array("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow".utf8),
                count: 64))
        let signed =
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
            + ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        #expect(
            Base64URL.encode(try code(Array(signed.utf8), key: key))
                == Array("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".utf8))
    }

    @Test("a MAC in parts is that of the whole, and a context forgets the message before")
    func macInParts() throws {
        let key = SecretBytes([UInt8](1...32))
        let mac = try MessageAuthentication(key: key)
        let message = Array("parts of one message, some of them empty".utf8)
        let whole = try code(message, key: [UInt8](1...32))
        for cut in 0...message.count {
            try mac.begin()
            try message[..<cut].withUnsafeBytes { try mac.add($0) }
            try message[cut...].withUnsafeBytes { try mac.add($0) }
            #expect(try mac.finish().bytes == whole)
            // One that was begun and never finished leaves nothing behind.
            try mac.begin()
            try message.withUnsafeBytes { try mac.add($0) }
        }
    }

    @Test("delimited parts are another message than their sum")
    func delimitedParts() throws {
        let mac = try MessageAuthentication(key: SecretBytes([UInt8](1...32)))
        func code(_ parts: [String]) throws -> [UInt8] {
            try mac.begin()
            for part in parts { try Array(part.utf8).withUnsafeBytes { try mac.addDelimited($0) } }
            return try mac.finish().bytes
        }
        let codes = try [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["", "abc"], []].map(code)
        #expect(Set(codes).count == codes.count)
        #expect(try code(["ab", "c"]) == codes[0])
    }

    /// The content encryption of RFC 7516 A.1; `dir` differs only in where the key comes from.
    struct RFC7516 {
        static let key: [UInt8] = [
            177, 161, 244, 128, 84, 143, 225, 115, 63, 180, 3, 255, 107, 154, 212, 246, 138, 7, 110, 91, 112, 46, 34,
            105, 47, 130, 203, 46, 122, 234, 64, 252,
        ]
        static let nonce: [UInt8] = [227, 197, 117, 252, 2, 219, 233, 68, 180, 225, 77, 219]
        static let header = Array("eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ".utf8)
        static let plaintext = Array("The true sign of intelligence is not knowledge but imagination.".utf8)
        static let ciphertext =
            "5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A"
        static let tag = "XFBoMYUZodetZdvTiFvSkQ"
    }

    @Test("A256GCM gives the answer of RFC 7516 A.1")
    func a256GCM() throws {
        let cipher = try AuthenticatedEncryption(key: SecretBytes(RFC7516.key))
        // Twice: the second message finds the context used.
        for _ in 0..<2 {
            let (ciphertext, tag) = try cipher.seal(
                RFC7516.plaintext, nonce: RFC7516.nonce, authenticating: RFC7516.header)
            #expect(Base64URL.encode(ciphertext) == Array(RFC7516.ciphertext.utf8))
            #expect(Base64URL.encode(tag) == Array(RFC7516.tag.utf8))
            let opened = RFC7516.header.withUnsafeBytes {
                cipher.open(ciphertext, nonce: RFC7516.nonce, tag: tag, authenticating: $0)
            }
            #expect(opened == RFC7516.plaintext)
        }
    }

    @Test("AES-256-GCM gives the answers of its specification, without and with a header")
    func aes256GCM() throws {
        // Test cases 13 to 15 of McGrew and Viega, "The Galois/Counter Mode of Operation".
        let zero = try AuthenticatedEncryption(key: SecretBytes([UInt8](repeating: 0, count: 32)))
        let empty = try zero.seal([], nonce: [UInt8](repeating: 0, count: 12), authenticating: [])
        #expect(empty.ciphertext.isEmpty && empty.tag == bytes("530f8afbc74536b9a963b4f1c4cb738b"))
        let block = try zero.seal(
            [UInt8](repeating: 0, count: 16), nonce: [UInt8](repeating: 0, count: 12), authenticating: [])
        #expect(block.ciphertext == bytes("cea7403d4d606b6e074ec5d3baf39d18"))
        #expect(block.tag == bytes("d0d1c8a799996bf0265b98b5d48ab919"))
        #expect(
            [].withUnsafeBytes {
                zero.open([], nonce: [UInt8](repeating: 0, count: 12), tag: empty.tag, authenticating: $0)
            } == [])
    }

    @Test("what was changed anywhere does not open, and the context works on after it")
    func changedDoesNotOpen() throws {
        let cipher = try AuthenticatedEncryption(key: SecretBytes(RFC7516.key))
        let (ciphertext, tag) = try cipher.seal(
            RFC7516.plaintext, nonce: RFC7516.nonce, authenticating: RFC7516.header)
        func opens(_ ciphertext: [UInt8], _ nonce: [UInt8], _ tag: [UInt8], _ header: [UInt8]) -> Bool {
            header.withUnsafeBytes { cipher.open(ciphertext, nonce: nonce, tag: tag, authenticating: $0) } != nil
        }
        func changed(_ bytes: [UInt8], _ bit: Int) -> [UInt8] {
            var bytes = bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            return bytes
        }
        for bit in 0..<128 { #expect(!opens(ciphertext, RFC7516.nonce, changed(tag, bit), RFC7516.header)) }
        for bit in 0..<96 { #expect(!opens(ciphertext, changed(RFC7516.nonce, bit), tag, RFC7516.header)) }
        for bit in 0..<(8 * ciphertext.count) {
            #expect(!opens(changed(ciphertext, bit), RFC7516.nonce, tag, RFC7516.header))
        }
        for bit in 0..<(8 * RFC7516.header.count) {
            #expect(!opens(ciphertext, RFC7516.nonce, tag, changed(RFC7516.header, bit)))
        }
        #expect(!opens(ciphertext, RFC7516.nonce, Array(tag.dropLast()), RFC7516.header))
        #expect(!opens(ciphertext, Array(RFC7516.nonce.dropLast()), tag, RFC7516.header))
        #expect(!opens([], RFC7516.nonce, tag, RFC7516.header))
        #expect(opens(ciphertext, RFC7516.nonce, tag, RFC7516.header))
    }

    @Test("a key or nonce of another length is an error")
    func wrongLengths() throws {
        for count in [0, 16, 24, 31, 33, 64] {
            #expect(throws: CryptoError.self) {
                _ = try AuthenticatedEncryption(key: SecretBytes([UInt8](repeating: 1, count: count)))
            }
        }
        let cipher = try AuthenticatedEncryption(key: SecretBytes(RFC7516.key))
        #expect(throws: CryptoError.self) { _ = try cipher.seal([1], nonce: [1], authenticating: []) }
    }

    @Test("S7: secret bytes cannot be printed and are equal by content alone")
    func secretBytes() {
        let secret = SecretBytes([UInt8](repeating: 0xAB, count: 32))
        struct Holder { var secret: SecretBytes }
        var dumped = ""
        dump(secret, to: &dumped)
        dump(Holder(secret: secret), to: &dumped)
        let printed = [
            "\(secret)", String(reflecting: secret), String(describing: Holder(secret: secret)), dumped,
            "\(Optional(secret) as Any)",
        ]
        for text in printed {
            #expect(text.contains("<secret>"))
            #expect(!text.lowercased().contains("abab") && !text.contains("171"))
        }
        #expect(secret == SecretBytes([UInt8](repeating: 0xAB, count: 32)))
        #expect(secret != SecretBytes([UInt8](repeating: 0xAB, count: 31)))
        for index in 0..<32 {
            var other = [UInt8](repeating: 0xAB, count: 32)
            other[index] ^= 1
            #expect(secret != SecretBytes(other))
        }
        #expect(SecretBytes([]) == SecretBytes([]))
    }

    @Test("buffered randomness never gives the same bytes twice")
    func bufferedRandom() throws {
        let random = BufferedRandom()
        var seen: Set<[UInt8]> = []
        for _ in 0..<2_000 {
            var source = random
            let secret = try SecretBytes.random(count: 16, from: &source)
            seen.insert(secret.withUnsafeBytes { Array($0) })
        }
        #expect(seen.count == 2_000)
        // Larger than a piece of the pool, larger than the pool, and nothing at all.
        for count in [0, 1_024, 1_025, 4_096, 10_000] {
            var source = random
            let bytes = try SecretBytes.random(count: count, from: &source).withUnsafeBytes { Array($0) }
            #expect(bytes.count == count && (count == 0 || Set(bytes).count > 200))
        }
    }
}
