internal import COpenSSL

/// Compares two values of one length without telling by its duration where they differ (`CRYPTO_memcmp`).
public func constantTimeEqual<Value: FixedBytes>(_ left: Value, _ right: Value) -> Bool {
    left.withUnsafeBytes { leftBytes in
        right.withUnsafeBytes { rightBytes in
            CRYPTO_memcmp(leftBytes.baseAddress, rightBytes.baseAddress, Value.byteCount) == 0
        }
    }
}

/// The same for any bytes; only that their lengths differ is told at once.
public func constantTimeEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
}
