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
        set: [(String, String)] = [], delete: [String] = [], data: [(String, String)] = [],
        if conditions: [(String, String)] = [], how: String = ""
    ) throws -> RedisReply {
        let counts = [set.count, delete.count, data.count, conditions.count].map(String.init) + [how]
        let head = [notAfter ?? self.notAfter, basis, expire ?? "", replace ? "1" : "", String(maxData)] + counts
        return try pair.script(
            SessionScripts.commit, key: "k",
            head + set.flatMap { [$0.0, $0.1] } + delete + (data + conditions).flatMap { [$0.0, $0.1] })
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

    @Test("commit with conditions changes nothing unless each holds, and tells the fields as they are")
    func commitConditions() throws {
        try create()
        _ = try commit("1", data: [("a", "1"), ("b", "2")])
        let before = try pair.hash("k")
        for wrong in [[("a", "2")], [("a", "1"), ("b", "")], [("a", "1"), ("none", "1")], [("a", "")]] {
            let reply = try commit("*", data: [("a", "9"), ("c", "9")], if: wrong)
            #expect(verdict(reply) == "conflict", "\(wrong)")
            let asked = wrong.map(\.0).flatMap { name in
                before["." + name].map { [RedisReply.bulk(Array(name.utf8)), .bulk($0)] } ?? []
            }
            #expect(detail(reply) == .array(RedisArray(asked)))
            #expect(try pair.hash("k") == before)
        }
        #expect(detail(try commit("*", data: [("a", "9")], if: [("a", "1"), ("none", "")])) == .integer(1))
        #expect(try pair.hash("k")[".a"] == Array("9".utf8))
        #expect(verdict(try commit("7", data: [("a", "9")], if: [("a", "1")])) == "changed")
    }

    private func add(_ number: String, maxData: Int = 1_000) throws -> RedisReply {
        try commit("*", maxData: maxData, data: [("n", number)], how: "add")
    }

    @Test(
        "commit adds exactly, in 64 bits",
        arguments: [
            (nil, "1", "1"), (nil, "-9223372036854775808", "-9223372036854775808"), ("0", "-1", "-1"),
            ("9007199254740992", "1", "9007199254740993"), ("9007199254740993", "2", "9007199254740995"),
            ("9223372036854775806", "1", "9223372036854775807"), ("-9223372036854775807", "-1", "-9223372036854775808"),
            ("9223372036854775807", "-9223372036854775808", "-1"),
        ] as [(String?, String, String)])
    func commitAdds(_ old: String?, _ number: String, _ sum: String) throws {
        try create()
        if let old { _ = try commit("1", data: [("n", old)]) }
        let reply = try add(number)
        #expect(verdict(reply) == "done" && detail(reply) == .bulk(Array(sum.utf8)))
        let stored = try pair.hash("k")
        #expect(stored[".n"] == Array(sum.utf8) && stored["k"] == Array("\(sum.utf8.count + 1)".utf8))
    }

    @Test(
        "commit adds nothing to what is no integer of 64 bits, nor past its ends",
        arguments: [
            ("9223372036854775807", "1"), ("-9223372036854775808", "-1"), ("9223372036854775808", "1"), (" 1", "1"),
            ("1 ", "1"), ("+1", "1"), ("01", "1"), ("-0", "1"), ("1.0", "1"), ("x", "1"), ("1", "9223372036854775807"),
        ])
    func commitAddsNothing(_ old: String, _ number: String) throws {
        try create()
        _ = try commit("1", data: [("n", old)])
        let before = try pair.hash("k")
        #expect(verdict(try add(number)) == "number")
        #expect(try pair.hash("k") == before)
    }

    @Test("commit that adds counts the size, and puts back what would be too large")
    func commitAddsWithinLimit() throws {
        try create()
        _ = try commit("1", data: [("n", "9")])
        let before = try pair.hash("k")
        let large = try add("1", maxData: 2)
        #expect(verdict(large) == "large" && detail(large) == .integer(3))
        #expect(try pair.hash("k") == before)
        #expect(verdict(try add("1", maxData: 3)) == "done")
        #expect(verdict(try add("-10", maxData: 2)) == "done", "smaller is allowed")
        #expect(verdict(try add("1", maxData: 2)) == "done", "equal too")
        _ = try commit("1", data: [("n", "")])
        #expect(verdict(try add("1", maxData: 1)) == "large")
        #expect(try pair.hash("k")[".n"] == nil && (try pair.hash("k")["k"]) == Array("0".utf8))
    }

    @Test("commit that takes tells what stood there, in the order asked, and it is gone")
    func commitTakes() throws {
        try create()
        _ = try commit("1", data: [("a", "1"), ("b", "2"), ("c", "3")])
        let taken = try commit("*", data: [("c", ""), ("none", ""), ("a", "")], how: "take")
        #expect(detail(taken) == .array(RedisArray(["c", "3", "a", "1"].map { .bulk(Array($0.utf8)) })))
        #expect(detail(try commit("*", data: [("c", ""), ("a", "")], how: "take")) == .array([]))
        let stored = try pair.hash("k")
        #expect(stored[".b"] == Array("2".utf8) && stored[".a"] == nil && stored["k"] == Array("2".utf8))
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

    // MARK: enter.lua, tidy.lua

    private func enter(
        _ member: String, _ end: Int64, isLogin: Bool = true, limit: Int? = nil, gone: [String] = [],
        notAfter: String? = nil
    ) throws -> String {
        verdict(
            try pair.script(
                SessionScripts.enter, keys: ["u", "n"],
                [
                    notAfter ?? self.notAfter, member, String(end), isLogin ? "1" : "", limit.map { String($0) } ?? "",
                    "1000",
                ] + gone))
    }

    /// `admit.lua`: a session is created in its place of the index.
    private func admit(_ member: String, _ login: String, basis: String = "", maxData: Int = 1_000) throws -> RedisReply
    {
        try pair.script(
            SessionScripts.admit, keys: ["k", "u", "n"],
            [
                notAfter, basis, end, "", String(maxData), "2", "1", "1", "0", "", "r", "1", "N", "7", "q", "cart", "x",
                member, String(later), login,
            ])
    }

    @Test("a session and its place in the index are written at one moment, with the number of a login")
    func admits() throws {
        func number() throws -> [UInt8]? { try pair.hash("n")["s"] }
        #expect(verdict(try admit("s", "0")) == "done")
        #expect(try pair.hash("k")["N"] == Array("7".utf8), "nobody keeps a limit: the fields stand as they were sent")
        #expect(try pair.hash("k")[".cart"] == [0x78] && number() == nil && score("s") == String(later))
        try pair.redis("DEL", "k")

        guard case .array(let parts) = try admit("s", "1"), parts.count == 4, case .array(let place) = parts[3] else {
            Issue.record("a reply of another shape")
            return
        }
        #expect(place.count == 1)
        let given = try #require(try number())
        #expect(place[0] == .bulk(given))
        #expect(try pair.hash("k")["N"] == given && pair.hash("k")[".cart"] == [0x78])
        #expect(try pair.integer("PEXPIRETIME", "k") == later + 60_000)

        // Another came first: it is told, and the place stays, as what stands there may have it.
        let lost = try admit("other", "1", basis: "9")
        #expect(verdict(lost) == "changed")
        #expect(try pair.hash("k")["N"] == given && score("other") == String(later))
        try pair.redis("DEL", "k")
        #expect(verdict(try admit("s", "1", maxData: 2)) == "large")
        #expect(try pair.integer("EXISTS", "k") == 0)
    }

    @Test("too late, neither the session nor its place is written")
    func admitsInTime() throws {
        let past = String(try pair.time() - 1)
        let reply = try pair.script(
            SessionScripts.admit, keys: ["k", "u", "n"],
            [past, "", end, "", "9", "1", "0", "0", "0", "", "r", "1", "s", String(later), "1"])
        #expect(verdict(reply) == "late")
        for key in ["k", "u", "n"] { #expect(try pair.integer("EXISTS", key) == 0) }
    }

    private func tidy(_ findings: String..., notAfter: String? = nil) throws -> RedisReply? {
        let reply = try pair.script(SessionScripts.tidy, keys: ["u", "n"], [notAfter ?? self.notAfter] + findings)
        guard case .array(let parts) = reply, parts.count > 2 else { return nil }
        return parts[2]
    }

    private func score(_ member: String) throws -> String? {
        guard case .bulk(let text) = try pair.redis("ZSCORE", "u", member) else { return nil }
        return String(decoding: text, as: UTF8.self)
    }

    @Test("the index's TTL and a member's end only ever grow; it and the numbers live two minutes longer")
    func indexGrows() throws {
        #expect(try enter("a", later) == "done")
        #expect(try pair.integer("PEXPIRETIME", "u") == later + 120_000)
        #expect(try enter("b", later + 9_000) == "done")
        #expect(try enter("b", later + 4_000) == "done")
        #expect(try enter("c", later - 1_000) == "done")
        for key in ["u", "n"] { #expect(try pair.integer("PEXPIRETIME", key) == later + 129_000) }
        #expect(try score("b") == String(later + 9_000))
        #expect(try pair.integer("ZCARD", "u") == 3)
    }

    @Test("entering takes nobody out, and does nothing when it is late")
    func enteringTakesNobodyOut() throws {
        let now = try pair.time()
        try pair.redis("ZADD", "u", String(now - 900_000), "old", String(later), "young")
        #expect(try enter("x", later, notAfter: String(now - 1)) == "late")
        #expect(try pair.integer("ZCARD", "u") == 2)
        #expect(try enter("x", later) == "done")
        #expect(try pair.integer("ZCARD", "u") == 3)
        #expect(try pair.integer("PEXPIRETIME", "u") == later + 120_000, "a key without a TTL gets one")
    }

    @Test("logins are numbered in the order of their entry, also where Redis's clock went back")
    func loginNumbers() throws {
        func number(_ member: String) throws -> Int64 {
            Int64(String(decoding: try pair.hash("n")[member] ?? [], as: UTF8.self)) ?? 0
        }
        let now = try pair.time()
        _ = try enter("a", later)
        _ = try enter("b", later)
        #expect(try number("a") >= now)
        #expect(try number("b") > number("a"))
        _ = try enter("c", later, isLogin: false)
        #expect(try number("c") == 0, "no login")
        _ = try enter("a", later)
        #expect(try number("a") > number("b"), "who logs in again is the latest")
        try pair.redis("HSET", "n", "#", String(now + 9_000_000))
        _ = try enter("d", later)
        #expect(try number("d") == now + 9_000_001)
        let other = try pair.script(
            SessionScripts.enter, keys: ["u", "n"], [notAfter, "e", String(later), "0", "", "1000"])
        #expect(verdict(other) == "done")
        #expect(try number("e") == now + 9_000_002, "numbered with the others")
        _ = try pair.script(SessionScripts.enter, keys: ["u2", "n2"], [notAfter, "e", String(later), "0", "", "1000"])
        #expect(try pair.integer("EXISTS", "n2") == 0, "nobody keeps a limit")
    }

    @Test("a limit counts the places, but not those of members that were found gone and entered long ago")
    func places() throws {
        _ = try enter("a", later)
        _ = try enter("b", later)
        #expect(try enter("c", later, limit: 2) == "full")
        #expect(try pair.hash("n")["c"] == nil && score("c") == nil, "nothing was changed")
        #expect(try enter("a", later, limit: 1) == "done", "it has its place")
        #expect(try enter("c", later, limit: 2, gone: ["b", String(later)]) == "full", "it may still be written")
        try pair.redis("HSET", "n", "b", String(try pair.time() - 1_500))
        #expect(try enter("c", later, limit: 2, gone: ["b", String(later - 1)]) == "full", "it was entered again")
        #expect(try enter("c", later, limit: 2, gone: ["b", String(later)]) == "done")
    }

    @Test("a member without a session is condemned first, and taken out two minutes later")
    func condemned() throws {
        _ = try enter("a", later + 900_000)
        _ = try enter("b", later + 900_000)
        #expect(try tidy("a", String(later), "gone") == .integer(0))
        #expect(try score("a") == String(later + 900_000), "the score is not the one that was read")
        let now = try pair.time()
        #expect(try tidy("a", String(later + 900_000), "gone") == .integer(0))
        let condemned = try #require(try score("a"))
        #expect(condemned.hasSuffix(".5"))
        let until = try #require(Double(condemned))
        #expect(until >= Double(now + 120_000) && until < Double(now + 125_000))
        #expect(try tidy("a", condemned, "gone") == .integer(0), "its time has not come")
        #expect(try score("a") == condemned)
        try pair.redis("ZADD", "u", "\(now - 1).5", "a")
        #expect(try tidy("a", "\(now - 1).5", "gone", "b", String(later + 900_000), "ended") == .integer(2))
        #expect(try pair.integer("EXISTS", "u", "n") == 0, "nothing is left")
    }

    @Test("a member whose absolute end has passed is taken out two minutes after it: clocks differ")
    func passedEnd() throws {
        let now = try pair.time()
        try pair.redis("ZADD", "u", String(now - 60_000), "a", String(now - 121_000), "b", String(later), "c")
        #expect(try tidy("a", String(now - 60_000), "gone", "b", String(now - 121_000), "gone") == .integer(1))
        #expect(try score("a") == String(now - 60_000))
    }

    @Test("a living session keeps its place, and the index lives as long")
    func livingKeepsItsPlace() throws {
        _ = try enter("a", later)
        let now = try pair.time()
        try pair.redis("ZADD", "u", "\(now + 1_000).5", "a")
        #expect(try tidy("a", "\(now + 1_000).5", String(later + 5_000)) == .integer(0))
        #expect(try score("a") == String(later + 5_000))
        #expect(try pair.integer("PEXPIRETIME", "u") == later + 125_000)
        #expect(try tidy("a", String(later + 5_000), String(later)) == .integer(0))
        #expect(try score("a") == String(later + 5_000), "never back")
        #expect(try tidy("a", String(later + 5_000), "gone", notAfter: String(now - 1)) == nil, "late")
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
