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

/// The same CSPRNG, asked for 4 KiB at a time: a small request of its own costs a microsecond, this one some 20 ns.
/// What was given out is wiped at once. A class, so that no copy can give out the same bytes again. Owned by one thread;
/// not for a process that forks and goes on in the child.
public final class BufferedRandom: RandomSource {
    private static let capacity = 4_096

    private let pool: UnsafeMutableRawBufferPointer
    private var used = BufferedRandom.capacity

    public init() { pool = .allocate(byteCount: Self.capacity, alignment: 16) }

    deinit {
        OPENSSL_cleanse(pool.baseAddress, pool.count)
        pool.deallocate()
    }

    public func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(CryptoError) {
        var system = SystemRandom()
        guard buffer.count <= Self.capacity / 4 else { return try system.fill(buffer) }
        if pool.count - used < buffer.count {
            // Should it fail, nothing is given out of what is left.
            used = pool.count
            try system.fill(pool)
            used = 0
        }
        let next = UnsafeMutableRawBufferPointer(rebasing: pool[used..<(used + buffer.count)])
        buffer.copyMemory(from: UnsafeRawBufferPointer(next))
        OPENSSL_cleanse(next.baseAddress, next.count)
        used += buffer.count
    }
}

/// A primitive failed: memory or a misconfigured OpenSSL. Carries no data of the operation.
public struct CryptoError: Error, Equatable, CustomStringConvertible {
    public let operation: String
    public var description: String { "cryptographic operation \(operation) failed" }

    public init(operation: String) { self.operation = operation }
}
