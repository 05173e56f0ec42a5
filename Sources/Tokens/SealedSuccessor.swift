public import TokenCrypto

/// Sealing of a successor under the token it replaces: the holder of the old token can open it, a reader of the store
/// cannot.
///
/// `sealed = new XOR HKDF-SHA256(ikm: old, salt: sid, info: "tokencached successor v1" ‖ SHA-256(new), 48 bytes)`.
/// The digest in `info` makes each key stream unique to what it hides.
extension CryptoContext {
    public func seal(
        _ successor: Verifier, under old: Verifier, sid: SessionID
    ) throws(CryptoError) -> SealedVerifier {
        let stream = try successorKeyStream(under: old, sid: sid, digest: try digest(successor))
        return combine(successor, stream)
    }

    /// The successor, or nil where `old` is not the token it was sealed under (or the record was damaged): what
    /// opens is believed only if its digest is the stored one.
    public func open(
        _ sealed: SealedVerifier, under old: Verifier, sid: SessionID, digest: Digest
    ) throws(CryptoError) -> Verifier? {
        let stream = try successorKeyStream(under: old, sid: sid, digest: digest)
        let opened: Verifier = combine(sealed, stream)
        return try self.digest(opened) == digest ? opened : nil
    }

    private func successorKeyStream(
        under old: Verifier, sid: SessionID, digest: Digest
    ) throws(CryptoError) -> Verifier {
        var stream = Verifier()
        let info = Array("tokencached successor v1".utf8) + digest.bytes
        let derived: Result<Void, CryptoError> = old.withUnsafeBytes { key in
            sid.withUnsafeBytes { salt in
                info.withUnsafeBytes { info in
                    stream.withUnsafeMutableBytes { output in
                        do throws(CryptoError) {
                            return .success(try deriveKey(from: key, salt: salt, info: info, into: output))
                        } catch { return .failure(error) }
                    }
                }
            }
        }
        try derived.get()
        return stream
    }

    private func combine<Output: FixedBytes>(_ left: some FixedBytes, _ right: Verifier) -> Output {
        var result = Output()
        result.withUnsafeMutableBytes { output in
            left.withUnsafeBytes { left in
                right.withUnsafeBytes { right in
                    for index in 0..<min(output.count, left.count, right.count) {
                        output[index] = left[index] ^ right[index]
                    }
                }
            }
        }
        return result
    }
}
