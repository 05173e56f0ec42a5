import EventLoop
import RedisLink
import SeededRandom
import Testing
import TokenCrypto
import Tokens
import UnixTime

@testable import TokenCache

/// What stands in Redis: nothing usable (S7), nothing for ever (S9), nothing large, and the absolute end where it was
/// put (S6).
@Suite("What stands in Redis")
struct StoredShapeTests {
    /// All that Redis holds, as it would write it to disk.
    private func everything(_ pair: ServicePair) throws -> [UInt8] {
        var all: [UInt8] = []
        for key in try pair.keys() {
            all += Array(key.utf8)
            if key.hasPrefix("tc:s:") { for (name, value) in try pair.hash(key) { all += Array(name.utf8) + value } }
            if case .bulk(let dump) = try pair.redis("DUMP", key) { all += dump }
        }
        return all
    }

    private func contains(_ haystack: [UInt8], _ needle: [UInt8]) -> Bool {
        guard let first = needle.first, haystack.count >= needle.count else { return false }
        return haystack.indices.dropLast(needle.count - 1).contains { at in
            haystack[at] == first && haystack[at..<at + needle.count].elementsEqual(needle)
        }
    }

    @Test("S7 S9: a whole life leaves no verifier in Redis, every key expires and every hash is compact")
    func wholeLife() throws {
        let pair = try ServicePair()
        var tokens = [try pair.issue(SessionRequest(data: [RecordField(data: "basket", "full")]))]
        let key = "tc:s:\(tokens[0].sid)"
        func inspectRedis() throws {
            let stored = try everything(pair)
            for token in tokens {
                for start in [0, 16, 32] {
                    let piece = Array(token.verifier.bytes[start..<start + 16])
                    #expect(!contains(stored, piece), "S7: a verifier's bytes are stored")
                    let hex = piece.withUnsafeBytes { Hex.encode($0) }
                    #expect(!contains(stored, hex), "S7: a verifier is stored as text")
                }
            }
            for name in try pair.keys() where name.hasPrefix("tc:s:") {
                #expect(try pair.redis("OBJECT", "ENCODING", name) == .bulk(Array("listpack".utf8)))
                #expect(try pair.hash(name).allSatisfy { $0.value.count <= 64 })
            }
            try expectEveryKeyToExpire(pair)
        }
        func age() throws {
            let confirmed = try #require(try pair.hash(key)["c"].flatMap { Int64(String(decoding: $0, as: UTF8.self)) })
            try pair.redis("HSET", key, "c", String(confirmed - 16 * 60_000))
        }
        let end = try pair.hash(key)["e"]
        try inspectRedis()
        for daemon in 0..<10 {
            try age()
            tokens.append(try #require(try pair.validate(tokens[tokens.count - 1], on: daemon % 2).view?.sessionToken))
            try inspectRedis()
            _ = try pair.validate(tokens[tokens.count - 1], on: 1 - daemon % 2)
        }
        try inspectRedis()
        let rotated: Verdict = try pair.wait { pair.services[0].rotate(tokens[tokens.count - 1], $0) }.get()
        tokens.append(try #require(rotated.view?.sessionToken))
        #expect(try pair.hash(key)["e"] == end, "S6: the absolute end stays")
        let subject = String(repeating: "a long subject, ", count: 16)
        let login: LoginAnswer = try pair.wait {
            pair.services[1].login(tokens[tokens.count - 1], SessionRequest(subject: subject), $0)
        }.get()
        tokens.append(try #require(login.made.sessionToken))
        #expect(try pair.hash(key)["e"] != end, "S6: only LOGIN moves it")
        try inspectRedis()
        #expect(try pair.hash(key)[".basket"] == Array("full".utf8))
        let revoked: RevokeAnswer = try pair.wait { pair.services[0].revoke(.token(tokens[0]), $0) }.get()
        #expect(revoked == .unknown, "the eighth token before is forgotten")
        let planted: RevokeAnswer = try pair.wait { pair.services[0].revoke(.token(tokens[9]), $0) }.get()
        #expect(planted == .replayed, "from before the LOGIN: it ends nothing")
        let newest = tokens[tokens.count - 1]
        let ended: RevokeAnswer = try pair.wait { pair.services[0].revoke(.token(newest), $0) }.get()
        #expect(ended == .revoked(.logout))
        try inspectRedis()
        #expect(try pair.hash(key).keys.sorted() == ["e", "v", "z"])
        #expect(try pair.integer("ZCARD", "tc:u:" + subjectName(subject)) <= 0)
    }

    private func subjectName(_ subject: String) throws -> String {
        String(decoding: try SubjectIndex(subject: Array(subject.utf8), crypto: CryptoContext()).name, as: UTF8.self)
    }

    @Test("S6: a touch and a commit that come after the end bring nothing back")
    func afterTheEnd() throws {
        let pair = try ServicePair()
        let token = try pair.issue()
        let store = pair.services[0].store
        let copy: Result<StoredCopy, Unavailable> = pair.wait { store.load(token.sid, $0) }
        guard case .live(let record) = try copy.get().session else { return #expect(Bool(false), "no session") }
        let ended: RevokeAnswer = try pair.wait { pair.services[1].revoke(.token(token), $0) }.get()
        #expect(ended == .revoked(.logout))
        let tombstone = try pair.hash("tc:s:\(token.sid)")
        let touched: Result<Bool, Unavailable> = pair.wait {
            store.touch(token.sid, interval: 0, arrival: store.instant, $0)
        }
        #expect(try touched.get() == false)
        let confirmation = SessionWrite.access(.confirm, from: record, to: record.confirmed(now: record.created))
        let change = try confirmation.change(tombstoneEnd: UnixMilliseconds(0))
        let late: Result<ChangeOutcome, Unavailable> = pair.wait {
            store.commit(change, of: token.sid, maxData: 9, arrival: store.instant, $0)
        }
        guard case .overtaken = try late.get() else { return #expect(Bool(false), "the commit was taken") }
        #expect(try pair.hash("tc:s:\(token.sid)") == tombstone)
    }

    @Test("a wave of unknown tokens writes nothing")
    func unknownTokens() throws {
        let pair = try ServicePair()
        let token = try pair.issue()
        var random = SeededRandom(seed: 5)
        var answered = 0
        for index in 0..<2_000 {
            let unknown = SessionToken(
                sid: index % 2 == 0 ? try random.bytes() : token.sid, verifier: try random.bytes())
            pair.services[index % 2].validate(unknown) { result in
                #expect((try? result.get())?.refusal == .unknown)
                answered += 1
                pair.loop.stop()
            }
        }
        pair.run { answered == 2_000 }
        #expect(try pair.keys() == ["tc:s:\(token.sid)"])
        #expect(try pair.hash("tc:s:\(token.sid)")["r"] == Array("1".utf8))
    }

    @Test("S8: accesses of a session by two daemons write once in a touch interval")
    func oneWriteAnInterval() throws {
        let pair = try ServicePair()
        let token = try pair.issue()
        let key = "tc:s:\(token.sid)"
        let before = try pair.time() - 120_000
        try pair.redis("HSET", key, "a", String(before))
        for round in 0..<20 { #expect(try pair.validate(token, on: round % 2).view != nil) }
        // Touches go behind the replies: whatever is still under way is done before this answer.
        for daemon in 0...1 { _ = try pair.validate(token, on: daemon) }
        let access = try #require(try pair.hash(key)["a"].flatMap { Int64(String(decoding: $0, as: UTF8.self)) })
        #expect(access > before + 100_000)
        #expect(pair.services.map(\.counters.touches).reduce(0, +) <= 4)
    }
}
