import TokenCrypto
import Tokens

@testable import TokenCache

/// A random source that says the same every time: SplitMix64.
struct SeededRandom: RandomSource, RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    mutating func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(CryptoError) {
        for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: next()) }
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    mutating func octets(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    mutating func fixed<Value: FixedBytes>(_: Value.Type = Value.self) -> Value {
        Value(bytes: octets(Value.byteCount)) ?? Value()
    }
}

extension SessionID {
    /// A `sid` whose place in the table is decided by the low bits of `first`.
    init(first: UInt64, second: UInt64) {
        self.init()
        withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: first, as: UInt64.self)
            bytes.storeBytes(of: second, toByteOffset: 8, as: UInt64.self)
        }
    }
}

extension SessionRecord {
    static let start: Milliseconds = 1_700_000_000_000

    /// A session as it was issued: anonymous, never rotated.
    static func fresh(subject: [UInt8] = [], revision: Int64 = 1) -> SessionRecord {
        var record = SessionRecord(
            token: Digest(), subject: subject, idle: 7_200_000, absolute: 86_400_000, now: start)
        record.revision = revision
        return record
    }
}

extension NearCache {
    func insert(_ record: SessionRecord, sid: SessionID, data: [RecordField] = []) {
        insert(record, sid: sid, verifier: nil, data: data, policy: TokenPolicy(), now: SessionRecord.start)
    }
}
