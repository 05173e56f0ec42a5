/// A value of a fixed number of bytes, held inline: no heap, no reference counting.
public protocol FixedBytes: Sendable, BitwiseCopyable {
    associatedtype Storage: BitwiseCopyable & Sendable
    /// Length in bytes.
    static var byteCount: Int { get }
    /// All bytes zero.
    init()
    var storage: Storage { get set }
}

extension FixedBytes {
    /// The bytes as a view that lives as long as `body`.
    @inlinable
    public func withUnsafeBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try Swift.withUnsafeBytes(of: storage, body)
    }

    @inlinable
    public mutating func withUnsafeMutableBytes<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try Swift.withUnsafeMutableBytes(of: &storage, body)
    }

    /// Takes exactly `byteCount` bytes; nil for any other length.
    @inlinable
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.init()
        withUnsafeMutableBytes { $0.copyBytes(from: bytes) }
    }

    /// A copy on the heap, for arguments of a Redis command.
    public var bytes: [UInt8] { withUnsafeBytes { Array($0) } }
}

extension [UInt8] {
    /// `withUnsafeBytes` whose errors keep their type.
    @inlinable
    public func withRawBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBufferPointer { elements throws(Failure) in try body(UnsafeRawBufferPointer(elements)) }
    }
}

/// A SHA-256 digest, 32 bytes. Compared in constant time: a digest of a secret is compared with attacker's input.
public struct Digest: FixedBytes, Equatable {
    public static var byteCount: Int { 32 }
    public var storage = InlineArray<32, UInt8>(repeating: 0)
    public init() {}

    /// The first 8 bytes: enough to recognise one of a handful of remembered verifiers.
    public var prefix: UInt64 { withUnsafeBytes { UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)) } }

    public static func == (left: Digest, right: Digest) -> Bool { constantTimeEqual(left, right) }
}

/// The secret half of a session token, 48 bytes. Never printed, compared in constant time.
public struct Verifier: FixedBytes, Equatable, CustomStringConvertible, CustomReflectable {
    public static var byteCount: Int { 48 }
    public var storage = InlineArray<48, UInt8>(repeating: 0)
    public init() {}

    public var description: String { "<secret>" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }

    public static func == (left: Verifier, right: Verifier) -> Bool { constantTimeEqual(left, right) }
}

/// A successor's verifier sealed under the verifier it replaces, 48 bytes: useless without that one.
public struct SealedVerifier: FixedBytes, Equatable {
    public static var byteCount: Int { 48 }
    public var storage = InlineArray<48, UInt8>(repeating: 0)
    public init() {}

    public static func == (left: SealedVerifier, right: SealedVerifier) -> Bool { constantTimeEqual(left, right) }
}
