internal import COpenSSL

/// The primitives with their OpenSSL contexts, fetched once and reused: implicit fetches dominate small inputs in
/// OpenSSL 3. Owned by one thread.
public final class CryptoContext {
    private let sha256: OpaquePointer
    private let digestContext: OpaquePointer
    private let hkdf: OpaquePointer

    /// Throws where the OpenSSL of this machine lacks SHA-256 or HKDF, or memory is out.
    public init() throws(CryptoError) {
        guard let sha256 = EVP_MD_fetch(nil, "SHA256", nil) else { throw CryptoError(operation: "EVP_MD_fetch") }
        guard let digestContext = EVP_MD_CTX_new() else {
            EVP_MD_free(sha256)
            throw CryptoError(operation: "EVP_MD_CTX_new")
        }
        // The context keeps the algorithm by reference.
        let algorithm = EVP_KDF_fetch(nil, "HKDF", nil)
        defer { EVP_KDF_free(algorithm) }
        guard let hkdf = EVP_KDF_CTX_new(algorithm) else {
            EVP_MD_CTX_free(digestContext)
            EVP_MD_free(sha256)
            throw CryptoError(operation: "EVP_KDF_CTX_new")
        }
        self.sha256 = sha256
        self.digestContext = digestContext
        self.hkdf = hkdf
    }

    deinit {
        EVP_KDF_CTX_free(hkdf)
        EVP_MD_CTX_free(digestContext)
        EVP_MD_free(sha256)
    }

    /// SHA-256 (FIPS 180-4) of any bytes.
    public func digest(_ bytes: UnsafeRawBufferPointer) throws(CryptoError) -> Digest {
        var result = Digest()
        let done = result.withUnsafeMutableBytes { output in
            EVP_DigestInit_ex2(digestContext, sha256, nil) == 1
                && EVP_DigestUpdate(digestContext, bytes.baseAddress, bytes.count) == 1
                && EVP_DigestFinal_ex(
                    digestContext, output.baseAddress?.assumingMemoryBound(to: UInt8.self), nil) == 1
        }
        guard done else { throw CryptoError(operation: "SHA-256") }
        return result
    }

    public func digest(_ bytes: [UInt8]) throws(CryptoError) -> Digest {
        // The typed error is carried by hand: `withUnsafeBytes` of an array rethrows untyped.
        let result: Result<Digest, CryptoError> = bytes.withUnsafeBytes { view in
            do throws(CryptoError) { return .success(try digest(view)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// SHA-256 of a verifier: what the store keeps of it.
    public func digest(_ verifier: Verifier) throws(CryptoError) -> Digest {
        let result: Result<Digest, CryptoError> = verifier.withUnsafeBytes { view in
            do throws(CryptoError) { return .success(try digest(view)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// HKDF-SHA256 (RFC 5869), extract and expand, filling the whole of `output` (at most 255 × 32 bytes).
    public func deriveKey(
        from keyMaterial: UnsafeRawBufferPointer, salt: UnsafeRawBufferPointer, info: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) throws(CryptoError) {
        EVP_KDF_CTX_reset(hkdf)
        var parameters: [OSSL_PARAM] = [
            .text("digest", "SHA256"), .octets("key", keyMaterial), .octets("salt", salt), .octets("info", info), .end,
        ]
        let done =
            EVP_KDF_derive(
                hkdf, output.baseAddress?.assumingMemoryBound(to: UInt8.self), output.count, &parameters) == 1
        guard done else { throw CryptoError(operation: "HKDF-SHA256") }
    }
}
