import Testing
import TokenCrypto
import Tokens

@testable import TokenCache

@Suite("The near cache's memory is bounded")
struct MemoryBoundTests {
    @Test("P5: an entry of a session that was never rotated costs at most 256 bytes, its share of the slots included")
    func entrySize() throws {
        #expect(EntryTable.bytesPerEntry <= 256)
        let cache = try #require(NearCache(maxBytes: 1 << 20))
        for number in 0..<100 { cache.insert(.fresh(), sid: SessionID(first: UInt64(number), second: 0)) }
        #expect(cache.bytes <= 100 * 256)
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
            var record = SessionRecord.fresh(subject: random.octets(Int.random(in: 0...256, using: &random)))
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
