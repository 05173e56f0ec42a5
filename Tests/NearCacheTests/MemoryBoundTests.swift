import Glibc
import SeededRandom
import Testing
import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

@Suite("The near cache's memory is bounded")
struct MemoryBoundTests {
    @Test("P5: an entry of a session that was never rotated costs 136 bytes, its share of the slots included")
    func entrySize() throws {
        #expect(EntryTable.bytesPerEntry == 136)
        let cache = try #require(NearCache(maxBytes: 1 << 20))
        for number in 0..<100 { cache.insert(.fresh(), sid: SessionID(first: UInt64(number), second: 0)) }
        #expect(cache.bytes == 100 * 136)
    }

    /// Puts a session into a cache.
    /// - Returns: what is kept of its history.
    private static func keep(
        _ record: SessionRecord, _ sid: SessionID, verifier: Verifier, in cache: NearCache, now: UnixMilliseconds
    ) throws -> SessionRecord {
        cache.insert(record, sid: sid, verifier: verifier, data: [], policy: TokenPolicy(), now: now)
        let index = try #require(cache.find(sid))
        var copy = SessionRecord.fresh()
        cache[index].details?.complete(&copy)
        return copy
    }

    @Test("P5: one with seven remembered tokens, a rotation every quarter of an hour, and a subject costs at most 248")
    func rotatedEntrySize() throws {
        let cache = try #require(NearCache(maxBytes: 1 << 20))
        var random = SeededRandom(seed: 9)
        var record = SessionRecord.fresh(subject: Array("alice".utf8))
        var now = SessionRecord.start
        for _ in 0..<40 {
            now += Int64.random(in: 900_000...1_000_000, using: &random)
            record = record.rotated(to: random.fixed(), sealed: random.fixed(), policy: TokenPolicy(), now: now)
            record = record.confirmed(now: now + 1_000)
        }
        let sid: SessionID = random.fixed()
        let copy = try Self.keep(record, sid, verifier: random.fixed(), in: cache, now: now + 600_000)
        #expect(copy.remembered.count == SessionRecord.maxRemembered && copy.previous == nil)
        #expect(cache.bytes <= 248, "an entry with full history takes \(cache.bytes) bytes")
        // Within its overlap the previous token is kept in full, and what opens its successor.
        cache.insert(record, sid: sid, verifier: random.fixed(), data: [], policy: TokenPolicy(), now: now + 2_000)
        #expect(cache.bytes <= 328, "an entry within its overlap takes \(cache.bytes) bytes")
    }

    @Test("P5: within its overlap one whose tokens were all replaced by force, and that has a salt, costs at most 350")
    func forcedEntrySize() throws {
        let cache = try #require(NearCache(maxBytes: 1 << 20))
        var random = SeededRandom(seed: 10)
        var record = SessionRecord.fresh()
        var now = SessionRecord.start
        for _ in 0..<SessionRecord.maxRemembered {
            now += Int64.random(in: 500...2_000, using: &random)
            record = record.forced(
                to: random.fixed(), csrfSalt: random.fixed(), pageGuest: nil, policy: TokenPolicy(), now: now)
        }
        now += 2_000
        record = record.rotated(to: random.fixed(), sealed: random.fixed(), policy: TokenPolicy(), now: now)
        record = record.confirmed(now: now + 500)
        let copy = try Self.keep(record, random.fixed(), verifier: random.fixed(), in: cache, now: now + 1_000)
        #expect(copy.remembered.count == SessionRecord.maxRemembered && copy.previous != nil && copy.csrfSalt != nil)
        #expect(cache.bytes <= 350, "an entry with full history takes \(cache.bytes) bytes")
    }

    @Test(
        "the table takes as many entries as it was made for, of any number, and gives each back",
        arguments: [1, 2, 3, 7, 100, 5_001])
    func oddCapacities(_ capacity: Int) throws {
        let table = try #require(EntryTable(capacity: capacity))
        var random = SeededRandom(seed: UInt64(capacity))
        for _ in 0..<3 {
            var sids: [SessionID] = []
            for _ in 0..<capacity {
                // Some at the very end of the slots, where a search goes on at the first.
                let first = random.chance(20) ? UInt64.max : random.next()
                let sid = SessionID(first: first, second: random.next())
                let entry = try #require(NearCacheEntry(.fresh(), sid: sid, verifier: nil, details: nil))
                #expect(table.insert(entry) != nil)
                sids.append(sid)
            }
            let more = try #require(NearCacheEntry(.fresh(), sid: random.fixed(), verifier: nil, details: nil))
            #expect(table.insert(more) == nil && table.count == capacity)
            sids.shuffle(using: &random)
            for (place, sid) in sids.enumerated() {
                table.remove(try #require(table.find(sid)))
                #expect(table.find(sid) == nil)
                if place % 100 == 0 { #expect(sids[(place + 1)...].allSatisfy { table.find($0) != nil }) }
            }
            #expect(table.count == 0)
        }
    }

    @Test("a tombstone costs no more than a session, makes room as one, and goes as one")
    func tombstones() throws {
        let cache = try #require(NearCache(maxBytes: EntryTable.bytesPerEntry * 10))
        for number in 0..<100 {
            cache.insert(
                Tombstone(reason: .logout, until: SessionRecord.start + 600_000),
                sid: SessionID(first: UInt64(number), second: 0))
            #expect(cache.bytes <= EntryTable.bytesPerEntry * 10)
        }
        #expect(cache.count == 10)
        cache.insert(Tombstone(reason: .logout), sid: SessionID(first: 1_000, second: 0))
        #expect(cache.find(SessionID(first: 1_000, second: 0)) == nil, "nobody knows how long this one stands")
        cache.dropAll()
        #expect(cache.bytes == 0 && cache.count == 0)
    }

    @Test("a session whose details find no memory is not kept: without them it would be bound to nobody")
    func noMemoryForDetails() throws {
        var isOut = false
        let cache = try #require(NearCache(maxBytes: 1 << 20, allocate: { isOut ? nil : malloc($0) }))
        var bound = SessionRecord.fresh()
        bound.bindings.ip = Binding(bytes: [2, 65, 66, 24] + [UInt8](repeating: 7, count: 16))
        let sid = SessionID(first: 1, second: 0)
        cache.insert(bound, sid: sid)
        let kept = try #require(cache.find(sid))
        #expect(cache[kept].details?.isBound == true)
        isOut = true
        cache.insert(bound, sid: sid)
        #expect(cache.find(sid) == nil && cache.bytes == 0)
        cache.insert(.fresh(), sid: sid)
        #expect(cache.find(sid) != nil, "this one has no details")
    }

    @Test("1,000,000 sessions never take more than near-cache.max-memory, and fill nearly all of it")
    func million() throws {
        let maxBytes = 64 << 20
        let cache = try #require(NearCache(maxBytes: maxBytes))
        let record = SessionRecord.fresh()
        var random = SeededRandom(seed: 7)
        var most = 0
        for number in 0..<1_000_000 {
            cache.insert(record, sid: SessionID(first: random.next(), second: UInt64(number)))
            most = max(most, cache.bytes)
        }
        #expect(most <= maxBytes)
        #expect(most > maxBytes - 256)
        #expect(cache.evictions == 1_000_000 - UInt64(cache.count))
    }

    @Test("subjects, data and histories count", arguments: [10_000])
    func details(_ count: Int) throws {
        let maxBytes = 1 << 20
        let cache = try #require(NearCache(maxBytes: maxBytes))
        var random = SeededRandom(seed: 8)
        for number in 0..<count {
            var record = SessionRecord.fresh(subject: random.bytes(Int.random(in: 0...256, using: &random)))
            if random.chance(50) {
                record = record.rotated(
                    to: random.fixed(), sealed: random.fixed(), policy: TokenPolicy(), now: SessionRecord.start)
            }
            let size = random.chance(5) ? 5_000 : Int.random(in: 0...200, using: &random)
            let data = random.chance(30) ? [RecordField("a", Array(repeating: 1, count: size))] : []
            let before = cache.bytes
            cache.insert(record, sid: SessionID(first: random.next(), second: UInt64(number)), data: data)
            if cache.evictions == 0 {
                let content = record.subject.count + (size <= 4_000 && !data.isEmpty ? size : 0)
                #expect(cache.bytes - before >= EntryTable.bytesPerEntry + content, "something is not counted")
            }
            if cache.bytes > maxBytes {
                Issue.record("\(cache.bytes) bytes after \(number) sessions")
                return
            }
        }
        #expect(cache.count > 1_000)
        cache.dropAll()
        #expect(cache.bytes == 0 && cache.count == 0)
    }

    @Test("data above 4 KiB is not kept, its session is")
    func largeData() throws {
        let cache = try #require(NearCache(maxBytes: 1 << 20))
        let sid = SessionID(first: 1, second: 1)
        cache.insert(.fresh(), sid: sid, data: [RecordField("a", Array(repeating: 1, count: 4_096))])
        let large = try #require(cache.find(sid))
        #expect(cache[large].details != nil && cache[large].details?.data == nil)
        cache.insert(.fresh(), sid: sid, data: [RecordField("a", Array(repeating: 1, count: 4_095))])
        let small = try #require(cache.find(sid))
        #expect(cache[small].details?.data?.count == 1)
    }

    @Test("no room for an entry: no near cache", arguments: [0, 1, EntryTable.bytesPerEntry - 1])
    func noRoom(_ bytes: Int) { #expect(NearCache(maxBytes: bytes) == nil) }

    @Test("room for one entry: the cache of one session")
    func one() throws {
        let cache = try #require(NearCache(maxBytes: EntryTable.bytesPerEntry))
        for number in 0..<10 {
            let sid = SessionID(first: UInt64(number), second: 0)
            cache.insert(.fresh(), sid: sid)
            #expect(cache.find(sid) != nil && cache.count == 1)
        }
    }
}
