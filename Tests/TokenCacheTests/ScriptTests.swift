import RedisLink
import Testing
import Tokens

@testable import TokenCache

/// Each branch of the scripts, on a real Redis.
@Suite("Scripts")
struct ScriptTests {
    private let pair: ServicePair
    private let later: Int64
    private let notAfter: String
    private let end: String

    init() throws {
        pair = try ServicePair()
        later = try pair.time() + 60_000
        notAfter = String(later)
        end = String(later + 60_000)
    }

    private func verdict(_ reply: RedisReply) -> String {
        guard case .array(let parts) = reply, case .bulk(let word)? = parts.first else { return "?" }
        return String(decoding: word, as: UTF8.self)
    }

    private func detail(_ reply: RedisReply) -> RedisReply? {
        guard case .array(let parts) = reply, parts.count == 3 else { return nil }
        return parts[2]
    }

    /// `commit.lua`: basis, expiry, replace, most data, then sets, deletes, data.
    private func commit(
        _ basis: String, expire: String? = nil, replace: Bool = false, maxData: Int = 1_000, notAfter: String? = nil,
        set: [(String, String)] = [], delete: [String] = [], data: [(String, String)] = []
    ) throws -> RedisReply {
        let counts = [set.count, delete.count, data.count].map(String.init)
        let head = [notAfter ?? self.notAfter, basis, expire ?? "", replace ? "1" : "", String(maxData)] + counts
        return try pair.script(
            SessionScripts.commit, key: "k",
            head + set.flatMap { [$0.0, $0.1] } + delete + data.flatMap { [$0.0, $0.1] })
    }

    private func create() throws {
        #expect(verdict(try commit("", expire: end, set: [("r", "1"), ("d", "x")])) == "done")
    }

    // MARK: commit.lua

    @Test("commit creates only where nothing stands")
    func commitCreates() throws {
        try create()
        let again = try commit("", expire: end, set: [("r", "9")])
        #expect(verdict(again) == "changed")
        #expect(detail(again) == .array([.bulk([0x72]), .bulk([0x31]), .bulk([0x64]), .bulk([0x78])]))
        #expect(try pair.hash("k")["r"] == Array("1".utf8))
        #expect(try pair.integer("PEXPIRETIME", "k") == later + 60_000)
    }

    @Test("commit writes over its revision only, sets and deletes, and leaves the TTL where none is given")
    func commitOverRevision() throws {
        try create()
        #expect(verdict(try commit("2", set: [("r", "3")])) == "changed")
        #expect(verdict(try commit("01", set: [("r", "3")])) == "changed")
        #expect(verdict(try commit("1", set: [("r", "2"), ("c", "5")], delete: ["d"])) == "done")
        #expect(try pair.hash("k") == ["r": Array("2".utf8), "c": Array("5".utf8)])
        #expect(try pair.integer("PEXPIRETIME", "k") == later + 60_000)
    }

    @Test("commit over any living session needs one that lives: not an absent one, not a tombstone")
    func commitOverAnyLiving() throws {
        let absent = try commit("*", data: [("a", "1")])
        #expect(verdict(absent) == "changed" && detail(absent) == .array([]))
        #expect(verdict(try commit("7", set: [("r", "8")])) == "changed")
        try create()
        #expect(detail(try commit("*", data: [("a", "1")])) == .integer(1))
        #expect(verdict(try commit("1", expire: end, replace: true, set: [("v", "1"), ("z", "logout")])) == "done")
        #expect(verdict(try commit("*", data: [("a", "2")])) == "changed")
        #expect(verdict(try commit("", set: [("r", "1")])) == "changed")
        #expect(try pair.hash("k") == ["v": Array("1".utf8), "z": Array("logout".utf8)])
    }

    @Test("commit past its not-after changes nothing and says so")
    func commitPastNotAfter() throws {
        #expect(verdict(try commit("", expire: end, notAfter: String(later - 70_000), set: [("r", "1")])) == "late")
        #expect(try pair.integer("EXISTS", "k") == 0)
    }

    @Test("commit puts new fields in place of all, data too")
    func commitReplacesAll() throws {
        try create()
        _ = try commit("1", data: [("basket", "full")])
        #expect(verdict(try commit("1", expire: end, replace: true, set: [("v", "1"), ("z", "login")])) == "done")
        #expect(try pair.hash("k").keys.sorted() == ["v", "z"])
        #expect(try pair.integer("PTTL", "k") > 0)
    }

    @Test("commit that replaces all writes the data given with it, also where that is what stood there")
    func commitReplacesData() throws {
        try create()
        _ = try commit("1", data: [("a", "12")])
        _ = try commit("1", expire: end, replace: true, set: [("r", "2")], data: [("a", "12"), ("b", "3")])
        let stored = try pair.hash("k")
        let expected = ["r": "2", ".a": "12", ".b": "3", "k": "5"].mapValues { Array($0.utf8) }
        #expect(stored == expected)
    }

    @Test("commit counts what really changed and keeps the size of the data")
    func commitCountsChanges() throws {
        try create()
        #expect(detail(try commit("1", data: [("a", "12"), ("bc", "3")])) == .integer(2))
        #expect(try pair.hash("k")["k"] == Array("6".utf8))
        #expect(detail(try commit("1", data: [("a", "12"), ("bc", "3456")])) == .integer(1))
        #expect(try pair.hash("k")["k"] == Array("9".utf8))
        #expect(detail(try commit("1", data: [("a", ""), ("none", "")])) == .integer(1))
        #expect(try pair.hash("k")["k"] == Array("6".utf8))
        #expect(detail(try commit("1", data: [("bc", "")])) == .integer(1))
        #expect(try pair.hash("k")["k"] == Array("0".utf8))
        #expect(try pair.hash("k")[".a"] == nil)
    }

    @Test("commit refuses data past the limit, changes nothing then, and lets it shrink")
    func commitDataLimit() throws {
        try create()
        #expect(verdict(try commit("1", maxData: 10, data: [("a", "123456789")])) == "done")
        let large = try commit("1", maxData: 10, set: [("r", "2")], data: [("b", "1")])
        #expect(verdict(large) == "large" && detail(large) == .integer(12))
        #expect(try pair.hash("k")["r"] == Array("1".utf8) && (try pair.hash("k")[".b"]) == nil)
        // The limit was lowered meanwhile: smaller is allowed, equal too.
        #expect(verdict(try commit("1", maxData: 5, data: [("a", "12345678")])) == "done")
        #expect(verdict(try commit("1", maxData: 5, data: [("a", "87654321")])) == "done")
    }

    // MARK: touch.lua

    private func touch(_ interval: Int64, notAfter: String? = nil) throws -> String {
        verdict(try pair.script(SessionScripts.touch, key: "k", [notAfter ?? self.notAfter, String(interval)]))
    }

    @Test("touch records an access that is due, renews the TTL and moves nothing else")
    func touchRecords() throws {
        let now = try pair.time()
        _ = try commit("", expire: end, set: [("r", "1"), ("a", String(now - 5_000)), ("i", "30000"), ("e", end)])
        let before = try pair.hash("k")
        #expect(try touch(60_000) == "recent")
        #expect(try touch(60_000, notAfter: String(now - 1)) == "late")
        #expect(try pair.hash("k") == before)
        #expect(try touch(5_000) == "done")
        var after = try pair.hash("k")
        let access = Int64(String(decoding: after["a"] ?? [], as: UTF8.self)) ?? 0
        #expect(access >= now && access < now + 10_000)
        #expect(try pair.integer("PEXPIRETIME", "k") == access + 30_000)
        after["a"] = before["a"]
        #expect(after == before)
        #expect(try touch(5_000) == "recent")
    }

    @Test("S6: touch never passes the absolute end")
    func touchAndAbsoluteEnd() throws {
        let now = try pair.time()
        let near = String(now + 20_000)
        _ = try commit("", expire: near, set: [("r", "1"), ("a", String(now - 5_000)), ("i", "30000"), ("e", near)])
        #expect(try touch(1) == "done")
        #expect(try pair.integer("PEXPIRETIME", "k") == now + 20_000)
    }

    @Test("S6: touch brings nothing back: neither an absent session nor an ended one")
    func touchBringsNothingBack() throws {
        #expect(try touch(1) == "absent")
        #expect(try pair.integer("EXISTS", "k") == 0)
        _ = try commit("", expire: end, set: [("v", "1"), ("z", "logout")])
        #expect(try touch(1) == "absent")
        #expect(try pair.hash("k") == ["v": Array("1".utf8), "z": Array("logout".utf8)])
        #expect(try pair.integer("PEXPIRETIME", "k") == later + 60_000)
    }

    // MARK: index.lua

    private func index(_ member: String, _ end: Int64, notAfter: String? = nil) throws -> String {
        verdict(try pair.script(SessionScripts.index, key: "u", [notAfter ?? self.notAfter, member, String(end)]))
    }

    @Test("the index's TTL and a member's end only ever grow")
    func indexGrows() throws {
        #expect(try index("a", later) == "done")
        #expect(try pair.integer("PEXPIRETIME", "u") == later)
        #expect(try index("b", later + 9_000) == "done")
        #expect(try pair.integer("PEXPIRETIME", "u") == later + 9_000)
        #expect(try index("b", later + 4_000) == "done")
        #expect(try index("c", later - 1_000) == "done")
        #expect(try pair.integer("PEXPIRETIME", "u") == later + 9_000)
        #expect(try pair.redis("ZSCORE", "u", "b") == .bulk(Array(String(later + 9_000).utf8)))
        #expect(try pair.integer("ZCARD", "u") == 3)
    }

    @Test("the index loses members whose end has passed, and nothing when it is late")
    func indexLosesEnded() throws {
        let now = try pair.time()
        try pair.redis("ZADD", "u", String(now - 1), "old", String(later), "young")
        #expect(try index("x", later, notAfter: String(now - 1)) == "late")
        #expect(try pair.integer("ZCARD", "u") == 2)
        #expect(try index("x", later) == "done")
        #expect(
            try pair.redis("ZRANGE", "u", "0", "-1") == .array([.bulk(Array("x".utf8)), .bulk(Array("young".utf8))]))
        #expect(try pair.integer("PEXPIRETIME", "u") == later, "a key without a TTL gets one")
    }

    // MARK: mark.lua

    private func mark(_ name: String, lifetime: Int64 = 60_000, notAfter: String? = nil) throws -> String {
        verdict(
            try pair.script(
                SessionScripts.mark, key: "d", [notAfter ?? self.notAfter, name, "0.1.0 f00d", String(lifetime)]))
    }

    @Test("a mark says whether it stood there, and is kept for its lifetime")
    func marks() throws {
        let now = try pair.time()
        #expect(try mark("a") == "done")
        #expect(try mark("a") == "known")
        let text = String(decoding: try pair.hash("d")["a"] ?? [], as: UTF8.self)
        #expect(text.hasSuffix(" 0.1.0 f00d") && (Int64(text.prefix { $0 != " " }) ?? 0) >= now)
        #expect(try pair.integer("PEXPIRETIME", "d") >= now + 60_000)
        #expect(try mark("b", notAfter: String(now - 1)) == "late")
        #expect(try pair.hash("d").count == 1)
    }

    @Test("marks that nobody renewed leave, and so does what is none")
    func marksLeave() throws {
        let now = try pair.time()
        try pair.redis(
            "HSET", "d", "old", "\(now - 61_000) 0.1.0 f00d", "young", "\(now - 1_000) 0.1.0 f00d", "odd", "x")
        #expect(try mark("a") == "done")
        #expect(Set(try pair.hash("d").keys) == ["young", "a"])
    }
}
