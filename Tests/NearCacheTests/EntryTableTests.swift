import SeededRandom
import Testing
import TokenCrypto
import Tokens

@testable import TokenCache

@Suite("The table of the near cache: what is in it is found, and nothing else")
struct EntryTableTests {
    private static func entry(_ sid: SessionID, _ revision: Int64) throws -> NearCacheEntry {
        try #require(NearCacheEntry(.fresh(revision: revision), sid: sid, verifier: nil, details: nil))
    }

    @Test("random operations agree with a dictionary, whether places collide or not", arguments: 0..<8)
    func model(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let capacity = 24
        let table = try #require(EntryTable(capacity: capacity))
        // 64 slots. Few homes, the last ones among them: long clusters that wrap around the end of the block.
        let homes: [UInt64] = seed.isMultiple(of: 3) ? Array(0..<64) : [62, 63, 0, 1, 30]
        let sids = (0..<60).map { number in
            SessionID(
                first: (homes.randomElement(using: &random) ?? 0) | random.next() << 6, second: UInt64(number))
        }
        var reference: [SessionID: Int64] = [:]
        for step in 0..<6_000 {
            let sid = sids[Int.random(in: 0..<sids.count, using: &random)]
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<45 where reference[sid] == nil:
                let index = table.insert(try Self.entry(sid, Int64(step)))
                if reference.count < capacity {
                    #expect(index != nil)
                    reference[sid] = Int64(step)
                } else {
                    #expect(index == nil, "more than the table's capacity was taken in")
                }
            case 45..<90:
                if let index = table.find(sid) { table.remove(index) }
                reference[sid] = nil
            case 99 where random.chance(5):
                table.removeAll()
                reference = [:]
            default: break
            }
            guard table.count == reference.count else {
                Issue.record("step \(step): \(table.count) entries, \(reference.count) expected")
                return
            }
            if step.isMultiple(of: 16) {
                for sid in sids where table.find(sid).map({ table[$0].revision }) != reference[sid] {
                    Issue.record("step \(step): \(sid) is not what was put in")
                    return
                }
            }
        }
    }

    @Test("as it fills its slots become more, and every entry is found all the time")
    func growth() throws {
        var random = SeededRandom(seed: 1)
        let capacity = 50_000
        let table = try #require(EntryTable(capacity: capacity))
        let sids = (0..<capacity).map { _ in SessionID(first: random.next(), second: random.next()) }
        for (number, sid) in sids.enumerated() {
            #expect(table.insert(try Self.entry(sid, Int64(number))) != nil)
            // Around each step, and now and then.
            guard number % 5_000 == 0 || [2_047, 2_048, 8_191, 8_192, 32_767, 32_768].contains(number) else { continue }
            for (known, sid) in sids[...number].enumerated()
            where table.find(sid).map({ table[$0].revision }) != Int64(known) {
                Issue.record("\(known) was lost when there were \(number)")
                return
            }
        }
        #expect(table.insert(try Self.entry(SessionID(first: 1, second: 1), 1)) == nil)
        for sid in sids.prefix(capacity / 2) { if let index = table.find(sid) { table.remove(index) } }
        #expect(table.count == capacity - capacity / 2)
        #expect(sids.prefix(capacity / 2).allSatisfy { table.find($0) == nil })
        #expect(sids.dropFirst(capacity / 2).allSatisfy { table.find($0) != nil })
    }

    @Test("an entry moves back into a gap unless its home lies behind the gap", arguments: [0, 5, 13])
    func backwardShift(_ home: UInt64) throws {
        // 16 slots; five entries at home, one further on in the cluster, one at its own home right behind it.
        let table = try #require(EntryTable(capacity: 8))
        func sid(_ home: UInt64, _ number: UInt64) -> SessionID {
            SessionID(first: home << 60 | number, second: number)
        }
        let cluster = (0..<5).map { sid(home, $0) } + [sid(home + 2, 5), sid(home + 7, 6)]
        for removed in cluster.indices {
            for (number, sid) in cluster.enumerated() {
                #expect(table.insert(try Self.entry(sid, Int64(number))) != nil)
            }
            table.remove(try #require(table.find(cluster[removed])))
            #expect(table.find(cluster[removed]) == nil)
            for (number, sid) in cluster.enumerated() where number != removed {
                let index = try #require(table.find(sid), "entry \(number) is lost after \(removed) was removed")
                #expect(table[index].revision == Int64(number))
            }
            table.removeAll()
        }
    }

    @Test("sids that differ only in the bits that choose no slot are told apart")
    func wholeSid() throws {
        let table = try #require(EntryTable(capacity: 4))
        let first = SessionID(first: 7, second: 1)
        _ = table.insert(try Self.entry(first, 1))
        #expect(table.find(SessionID(first: 7, second: 2)) == nil)
        #expect(table.find(SessionID(first: 7 | 1 << 32, second: 1)) == nil)
        #expect(table.find(first) != nil)
    }
}
