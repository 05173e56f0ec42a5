import SeededRandom
import Testing
import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

@Suite("The near cache against a simple reference")
struct NearCacheModelTests {
    @Test("random operations keep, find and evict what SIEVE keeps, finds and evicts", arguments: 0..<8)
    func model(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let maxBytes = EntryTable.bytesPerEntry * 40
        let cache = try #require(NearCache(maxBytes: maxBytes))
        var reference = ReferenceSieve(maxBytes: maxBytes)
        let isCrowded = seed.isMultiple(of: 2)
        let sids = (0..<120).map { number in
            // At the last two of the slots, and the first.
            let crowd = [UInt64.max - UInt64.max / 64, .max, 0]
            return SessionID(first: isCrowded ? crowd[number % 3] : random.next(), second: UInt64(number))
        }
        for step in 0..<8_000 {
            let sid = sids[Int.random(in: 0..<sids.count, using: &random)]
            switch Int.random(in: 0..<1_000, using: &random) {
            case 0..<400:
                let record = SessionRecord.fresh(
                    subject: random.chance(20) ? Array("somebody".utf8) : [], revision: Int64(step))
                // Now and then one that fills a good part of the cache, and one that is larger than all of it.
                let data =
                    random.chance(10)
                    ? [RecordField("a", random.bytes(Int.random(in: 0...4_000, using: &random)))] : []
                let details = try NearCacheDetails(
                    record: record, data: data, policy: TokenPolicy(), now: SessionRecord.start)
                defer { details?.free() }
                cache.insert(record, sid: sid, data: data)
                reference.insert(
                    sid, revision: record.revision, bytes: EntryTable.bytesPerEntry + (details?.bytes ?? 0))
            case 400..<900:
                let found = cache.find(sid).map { cache[$0].revision }
                #expect(found == reference.find(sid))
            case 900..<999:
                #expect(cache.drop(sid) == reference.drop(sid))
            default:
                if random.chance(30) {
                    cache.dropAll()
                    reference.dropAll()
                }
            }
            guard cache.count == reference.entries.count, cache.bytes == reference.bytes, cache.bytes <= maxBytes,
                cache.evictions == reference.evictions
            else {
                Issue.record(
                    "step \(step): \(cache.count) entries, \(cache.bytes) bytes, \(cache.evictions) evictions")
                return
            }
        }
        for sid in sids { #expect(cache.find(sid).map { cache[$0].revision } == reference.entries[sid]?.revision) }
    }

    @Test("what was found since the hand last passed is spared, what was not goes, oldest first")
    func sparesTheFound() throws {
        let cache = try #require(NearCache(maxBytes: EntryTable.bytesPerEntry * 100))
        let sids = (0..<100).map { SessionID(first: UInt64($0), second: 0) }
        for sid in sids { cache.insert(.fresh(), sid: sid) }
        let hot = Set(stride(from: 0, to: 100, by: 3))
        for number in hot { #expect(cache.find(sids[number]) != nil) }
        // As many new ones as there are unfound old ones: all of these go, none of the found.
        for number in 0..<(100 - hot.count) {
            cache.insert(.fresh(), sid: SessionID(first: UInt64(1_000 + number), second: 0))
        }
        for (number, sid) in sids.enumerated() { #expect((cache.find(sid) != nil) == hot.contains(number)) }
    }

    @Test("sessions in use survive any number of sessions that are seen once")
    func survivesAScan() throws {
        let cache = try #require(NearCache(maxBytes: EntryTable.bytesPerEntry * 1_000))
        let hot = (0..<200).map { SessionID(first: UInt64($0) &* 0x9E37_79B9_7F4A_7C15, second: 1) }
        for sid in hot { cache.insert(.fresh(), sid: sid) }
        for number in 0..<20_000 {
            cache.insert(.fresh(), sid: SessionID(first: UInt64(number) &* 0xD1B5_4A32_D192_ED03, second: 2))
            if number.isMultiple(of: 200) { for sid in hot { #expect(cache.find(sid) != nil) } }
        }
    }

    @Test("a verifier outlives a touch, not a rotation")
    func verifierOfTheGeneration() throws {
        let cache = try #require(NearCache(maxBytes: 1 << 16))
        var random = SeededRandom(seed: 1)
        let verifier: Verifier = random.fixed()
        let sid: SessionID = random.fixed()
        var record = SessionRecord.fresh()
        let policy = TokenPolicy()
        cache.insert(record, sid: sid, verifier: verifier, data: [], policy: policy, now: SessionRecord.start)
        record.lastAccess += 60_000
        cache.insert(record, sid: sid, verifier: nil, data: [], policy: policy, now: record.lastAccess)
        let touched = try #require(cache.find(sid))
        #expect(cache[touched].verifier == verifier)
        #expect(cache[touched].lastAccess == record.lastAccess)
        record = record.rotated(to: random.fixed(), sealed: random.fixed(), policy: policy, now: record.lastAccess)
        cache.insert(record, sid: sid, verifier: nil, data: [], policy: policy, now: record.lastAccess)
        let rotated = try #require(cache.find(sid))
        #expect(cache[rotated].verifier == nil, "the old verifier was taken for the successor's")
    }
}
