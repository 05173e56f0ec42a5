/// Finds the `sid` in a token's text.
enum SelectorReader {
    private static let hexLength = 128
    private static let base64Length = 86

    /// - Returns: `nil` where the text is no token in a form that this library knows.
    static func selector(of bytes: [UInt8]) -> SessionID? {
        if bytes.count == base64Length, let octets = octets(fromBase64URL: bytes[...]) {
            return SessionID(octets: octets.prefix(SessionID.length / 2))
        }
        let prefixed = bytes.starts(with: [0x30, 0x78]) || bytes.starts(with: [0x30, 0x58])
        let digits = prefixed ? bytes.dropFirst(2) : bytes[...]
        guard digits.count == hexLength, digits.allSatisfy(isHexDigit) else { return guest(bytes) }
        return SessionID(digits: digits.prefix(SessionID.length))
    }

    /// A guest's token is a compact JWS, whose second part begins with `{"jti":"…"`.
    private static func guest(_ bytes: [UInt8]) -> SessionID? {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        let name = Array("{\"jti\":\"".utf8)
        // As many characters as hold the name and the digits, whole groups of them.
        let needed = (name.count + SessionID.length + 2) / 3 * 4
        guard let claims = octets(fromBase64URL: parts[1].prefix(needed)), claims.starts(with: name) else { return nil }
        return SessionID(digits: claims.dropFirst(name.count).prefix(SessionID.length), isStrict: true)
    }

    private static func octets(fromBase64URL text: ArraySlice<UInt8>) -> [UInt8]? {
        var octets: [UInt8] = []
        octets.reserveCapacity(text.count * 3 / 4)
        var pending: UInt32 = 0
        var bits: UInt32 = 0
        for byte in text {
            guard let value = base64Value(byte) else { return nil }
            pending = (pending << 6) | UInt32(value)
            bits += 6
            guard bits >= 8 else { continue }
            bits -= 8
            octets.append(UInt8(truncatingIfNeeded: pending >> bits))
            pending &= (1 << bits) - 1
        }
        return octets
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
        default: false
        }
    }

    private static func base64Value(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x41...0x5a: byte - 0x41
        case 0x61...0x7a: byte - 0x61 + 26
        case 0x30...0x39: byte - 0x30 + 52
        case 0x2d: 62
        case 0x5f: 63
        default: nil
        }
    }
}
