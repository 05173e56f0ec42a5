import TokenCrypto

@testable import Tokens

/// Makes tokens that nobody but a holder of the key could make, with whatever header and claims a test wants: what is
/// refused of them is refused for that alone.
struct Forge {
    let site: Site
    let kid = "k1"

    init(_ site: Site) { self.site = site }

    static let claims =
        "{\"jti\":\"00112233445566778899aabbccddeeff\",\"iat\":1800000000,\"exp\":1800086400,\"end\":1802592000,\"beg\":1800000000}"
    static let captchaClaims =
        "{\"jti\":\"00112233445566778899aabbccddeeff\",\"iat\":1800000000,\"exp\":1800000600,\"sol\":\"K7wXe\"}"
    static let header = "{\"alg\":\"HS256\",\"kid\":\"k1\",\"typ\":\"tc-guest+jwt\"}"
    static let captchaHeader = "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"k1\",\"typ\":\"tc-captcha+jwt\"}"

    /// A key as documented: HKDF-SHA256(ring key, salt: prefix, info: "tokencached PURPOSE v1").
    func key(_ purpose: String, number: Int = 1) throws -> SecretBytes {
        let crypto = try CryptoContext()
        let secret = try Site.secret(number)
        return try SecretBytes(count: 32) { output in
            try secret.withUnsafeBytes { secret in
                try crypto.deriveKey(
                    from: secret, salt: Array("tc:".utf8), info: Array("tokencached \(purpose) v1".utf8), into: output)
            }
        }
    }

    /// A compact JWS with a good signature.
    func guest(_ header: String = Forge.header, _ claims: String = Forge.claims, purpose: String = "guest") throws
        -> [UInt8]
    {
        try sign(segment(header) + [UInt8(ascii: ".")] + segment(claims), purpose: purpose)
    }

    func sign(_ signed: [UInt8], purpose: String = "guest") throws -> [UInt8] {
        let mac = try MessageAuthentication(key: try key(purpose))
        let code = try signed.withRawBytes { view throws(CryptoError) in try mac.code(of: view) }
        return signed + [UInt8(ascii: ".")] + Base64URL.encode(code.bytes)
    }

    /// A compact JWE with a good tag.
    func captcha(
        _ header: String = Forge.captchaHeader, _ claims: String = Forge.captchaClaims, encryptedKey: String = "",
        purpose: String = "captcha"
    ) throws -> [UInt8] {
        let cipher = try AuthenticatedEncryption(key: try key(purpose))
        let nonce = [UInt8](1...12)
        let (ciphertext, tag) = try cipher.seal(
            Array(claims.utf8), nonce: nonce, authenticating: segment(header))
        let segments =
            [segment(header), Array(encryptedKey.utf8)] + [nonce, ciphertext, tag].map { Base64URL.encode($0) }
        return Array(segments.joined(separator: ".".utf8))
    }

    func segment(_ json: String) -> [UInt8] { Base64URL.encode(Array(json.utf8)) }

    func opensGuest(_ header: String = Forge.header, _ claims: String = Forge.claims) throws -> Bool {
        site.openGuest(try guest(header, claims)).value != nil
    }

    func opensCaptcha(_ header: String = Forge.captchaHeader, _ claims: String = Forge.captchaClaims) throws -> Bool {
        site.openCaptcha(try captcha(header, claims)).value != nil
    }
}

extension String {
    /// The text with one member more at its end.
    func adding(_ member: String) -> String { dropLast() + "," + member + "}" }
    func replacing(_ old: String, by new: String) -> String {
        guard let range = firstRange(of: old) else { return "the test is wrong: \(old) is not there" }
        return replacingCharacters(in: range, by: new)
    }
    private func firstRange(of text: String) -> Range<Index>? { firstRange(of: Array(text)) }
    private func firstRange(of characters: [Character]) -> Range<Index>? {
        indices.lazy.compactMap { start in
            guard let end = index(start, offsetBy: characters.count, limitedBy: endIndex) else { return nil }
            return self[start..<end].elementsEqual(characters) ? start..<end : nil
        }.first
    }
    private func replacingCharacters(in range: Range<Index>, by text: String) -> String {
        self[..<range.lowerBound] + text + self[range.upperBound...]
    }
}
