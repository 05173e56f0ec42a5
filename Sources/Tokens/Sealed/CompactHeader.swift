internal import Glibc
internal import TokenCrypto

/// The two kinds of compact tokens, JWS (RFC 7515) and JWE (RFC 7516), each with one algorithm and one type.
///
/// Their header has these members and nothing else. No `crit`, `zip`, `jwk`, `jku`, `x5u`: what is not listed here is
/// refused, and so is a `kid` that is not known.
enum CompactHeader {
    case guest
    case captcha

    var algorithm: StaticString {
        switch self {
        case .guest: "HS256"
        case .captcha: "dir"
        }
    }

    var encryption: StaticString? {
        switch self {
        case .guest: nil
        case .captcha: "A256GCM"
        }
    }

    var type: StaticString {
        switch self {
        case .guest: "tc-guest+jwt"
        case .captcha: "tc-captcha+jwt"
        }
    }

    /// The header as it is written here, in base64url, with the dot behind.
    func segment(kid: String) -> [UInt8] {
        let encryption = encryption.map { "\"enc\":\"\($0)\"," } ?? ""
        let json = "{\"alg\":\"\(algorithm)\",\(encryption)\"kid\":\"\(kid)\",\"typ\":\"\(type)\"}"
        return Base64URL.encode(Array(json.utf8)) + [UInt8(ascii: ".")]
    }

    /// The `kid` of a header in JSON: as any library may write it, with these members and no other.
    func kid(_ json: UnsafeRawBufferPointer) throws(JSONError) -> JSONString {
        var reader = JSONReader(json)
        var kid: JSONString?
        var hasAlgorithm = false
        var hasEncryption = false
        var hasType = false
        try reader.beginObject()
        while let name = try reader.nextMember() {
            let value = try reader.string()
            if name == "alg", !hasAlgorithm, value == algorithm {
                hasAlgorithm = true
            } else if name == "typ", !hasType, value == type {
                hasType = true
            } else if name == "kid", kid == nil {
                kid = value
            } else if name == "enc", !hasEncryption, let encryption, value == encryption {
                hasEncryption = true
            } else {
                throw reader.error(.value)
            }
        }
        try reader.end()
        guard hasAlgorithm, hasType, hasEncryption == (encryption != nil), let kid else {
            throw reader.error(.missingMember)
        }
        return kid
    }
}

extension Sealer {
    /// The key that the header of `text` names, and how many bytes the header takes with the dot behind it; nil if it
    /// is no header of this kind, or names no key of this ring.
    func headerKey(of text: UnsafeRawBufferPointer, _ header: CompactHeader) -> (key: SealingKey, count: Int)? {
        // As it is sealed here: known without decoding.
        for key in keys {
            let segment = key.segment(of: header)
            let isSame = segment.withUnsafeBytes { segment in
                guard let own = segment.baseAddress, let other = text.baseAddress, text.count > segment.count else {
                    return false
                }
                return memcmp(own, other, segment.count) == 0
            }
            if isSame { return (key, segment.count) }
        }
        // As a library of another language writes it.
        guard let dot = text.firstIndex(of: UInt8(ascii: ".")), let count = Base64URL.decodedCount(dot),
            count <= scratch.count
        else { return nil }
        let json = UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
        guard Base64URL.decode(UnsafeRawBufferPointer(rebasing: text[..<dot]), into: json),
            let kid = try? header.kid(UnsafeRawBufferPointer(json)),
            let key = kid.withUnsafeBytes({ key(named: $0) })
        else { return nil }
        return (key, dot + 1)
    }
}
