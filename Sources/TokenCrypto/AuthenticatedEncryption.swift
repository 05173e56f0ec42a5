internal import COpenSSL

/// AES-256-GCM (NIST SP 800-38D) under one key, nonces of 12 bytes, tags of 16: cipher fetched once, keyed once.
/// Owned by one thread.
public final class AuthenticatedEncryption {
    public static let nonceCount = 12
    public static let tagCount = 16

    private let encryption: OpaquePointer
    private let decryption: OpaquePointer

    /// `key` must have 32 bytes. OpenSSL holds it from then on, and wipes it.
    public init(key: SecretBytes) throws(CryptoError) {
        guard key.count == 32 else { throw CryptoError(operation: "AES-256-GCM") }
        // The contexts keep the cipher by reference.
        let cipher = EVP_CIPHER_fetch(nil, "AES-256-GCM", nil)
        defer { EVP_CIPHER_free(cipher) }
        guard let encryption = EVP_CIPHER_CTX_new() else { throw CryptoError(operation: "EVP_CIPHER_CTX_new") }
        guard let decryption = EVP_CIPHER_CTX_new() else {
            EVP_CIPHER_CTX_free(encryption)
            throw CryptoError(operation: "EVP_CIPHER_CTX_new")
        }
        self.encryption = encryption
        self.decryption = decryption
        let isKeyed = key.withUnsafeBytes { key in
            let key = key.baseAddress?.assumingMemoryBound(to: UInt8.self)
            return EVP_EncryptInit_ex2(encryption, cipher, key, nil, nil) == 1
                && EVP_DecryptInit_ex2(decryption, cipher, key, nil, nil) == 1
        }
        guard isKeyed else { throw CryptoError(operation: "AES-256-GCM") }
    }

    deinit {
        EVP_CIPHER_CTX_free(encryption)
        EVP_CIPHER_CTX_free(decryption)
    }

    /// The ciphertext, as long as `plaintext`, and its tag. A nonce must never come twice under one key.
    public func seal(
        _ plaintext: [UInt8], nonce: [UInt8], authenticating header: [UInt8]
    ) throws(CryptoError) -> (ciphertext: [UInt8], tag: [UInt8]) {
        guard nonce.count == Self.nonceCount, let count = Int32(exactly: plaintext.count),
            let headerCount = Int32(exactly: header.count)
        else { throw CryptoError(operation: "AES-256-GCM") }
        var ciphertext = [UInt8](repeating: 0, count: plaintext.count)
        var tag = [UInt8](repeating: 0, count: Self.tagCount)
        var length: Int32 = 0
        var end: UInt8 = 0
        let done =
            EVP_EncryptInit_ex2(encryption, nil, nil, nonce, nil) == 1
            && (header.isEmpty || EVP_EncryptUpdate(encryption, nil, &length, header, headerCount) == 1)
            && (plaintext.isEmpty || EVP_EncryptUpdate(encryption, &ciphertext, &length, plaintext, count) == 1)
            && EVP_EncryptFinal_ex(encryption, &end, &length) == 1
            && EVP_CIPHER_CTX_ctrl(encryption, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagCount), &tag) == 1
        guard done else { throw CryptoError(operation: "AES-256-GCM") }
        return (ciphertext, tag)
    }

    /// The plaintext; nil where a byte of ciphertext, nonce, tag or header is not what was sealed.
    public func open(
        _ ciphertext: [UInt8], nonce: [UInt8], tag: [UInt8], authenticating header: UnsafeRawBufferPointer
    ) -> [UInt8]? {
        guard nonce.count == Self.nonceCount, tag.count == Self.tagCount, let count = Int32(exactly: ciphertext.count),
            let headerCount = Int32(exactly: header.count)
        else { return nil }
        var plaintext = [UInt8](repeating: 0, count: ciphertext.count)
        var expected = tag
        var length: Int32 = 0
        var end: UInt8 = 0
        let isAuthentic =
            EVP_DecryptInit_ex2(decryption, nil, nil, nonce, nil) == 1
            && (header.isEmpty
                || EVP_DecryptUpdate(
                    decryption, nil, &length, header.baseAddress?.assumingMemoryBound(to: UInt8.self), headerCount) == 1)
            && (ciphertext.isEmpty || EVP_DecryptUpdate(decryption, &plaintext, &length, ciphertext, count) == 1)
            && EVP_CIPHER_CTX_ctrl(decryption, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagCount), &expected) == 1
            && EVP_DecryptFinal_ex(decryption, &end, &length) == 1
        return isAuthentic ? plaintext : nil
    }
}
