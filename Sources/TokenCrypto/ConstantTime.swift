internal import COpenSSL

/// Compares two values of one length without telling by its duration where they differ (`CRYPTO_memcmp`).
public func constantTimeEqual<Value: FixedBytes>(_ left: Value, _ right: Value) -> Bool {
    left.withUnsafeBytes { leftBytes in
        right.withUnsafeBytes { rightBytes in
            CRYPTO_memcmp(leftBytes.baseAddress, rightBytes.baseAddress, Value.byteCount) == 0
        }
    }
}
