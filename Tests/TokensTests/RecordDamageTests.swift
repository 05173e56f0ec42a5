import SeededRandom
import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// Redis can hold anything: a record that cannot be read is an error, never a trap and never "unknown".
@Suite("A damaged record")
struct RecordDamageTests {
    private func fields(_ change: (inout SessionRecord) -> Void = { _ in }) throws -> [RecordField] {
        var life = try Life()
        try life.rotateAndConfirm()
        try life.rotateAndConfirm()
        var record = life.record
        record.login = LoginMemo(
            sid: life.sid, digest: life.tokens[0].digest, sealed: SealedVerifier(),
            subjectDigest: life.tokens[1].digest,
            until: life.now,
            firstStep: LoginMemo.FirstStep(digest: life.tokens[1].digest, sealed: SealedVerifier()))
        record.csrfSalt = life.tokens[0].digest
        record.formerSalt = life.tokens[1].digest
        record.pageGuest = life.sid
        record.authTime = life.now
        record.renewedByLogin = life.now
        record.loginNumber = life.now.sinceEpoch
        change(&record)
        return RecordCodec.encode(record)
    }

    @Test(
        "a missing field is an error",
        arguments: ["v", "r", "d", "g", "t", "a", "i", "e", "s", "n", "w", "m", "y", "D"])
    func missingField(name: String) throws {
        let rest = try fields().filter { $0.name != Array(name.utf8) }
        #expect(throws: RecordError.self) { try RecordCodec.decode(rest.hash) }
    }

    @Test(
        "a field of a wrong form is an error",
        arguments: [
            "v", "r", "d", "c", "g", "t", "a", "i", "e", "p", "s", "n", "o", "w", "f", "l", "m", "y", "x", "X", "P",
            "u",
            "q",
            "S", "D", "N",
        ])
    func fieldOfWrongForm(name: String) throws {
        let valid = try fields { $0.forcedGeneration = 1 }
        #expect(valid.contains { $0.name == Array(name.utf8) })
        for value in [
            [], [0xFF], Array("1x".utf8), Array(" 1".utf8), Array("99999999999999999999".utf8),
            [UInt8](repeating: 1, count: 65),
        ] {
            let damaged = valid.map { $0.name == Array(name.utf8) ? RecordField(name: $0.name, value: value) : $0 }
            #expect(throws: RecordError.self, "\(name) = \(value)") { try RecordCodec.decode(damaged.hash) }
        }
    }

    @Test("a reason that a later daemon knows reads as admin")
    func unknownReason() throws {
        let tombstone = [RecordField("v", Array("2".utf8)), RecordField("z", Array("sold".utf8))]
        #expect(try RecordCodec.decode(tombstone.hash).session == .ended(Tombstone(reason: .admin)))
    }

    @Test("marks of a wrong form are an error", arguments: [7, 9, 64])
    func marksOfWrongForm(count: Int) throws {
        let tombstone =
            RecordCodec.encode(Tombstone(reason: .logout))
            + [RecordField("o", [UInt8](repeating: 1, count: count))]
        #expect(throws: RecordError.damaged(field: "o")) { try RecordCodec.decode(tombstone.hash) }
    }

    @Test("what no session can be is an error")
    func impossibleSession() throws {
        for (name, value) in [("v", "0"), ("v", "-1"), ("g", "0"), ("g", "-5"), ("i", "0"), ("i", "-1")] {
            let damaged =
                try fields().filter { $0.name != Array(name.utf8) }
                + [RecordField(name: Array(name.utf8), value: Array(value.utf8))]
            #expect(throws: RecordError.self, "\(name) = \(value)") { try RecordCodec.decode(damaged.hash) }
        }
        // A pending token that replaced none: nobody could be told of it.
        let orphan = try fields().filter { !["c", "p", "s", "n"].map { Array($0.utf8) }.contains($0.name) }
        #expect(throws: RecordError.self) { try RecordCodec.decode(orphan.hash) }
    }

    @Test("an error names the field and never its value")
    func errorNamesTheField() throws {
        let secret = Array("5ecret-5ecret".utf8)
        let damaged = try fields().map {
            $0.name == [UInt8(ascii: "d")] ? RecordField(name: $0.name, value: secret) : $0
        }
        do {
            _ = try RecordCodec.decode(damaged.hash)
            Issue.record("a damaged digest was taken")
        } catch {
            #expect("\(error)" == "a session record is damaged in field d")
        }
    }

    @Test("random hashes never trap, in decoding or in any decision on what was decoded")
    func randomHashes() throws {
        var random = SeededRandom(seed: 20_240_607)
        let letters = Array("vrdgtaiecpsnowflmyxz0123k.q".utf8)
        let policy = TokenPolicy(onReplay: .revoke)
        var decoded = 0
        for _ in 0..<20_000 {
            var hash = (try fields()).hash
            // Some fields get other values, some other names, some go.
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                // An answer of an odd length, too, must do no harm.
                let at = Int.random(in: 0..<max(1, hash.count - 1), using: &random)
                switch Int.random(in: 0..<6, using: &random) {
                case 0: hash[at] = random.bytes(Int.random(in: 0...70, using: &random))
                case 1: hash[at & ~1] = [letters[Int.random(in: 0..<letters.count, using: &random)]]
                case 2:
                    hash[min(at | 1, hash.count - 1)] = Array(
                        String(Int64.random(in: .min ... .max, using: &random)).utf8)
                case 3:
                    hash[min(at | 1, hash.count - 1)] = Array(String(random.chance(50) ? Int64.min : Int64.max).utf8)
                case 4: hash.remove(at: at)
                default:
                    hash[min(at | 1, hash.count - 1)] = Array(String(Int64.random(in: -3...3, using: &random)).utf8)
                }
                if hash.isEmpty { break }
            }
            guard let (session, _) = try? RecordCodec.decode(hash), case .live(let record) = session else { continue }
            decoded += 1
            for now in [UnixMilliseconds(0), Life.start, .latest, .earliest] {
                for digest in [record.current, record.previous?.digest ?? Digest(), Digest()] {
                    _ = record.decideAccess(digest: digest, policy: policy, now: now)
                }
                _ = record.expireAt
                _ = record.touchInterval(policy: policy)
                let next = record.rotated(to: Digest(), sealed: SealedVerifier(), policy: policy, now: now)
                _ = RecordCodec.difference(
                    from: record,
                    to: next.forced(
                        to: Digest(), csrfSalt: Digest(), pageGuest: nil, policy: policy, now: now))
            }
        }
        #expect(decoded > 500, "the fuzzing reaches the decisions")
    }

    @Test("numbers are read strictly: one text for one number", arguments: ["+1", "01", "-0", "1_0", "٣", "1\0"])
    func numbersAreStrict(text: String) throws {
        let damaged = try fields().map {
            $0.name == [UInt8(ascii: "r")] ? RecordField(name: $0.name, value: Array(text.utf8)) : $0
        }
        #expect(throws: RecordError.self) { try RecordCodec.decode(damaged.hash) }
    }

    @Test("times that no clock shows are damage: the answer is computed from them")
    func impossibleTimes() throws {
        for name in ["t", "a", "e", "c", "n"] {
            for value in [Int64.min, -1, .max] {
                let damaged = try fields().map {
                    $0.name == Array(name.utf8) ? RecordField(name: $0.name, value: Array(String(value).utf8)) : $0
                }
                #expect(throws: RecordError.self, "\(name) = \(value)") { try RecordCodec.decode(damaged.hash) }
            }
        }
    }
}
