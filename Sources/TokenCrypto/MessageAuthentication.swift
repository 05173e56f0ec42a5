internal import COpenSSL

/// HMAC-SHA256 (RFC 2104) under one key: algorithm fetched once, keyed once. Owned by one thread.
public final class MessageAuthentication {
    private let context: OpaquePointer

    /// The key is held by OpenSSL from then on, which wipes it.
    public init(key: SecretBytes) throws(CryptoError) {
        // The context keeps the algorithm by reference.
        let algorithm = EVP_MAC_fetch(nil, "HMAC", nil)
        defer { EVP_MAC_free(algorithm) }
        guard let context = EVP_MAC_CTX_new(algorithm) else { throw CryptoError(operation: "EVP_MAC_CTX_new") }
        self.context = context
        var parameters: [OSSL_PARAM] = [.text("digest", "SHA256"), .end]
        let isKeyed = key.withUnsafeBytes { key in
            EVP_MAC_init(context, key.baseAddress?.assumingMemoryBound(to: UInt8.self), key.count, &parameters) == 1
        }
        guard isKeyed else { throw CryptoError(operation: "HMAC-SHA256") }
    }

    deinit { EVP_MAC_CTX_free(context) }

    /// The MAC of one message.
    public func code(of message: UnsafeRawBufferPointer) throws(CryptoError) -> Digest {
        try begin()
        try add(message)
        return try finish()
    }

    /// Starts a message that comes in parts.
    public func begin() throws(CryptoError) {
        guard EVP_MAC_init(context, nil, 0, nil) == 1 else { throw CryptoError(operation: "HMAC-SHA256") }
    }

    public func add(_ part: UnsafeRawBufferPointer) throws(CryptoError) {
        guard EVP_MAC_update(context, part.baseAddress?.assumingMemoryBound(to: UInt8.self), part.count) == 1 else {
            throw CryptoError(operation: "HMAC-SHA256")
        }
    }

    /// Adds a part behind its length (4 bytes, big-endian), so that no two lists of parts are one message.
    public func addDelimited(_ part: UnsafeRawBufferPointer) throws(CryptoError) {
        guard let count = UInt32(exactly: part.count) else { throw CryptoError(operation: "HMAC-SHA256") }
        try withUnsafeBytes(of: count.bigEndian) { length throws(CryptoError) in try add(length) }
        try add(part)
    }

    public func finish() throws(CryptoError) -> Digest {
        var result = Digest()
        var length = 0
        let done = result.withUnsafeMutableBytes { output in
            EVP_MAC_final(
                context, output.baseAddress?.assumingMemoryBound(to: UInt8.self), &length, output.count) == 1
        }
        guard done, length == Digest.byteCount else { throw CryptoError(operation: "HMAC-SHA256") }
        return result
    }
}
