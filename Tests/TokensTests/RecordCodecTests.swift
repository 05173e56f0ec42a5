import SeededRandom
import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// The record in Redis: what is written comes back, compactly, and a difference leads from one state to the next.
@Suite("The record in Redis")
struct RecordCodecTests {
    private static let seeds = 0..<400 as Range<UInt64>

    /// Names to values, as Redis keeps a hash.
    private func model(_ fields: [RecordField]) -> [[UInt8]: [UInt8]] {
        Dictionary(uniqueKeysWithValues: fields.map { ($0.name, $0.value) })
    }

    @Test("every record comes back as it was written")
    func records() throws {
        for seed in Self.seeds {
            var random = SeededRandom(seed: seed)
            let record = random.record()
            let decoded = try RecordCodec.decode(RecordCodec.encode(record).shuffled(using: &random).hash)
            #expect(decoded.session == .live(record), "seed \(seed)")
            #expect(decoded.data.isEmpty)
        }
    }

    @Test("a tombstone comes back, with its memo and without", arguments: EndReason.allCases)
    func tombstones(reason: EndReason) throws {
        var random = SeededRandom(seed: 3)
        for tombstone in [Tombstone(reason: reason), Tombstone(reason: reason, login: random.memo())] {
            #expect(try RecordCodec.decode(RecordCodec.encode(tombstone).hash).session == .ended(tombstone))
        }
    }

    @Test("nothing under the key is an absent session")
    func absent() throws {
        let decoded = try RecordCodec.decode([])
        #expect(decoded.session == .absent && decoded.data.isEmpty)
    }

    @Test("a difference applied to the old hash gives exactly the new one")
    func differences() throws {
        for seed in Self.seeds {
            var random = SeededRandom(seed: seed)
            let old = random.record()
            let next = [
                random.record(), old, old.confirmed(now: old.lastAccess + 5),
                old.rotated(
                    to: random.fixed(), sealed: random.fixed(), policy: TokenPolicy(), now: old.lastAccess + 7),
                old.forced(
                    to: random.fixed(), csrfSalt: random.fixed(), pageGuest: random.fixed(), policy: TokenPolicy(),
                    now: old.lastAccess + 9),
            ]
            for new in next {
                var hash = model(RecordCodec.encode(old))
                let (set, delete) = RecordCodec.difference(from: old, to: new)
                // As the script does it: first what is set, then what goes.
                for field in set { hash[field.name] = field.value }
                for name in delete { hash[name] = nil }
                #expect(hash == model(RecordCodec.encode(new)), "seed \(seed)")
                #expect(Set(set.map(\.name)).isDisjoint(with: delete))
                // The version, since the old hash may be of the one before.
                let vain = set.filter { RecordCodec.encode(old).contains($0) }.map(\.name)
                #expect(vain == [Array("v".utf8)], "nothing else is set in vain")
            }
        }
    }

    @Test("a state change always moves the revision, so that it is always written over another")
    func revisions() throws {
        var life = try Life()
        let first = life.record
        try life.rotate()
        let second = life.record
        life.confirm()
        let third = life.record
        try life.force()
        #expect([first, second, third, life.record].map(\.revision) == [1, 2, 3, 4])
    }

    @Test("every name has one letter and every value at most 64 bytes: the encoding stays compact")
    func compactNames() {
        for seed in Self.seeds {
            var random = SeededRandom(seed: seed)
            let record = random.record()
            let fields = RecordCodec.encode(record)
            #expect(fields.allSatisfy { $0.name.count == 1 && $0.value.count <= 64 })
            #expect(Set(fields.map(\.name)).count == fields.count, "a name is written once")
            #expect(!fields.contains { $0.name == [RecordCodec.dataMark] })
        }
    }

    @Test("a fresh record is small")
    func freshRecord() throws {
        let fields = RecordCodec.encode(try Life().record)
        #expect(fields.count <= 9)
        #expect(fields.reduce(0) { $0 + $1.name.count + $1.value.count } <= 128)
    }

    @Test("data fields come back by name and cannot touch the record")
    func dataFields() throws {
        let record = try Life().record
        let data = ["r", "d", "v", "z", ".", "basket", "\u{0}", "ä"].map {
            RecordField(name: Array($0.utf8), value: [1])
        }
        let stored = data.map { RecordField(name: [RecordCodec.dataMark] + $0.name, value: $0.value) }
        let decoded = try RecordCodec.decode((RecordCodec.encode(record) + stored).hash)
        #expect(decoded.session == .live(record))
        #expect(decoded.data == data)
    }

    @Test("a record of a newer version is refused, whatever else it holds")
    func newerVersion() throws {
        var fields = RecordCodec.encode(try Life().record)
        fields[0] = RecordField("v", Array("3".utf8))
        #expect(throws: RecordError.newerVersion(3)) { try RecordCodec.decode(fields.hash) }
        #expect(throws: RecordError.newerVersion(9)) {
            try RecordCodec.decode([RecordField("v", Array("9".utf8)), RecordField("z", Array("later".utf8))].hash)
        }
    }

    @Test("a remembered token keeps its times for the longest overlap that can be configured")
    func longestOverlap() throws {
        var life = try Life(policy: TokenPolicy(rotationOverlap: 3_600_000, absolute: 400 * 86_400_000))
        try life.rotateAndConfirm()
        life.now += 399 * 86_400_000
        try life.rotate()
        try life.force()
        #expect(try RecordCodec.decode(RecordCodec.encode(life.record).hash).session == .live(life.record))
    }
}
