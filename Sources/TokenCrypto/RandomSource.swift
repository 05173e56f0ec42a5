internal import COpenSSL

/// Where random bytes come from. Production uses `SystemRandom`; tests bring a seeded source.
public protocol RandomSource {
    /// Fills the buffer or throws; never leaves it partly random.
    mutating func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(CryptoError)
}

extension RandomSource {
    public mutating func bytes<Value: FixedBytes>(_: Value.Type = Value.self) throws(CryptoError) -> Value {
        var value = Value()
        // `Result` carries the typed error across the closure.
        let filled: Result<Void, CryptoError> = value.withUnsafeMutableBytes { buffer in
            do throws(CryptoError) { return .success(try fill(buffer)) } catch { return .failure(error) }
        }
        try filled.get()
        return value
    }
}

/// OpenSSL's CSPRNG (`RAND_bytes`), seeded by the kernel, reseeded after a fork.
public struct SystemRandom: RandomSource, Sendable {
    public init() {}

    public mutating func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(CryptoError) {
        guard let base = buffer.baseAddress, let count = Int32(exactly: buffer.count) else { return }
        guard RAND_bytes(base.assumingMemoryBound(to: UInt8.self), count) == 1 else {
            throw CryptoError(operation: "RAND_bytes")
        }
    }
}

/// A primitive failed: memory or a misconfigured OpenSSL. Carries no data of the operation.
public struct CryptoError: Error, Equatable, CustomStringConvertible {
    public let operation: String
    public var description: String { "cryptographic operation \(operation) failed" }

    public init(operation: String) { self.operation = operation }
}
