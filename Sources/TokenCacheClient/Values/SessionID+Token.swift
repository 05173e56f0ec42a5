extension SessionID {
    private static let hexTokenLength = 128
    private static let base64TokenLength = 86

    /// The `sid` that stands in a token's text.
    ///
    /// - Returns: `nil` where the text is no token in a form that this library knows.
    static func ofToken(_ bytes: [UInt8]) -> SessionID? {
        if bytes.count == base64TokenLength, let octets = octets(fromBase64URL: bytes[...]) {
            return SessionID(octets: octets.prefix(length / 2))
        }
        let isPrefixed = bytes.starts(with: "0x".utf8) || bytes.starts(with: "0X".utf8)
        let digits = isPrefixed ? bytes.dropFirst(2) : bytes[...]
        guard digits.count == hexTokenLength, digits.allSatisfy(isHexDigit) else { return ofGuestToken(bytes) }
        return SessionID(digits: digits.prefix(length))
    }

    /// A guest's token is a compact JWS, whose second part begins with `{"jti":"…"`.
    private static func ofGuestToken(_ bytes: [UInt8]) -> SessionID? {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        let name = Array("{\"jti\":\"".utf8)
        // As many characters as hold the name and the digits, whole groups of them.
        let needed = (name.count + length + 2) / 3 * 4
        guard let claims = octets(fromBase64URL: parts[1].prefix(needed)), claims.starts(with: name) else { return nil }
        return SessionID(digits: claims.dropFirst(name.count).prefix(length), isStrict: true)
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
