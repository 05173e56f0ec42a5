internal import COpenSSL

/// Secret bytes on the heap: wiped when the last reference goes, compared in constant time, never printed.
///
/// `@unchecked Sendable`: the bytes are written in `init` alone, before anybody else has the object.
public final class SecretBytes: @unchecked Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    private let storage: UnsafeMutableRawBufferPointer

    /// `count` bytes (at least 0), zero until `fill` has written them.
    public init<Failure: Error>(
        count: Int, fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        storage = .allocate(byteCount: max(0, count), alignment: 16)
        storage.initializeMemory(as: UInt8.self, repeating: 0)
        try fill(storage)
    }

    /// A copy of `bytes`, which the caller still has to wipe or to forget.
    public convenience init(_ bytes: some Collection<UInt8>) {
        self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    /// `count` random bytes.
    public static func random(
        count: Int, from random: inout some RandomSource
    ) throws(CryptoError) -> SecretBytes {
        try SecretBytes(count: count) { buffer throws(CryptoError) in try random.fill(buffer) }
    }

    deinit {
        OPENSSL_cleanse(storage.baseAddress, storage.count)
        storage.deallocate()
    }

    public var count: Int { storage.count }

    /// The bytes as a view that lives as long as `body`.
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(storage))
    }

    public static func == (left: SecretBytes, right: SecretBytes) -> Bool {
        constantTimeEqual(UnsafeRawBufferPointer(left.storage), UnsafeRawBufferPointer(right.storage))
    }

    public var description: String { "<secret>" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Overwrites an array that held a secret. Only this copy of it: an array that was shared or grew has others.
public func wipe(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
}
