public import TokenCrypto
public import UnixTime

extension Sealer {
    /// Characters of a nonce and of a tag in base64url.
    private static let nonceLength = 16
    private static let tagLength = 22

    /// A captcha as compact JWE, `dir` with A256GCM (RFC 7516), sealed with the key that is active at `now`.
    ///
    /// Throws also for a solution or a form that `Captcha.isSolution` or `Captcha.isForm` refuses.
    public func seal(
        _ captcha: Captcha, now: UnixSeconds, random: inout some RandomSource
    ) throws(CryptoError) -> [UInt8] {
        guard Captcha.isSolution(captcha.solution), Captcha.isForm(captcha.form) else {
            throw CryptoError(operation: "sealing of a captcha")
        }
        let key = try signingKey(at: now)
        guard key.nonces < SealingKey.maxNonces else { throw CryptoError(operation: "AES-256-GCM with a used-up key") }
        key.nonces += 1
        let nonceSecret = try SecretBytes.random(count: AuthenticatedEncryption.nonceCount, from: &random)
        let nonce = nonceSecret.withUnsafeBytes { Array($0) }
        let header = key.segment(of: .captcha)
        var claims = captcha.claims
        defer { wipe(&claims) }
        let (ciphertext, tag) = try key.captcha.seal(claims, nonce: nonce, authenticating: header.dropLast())
        // The second segment, the encrypted key, is empty: the key is the agreed one (`dir`).
        let dot = [UInt8(ascii: ".")]
        return header + dot + Base64URL.encode(nonce) + dot + Base64URL.encode(ciphertext) + dot + Base64URL.encode(tag)
    }

    /// The captcha whose token `text` is. Whether it is spent, and its form, holder and bindings, are not checked here.
    public func openCaptcha(_ text: UnsafeRawBufferPointer, now: UnixSeconds) -> Opened<Captcha> {
        guard text.count <= Self.maxTokenCount, let (key, headerCount) = headerKey(of: text, .captcha) else {
            return .unknown
        }
        let nonceStart = headerCount + 1
        let ciphertextStart = nonceStart + Self.nonceLength + 1
        let tagStart = text.count - Self.tagLength
        guard ciphertextStart < tagStart - 1,
            [headerCount, ciphertextStart - 1, tagStart - 1].allSatisfy({ text[$0] == UInt8(ascii: ".") }),
            let nonce = Base64URL.decode(UnsafeRawBufferPointer(rebasing: text[nonceStart..<(ciphertextStart - 1)])),
            let ciphertext = Base64URL.decode(UnsafeRawBufferPointer(rebasing: text[ciphertextStart..<(tagStart - 1)])),
            let tag = Base64URL.decode(UnsafeRawBufferPointer(rebasing: text[tagStart...])),
            var claims = key.captcha.open(
                ciphertext, nonce: nonce, tag: tag,
                authenticating: UnsafeRawBufferPointer(rebasing: text[..<(headerCount - 1)]))
        else { return .unknown }
        defer { wipe(&claims) }
        guard let captcha = claims.withUnsafeBytes({ try? Captcha(claims: $0) }),
            Self.isPast(captcha.issued, now: now)
        else { return .unknown }
        return now < captcha.expires ? .valid(captcha) : .expired
    }
}
