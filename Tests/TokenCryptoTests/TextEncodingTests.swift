import Testing
import TokenCrypto

/// Hex and base64url take exactly what they must: one lenient character is one more text for the same secret.
@Suite("Hex and base64url")
struct TextEncodingTests {
    private static let hexDigits = Set("0123456789abcdefABCDEF".utf8)
    private static let urlDigits = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    @Test("every byte survives hex in either case, and is printed in lower case")
    func hexOfEveryByte() {
        for start in stride(from: 0, to: 256, by: 8) {
            let value = (start..<start + 8).map { UInt8($0) }
            let text = value.withUnsafeBytes { Hex.encode($0) }
            #expect(
                text
                    == value.flatMap { byte in [byte >> 4, byte & 15].map { Array("0123456789abcdef".utf8)[Int($0)] } })
            #expect(decodeHex(text, count: 8) == value)
            #expect(decodeHex(Array(String(decoding: text, as: UTF8.self).uppercased().utf8), count: 8) == value)
        }
    }

    @Test("text is compared with bytes as if it had been decoded, and in lower case only", arguments: [8, 16, 48])
    func textOfBytes(count: Int) {
        for round in 0..<256 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ round) }
            let text = bytes.withUnsafeBytes { Hex.encode($0) }
            #expect(isText(text, of: bytes))
            // Every other character at one place, every place in turn.
            let place = round % text.count
            var changed = text
            for character in UInt8.min...UInt8.max where character != text[place] {
                changed[place] = character
                guard !isText(changed, of: bytes) else {
                    Issue.record("\(character) at \(place) passes for \(text[place])")
                    return
                }
            }
        }
    }

    private func isText(_ text: [UInt8], of bytes: [UInt8]) -> Bool {
        text.withUnsafeBytes { text in
            bytes.withUnsafeBytes { bytes in
                guard let digits = text.baseAddress, let start = bytes.baseAddress else { return false }
                return Hex.isText(digits, of: start, count: bytes.count)
            }
        }
    }

    @Test("every foreign character at every place of hex is refused", arguments: [16, 32, 128])
    func foreignCharactersInHex(length: Int) {
        let good = [UInt8](repeating: UInt8(ascii: "a"), count: length)
        for place in 0..<length {
            for character in UInt8.min...UInt8.max {
                // All characters at the first and last places, and the near misses of the ranges everywhere.
                guard place < 2 || place == length - 1 || Array("/:@G`g".utf8).contains(character) else { continue }
                var text = good
                text[place] = character
                #expect((decodeHex(text, count: length / 2) != nil) == Self.hexDigits.contains(character))
            }
        }
    }

    @Test("hex of a wrong length is refused and nothing is read past its end")
    func hexOfWrongLength() {
        for length in 0...130 where length != 32 {
            #expect(decodeHex(Array(repeating: UInt8(ascii: "0"), count: length), count: 16) == nil)
        }
    }

    @Test("base64url of every length comes back, and only into that length")
    func base64urlOfEveryLength() {
        for count in 0...66 {
            let value = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }
            let text = base64URL(value)
            #expect(decodeBase64URL(text, count: count) == value)
            if count > 0 { #expect(decodeBase64URL(text, count: count - 1) == nil) }
            #expect(decodeBase64URL(text, count: count + 1) == nil)
        }
    }

    /// From 6 bytes on eight characters are read in one word.
    @Test("every character decodes or is refused, at every place of a group", arguments: [1, 2, 3, 6, 7, 12])
    func everyCharacterAtEveryPlace(count: Int) {
        let text = base64URL([UInt8](repeating: 0, count: count))
        for place in text.indices {
            for character in UInt8.min...UInt8.max {
                var changed = text
                changed[place] = character
                let decoded = decodeBase64URL(changed, count: count)
                if !Self.urlDigits.contains(character) {
                    #expect(decoded == nil)
                } else if let decoded {
                    #expect(base64URL(decoded) == changed)
                }
            }
        }
    }

    @Test("trailing bits that are not zero are refused: one text for one value")
    func trailingBits() {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        // 64 bytes, the length of a token, leave 4 bits; 2 bytes leave 2.
        for (count, step) in [(64, 16), (1, 16), (2, 4)] {
            var text = base64URL([UInt8](repeating: 0xA5, count: count))
            var accepted = 0
            for character in alphabet {
                text[text.count - 1] = character
                if decodeBase64URL(text, count: count) != nil { accepted += 1 }
            }
            #expect(accepted == 64 / step)
        }
    }

    @Test("padding and the other alphabet are refused")
    func paddingAndOtherAlphabet() {
        #expect(decodeBase64URL(Array("+/+/".utf8), count: 3) == nil)
        #expect(decodeBase64URL(Array("AA==".utf8), count: 1) == nil)
        #expect(decodeBase64URL(Array("-_-_".utf8), count: 3) == bytes("fbffbf"))
    }

    @Test("base64url is written as it is read, of every length and value")
    func base64urlIsWritten() {
        for count in 0...70 {
            for seed in 0..<20 {
                let value = (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ 1) &* (seed &* 83 &+ 7)) }
                let text = Base64URL.encode(value)
                #expect(text == base64URL(value))
                #expect(text.count == Base64URL.encodedCount(count) && Base64URL.decodedCount(text.count) == count)
                #expect(text.withUnsafeBytes { Base64URL.decode($0) } == value)
            }
        }
        for byte in UInt8.min...UInt8.max {
            for place in 0..<9 {
                var value = [UInt8](repeating: 0, count: 9)
                value[place] = byte
                #expect(Base64URL.encode(value) == base64URL(value))
            }
        }
        for length in [1, 5, 9, 13, 4_097] {
            #expect([UInt8](repeating: 0x41, count: length).withUnsafeBytes { Base64URL.decode($0) } == nil)
        }
    }
}
