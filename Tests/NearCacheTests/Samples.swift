import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

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
    static let start = UnixMilliseconds(1_700_000_000_000)

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

extension ChangeFilter {
    init(capacity: Int = Self.capacity) {
        self.init(key: Key(first: 0x0123_4567_89ab_cdef, second: 0xfedc_ba98_7654_3210), capacity: capacity)
    }
}

extension GuestKnowledge {
    init() { self.init(changes: ChangeFilter()) }
}
