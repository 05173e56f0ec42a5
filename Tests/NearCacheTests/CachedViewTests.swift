import Testing
import TokenCrypto
import Tokens

@testable import TokenCache

@Suite("P6: what a hit reads of a session does not depend on its data")
struct CachedViewTests {
    private static let fields = (0..<100).map { number in
        RecordField(name: Array("field \(number)".utf8), value: [UInt8](repeating: 7, count: 20))
    }

    /// What the near cache answers of a session with this data, of which it keeps at most `NearCacheDetails.maxData`.
    private static func withSession(
        _ data: [RecordField], _ body: (CachedSession, NearCacheEntry) throws -> Void
    ) throws {
        let cache = try #require(NearCache(maxBytes: 1 << 20))
        var record = SessionRecord.fresh(subject: Array("ann".utf8))
        record.csrfSalt = Digest(bytes: [UInt8](repeating: 3, count: Digest.byteCount))
        cache.insert(record, sid: SessionID(first: 1, second: 2), data: data)
        let entry = try #require(cache.entry(SessionID(first: 1, second: 2)))
        try body(CachedSession(entry, entry.pointee.times, now: SessionRecord.start), entry.pointee)
    }

    @Test("the data is read where it is asked for, and else left where it is")
    func onlyOnRequest() throws {
        try Self.withSession(Self.fields) { session, entry in
            #expect(entry.keepsData)
            let view = SessionView(session)
            #expect(view.data == nil, "data was read that nobody asked for")
            #expect(view.subject == Array("ann".utf8) && view.formHolder.holder.salt != nil)
            #expect(SessionView(session, withData: true).data == Self.fields)
        }
    }

    @Test("whether the data is here is known without reading it")
    func tooMuch() throws {
        try Self.withSession(Self.fields + Self.fields) { session, entry in
            #expect(!entry.keepsData)
            #expect(SessionView(session, withData: true).data == nil, "part of the data was taken for all of it")
        }
        try Self.withSession([]) { session, entry in
            #expect(entry.keepsData)
            #expect(SessionView(session, withData: true).data == [])
        }
    }
}
