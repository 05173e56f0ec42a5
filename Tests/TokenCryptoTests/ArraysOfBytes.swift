import TokenCrypto

/// Bytes of hex text that a test wrote itself; blanks are skipped.
func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
}

/// The known answer for a short name: RFC 4648 §5, made the slow way.
func base64URL(_ bytes: [UInt8]) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    let bits = bytes.flatMap { byte in (0..<8).map { byte >> (7 - $0) & 1 } }
    return stride(from: 0, to: bits.count, by: 6).map { start in
        var value = 0
        for offset in 0..<6 { value = value * 2 + (start + offset < bits.count ? Int(bits[start + offset]) : 0) }
        return alphabet[value]
    }
}

func decodeHex(_ text: [UInt8], count: Int) -> [UInt8]? {
    var output = [UInt8](repeating: 0xEE, count: count)
    let valid = text.withUnsafeBytes { input in output.withUnsafeMutableBytes { Hex.decode(input, into: $0) } }
    return valid ? output : nil
}

func decodeBase64URL(_ text: [UInt8], count: Int) -> [UInt8]? {
    var output = [UInt8](repeating: 0xEE, count: count)
    let valid = text.withUnsafeBytes { input in output.withUnsafeMutableBytes { Base64URL.decode(input, into: $0) } }
    return valid ? output : nil
}

extension CryptoContext {
    /// HKDF with arrays in and out.
    func hkdf(_ key: [UInt8], salt: [UInt8], info: [UInt8], count: Int) throws -> [UInt8] {
        var output = [UInt8](repeating: 0, count: count)
        try key.withUnsafeBytes { key in
            try salt.withUnsafeBytes { salt in
                try info.withUnsafeBytes { info in
                    try output.withUnsafeMutableBytes { output in
                        try deriveKey(from: key, salt: salt, info: info, into: output)
                    }
                }
            }
        }
        return output
    }
}
