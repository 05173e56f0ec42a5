import SeededRandom
import TestSupport
import Testing

@testable import RedisLink
@testable import TokenCache

/// The model of Redis is held to a real one: the same commands, the same replies, the same keys told.
@Suite("The model of Redis against Redis")
struct ModelTests {
    private typealias Command = (real: [[UInt8]], model: [[UInt8]])

    /// One stream of commands, made of a seed.
    private struct Stream {
        var random: SeededRandom
        let bench: ModelBench
        /// Name → digest, of the real one and of the model.
        var digests: [String: (real: [UInt8], model: [UInt8])] = [:]

        mutating func pick<Element>(_ elements: [Element]) -> Element {
            elements[Int.random(in: 0..<elements.count, using: &random)]
        }
        mutating func number(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &random) }

        func both(_ words: [String]) -> Command {
            let command = words.map { Array($0.utf8) }
            return (command, command)
        }

        func script(_ name: String, _ key: String, _ arguments: [String]) -> Command {
            script(name, keys: [key], arguments)
        }

        func script(_ name: String, keys: [String], _ arguments: [String]) -> Command {
            let rest = ([String(keys.count)] + keys + arguments).map { Array($0.utf8) }
            let digest = digests[name] ?? ([], [])
            return ([bytes("EVALSHA"), digest.real] + rest, [bytes("EVALSHA"), digest.model] + rest)
        }

        /// A key of few, a time that has passed or will not in this test, or one that comes soon.
        mutating func session() -> String { "tc:s:\(number(0...4))" }
        mutating func notAfter() -> String {
            String(bench.start + pick([600_000, 600_000, 600_000, 600_000, -60_000]))
        }
        mutating func end() -> String { String(bench.start + pick([90_000_000, 800_000, 700_000, 8_000])) }

        mutating func next() -> Command {
            switch number(0...19) {
            case 0...5: commit()
            case 6: data()
            case 7, 8: script("touch", session(), [notAfter(), pick(["-9000", "100000000"])])
            case 9: number(0...1) == 0 ? enter() : admit()
            case 10: tidy()
            case 11 where number(0...1) == 0:
                pick([
                    script(
                        "epoch", "tc:s:~epoch",
                        [notAfter(), "900000", pick(["0", "3", String(bench.start + 5_000)]), pick(["", "1"])]),
                    script("sweep", session(), [notAfter(), pick(["1", "2", "3"]), "800000", "2"]),
                ])
            case 11: script("spend", "tc:x:\(number(0...2))", [notAfter(), "n\(number(0...2))", "800000"])
            case 12: beat()
            case 13: both(["HGETALL", session()])
            case 14:
                both(
                    pick([
                        ["ZRANGE", "tc:u:1", "0", "9", "REV"],
                        ["ZRANGE", "tc:u:1", "-inf", "+inf", "BYSCORE", "LIMIT", "0", "3", "WITHSCORES"],
                        ["ZRANGE", "tc:u:1", "-inf", "+inf", "BYSCORE", "LIMIT", "2", "5", "WITHSCORES"],
                    ]))
            case 15: both(["ZREM", "tc:u:1", "s\(number(0...4))", "s9"])
            case 16: both(pick([["DEL", session()], ["EXISTS", session()], ["DBSIZE"]]))
            case 17:
                both(["HSET", session(), "r", String(number(1...4)), "i", "\(ModelBench.idle)", "e", end(), "a", "5"])
            case 18:
                both(
                    pick([
                        ["HMGET", session(), "r", "x", "a"], ["HDEL", session(), "a"], ["PEXPIRETIME", session()],
                        ["HGET", session(), "r"],
                    ]))
            default:
                both(
                    pick([
                        ["PEXPIREAT", session(), end()], ["SET", "tc:s:x", "1", "PX", "700000", "NX"],
                        ["GET", "tc:s:x"],
                    ]))
            }
        }

        /// Ends that come late enough to be condemned, and such as do not.
        mutating func indexEnd() -> String { String(bench.start + pick([900_000, 800_000, 90_000, -200_000])) }

        mutating func enter() -> Command {
            let gone = number(0...2) == 0 ? ["s\(number(0...4))", indexEnd()] : []
            return script(
                "enter", keys: ["tc:u:1", "tc:n:1"],
                [
                    notAfter(), "s\(number(0...4))", indexEnd(), pick(["1", "0", ""]), pick(["", "", "3"]),
                    pick(["-9000", "90000"]),
                ] + gone)
        }

        mutating func admit() -> Command {
            let basis = pick(["", "", "1", "2"])
            let data = (0..<number(0...1)).map { index in ["f\(index)", "v"] }
            return script(
                "admit", keys: [session(), "tc:u:1", "tc:n:1"],
                [
                    notAfter(), basis, end(), "", pick(["1000", "1"]), "1", "1", String(data.count), "0", "", "r",
                    String(number(1...4)), "q",
                ] + data.flatMap { $0 } + ["s\(number(0...4))", indexEnd(), pick(["1", "0", ""])])
        }

        mutating func tidy() -> Command {
            let findings = (0..<number(1...3)).flatMap { _ in
                ["s\(number(0...4))", indexEnd(), pick(["gone", "gone", "ended", indexEnd()])]
            }
            return script("tidy", keys: ["tc:u:1", "tc:n:1"], [notAfter()] + findings)
        }

        /// Data of a session as SET with IF, INCR and GETDEL write it.
        mutating func data() -> Command {
            let how = pick(["", "add", "take"])
            let numbers = ["1", "-1", "99999999999", String(Int64.max)]
            let fields =
                switch how {
                case "add": [["f\(number(0...2))", pick(numbers)]]
                case "take": [["f1", ""], ["f0", ""]]
                default: [["f\(number(0...2))", pick(["1", "9007199254740993", "v"])]]
                }
            let conditions = how == "" ? (0..<number(0...2)).map { ["f\($0)", pick(["", "1", "v"])] } : []
            return script(
                pick(["commit", "store"]), session(),
                [
                    notAfter(), pick(["*", "1", "2"]), "", "", pick(["1000", "9"]), "0", "0", String(fields.count),
                    String(conditions.count), how,
                ] + (fields + conditions).flatMap { $0 })
        }

        mutating func beat() -> Command {
            let passed = Int64((bench.model.microseconds / 1_000 - bench.start) / 200)
            let named = (bench.start / 200) + passed + pick([0, 0, 0, 9, -9])
            return script("beat", "tc:s:~\(named)", [String(named)])
        }

        mutating func commit() -> Command {
            let sets = (0..<number(0...3)).map { _ in [pick(["r", "d", "c", "p", "t"]), String(number(1...4))] }
            let deletes = (0..<number(0...1)).map { _ in pick(["c", "p", "q"]) }
            let data = (0..<number(0...2)).map { index in ["f\(index)", pick(["", "v", "longer", "v"])] }
            let basis = pick(["", "*", "1", "2", "3", "4"])
            let replaces = pick(["", "", "", "1"])
            // Redis keeps no hash without fields, and would then have nothing to put an end to.
            let fields = sets.isEmpty || replaces == "1" ? sets + [["r", String(number(1...4))]] : sets
            return script(
                pick(["commit", "store"]), session(),
                [
                    notAfter(), basis, pick([end(), end(), ""]), replaces, pick(["1000", "9"]), String(fields.count),
                    String(deletes.count), String(data.count), "0", "",
                ] + fields.flatMap { $0 } + deletes + data.flatMap { $0 })
        }
    }

    private func load(_ pair: ModelBench.Pair, _ bench: ModelBench) throws -> [String: (real: [UInt8], model: [UInt8])]
    {
        var digests: [String: (real: [UInt8], model: [UInt8])] = [:]
        for script in TokenService.scripts + [RedisNode.beatScript, ReplicaWait.script] {
            let command = [bytes("SCRIPT"), bytes("LOAD"), script.source]
            let (real, model) = try pair.send([(command, command)])
            digests[script.name] = (bytes(String(real[0].dropFirst())), bytes(String(model[0].dropFirst())))
        }
        return digests
    }

    private func feeds(_ bench: ModelBench) throws -> [ModelBench.Pair] {
        let newer = try bench.connect()
        // What a server says of itself differs; that it answers, and in which form, does not.
        let hello = try newer.call("HELLO", "3")
        #expect(hello.real[0].hasPrefix("%[") && hello.model[0].hasPrefix("~["))
        let information = try newer.call("INFO", "server")
        #expect(information.real == information.model)
        for words in [["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "tc:s:"], ["SUBSCRIBE", "tc:none"], ["PING"]] {
            let command = words.map { bytes($0) }
            let (real, model) = try newer.send([(command, command)])
            #expect(real == model)
        }
        let older = try bench.connect()
        let (real, model) = try older.call("CLIENT", "ID")
        func track(_ id: String) -> [[UInt8]] {
            ["CLIENT", "TRACKING", "ON", "REDIRECT", String(id.dropFirst()), "BCAST", "PREFIX", "tc:s:"].map {
                bytes($0)
            }
        }
        let tracked = try older.send([(track(real[0]), track(model[0]))])
        #expect(tracked.real == tracked.model)
        for words in [["SUBSCRIBE", "__redis__:invalidate"], ["PING"], ["GET", "x"]] {
            let command = words.map { bytes($0) }
            let (real, model) = try older.send([(command, command)])
            #expect(real == model)
        }
        return [newer, older]
    }

    private func keys(in told: [String]) -> [String] {
        told.flatMap { $0.split { " []".contains($0) } }.filter { $0.hasPrefix("$tc:s:") }.map(String.init).sorted()
    }

    @Test("the model answers and tells as Redis does", arguments: 1...6)
    func answersAsRedis(seed: UInt64) async throws {
        let bench = try ModelBench(seed: seed)
        let data = try bench.connect()
        var stream = Stream(random: SeededRandom(seed: seed), bench: bench)
        stream.digests = try load(data, bench)
        let feeds = try feeds(bench)
        var sent = 0
        for _ in 0..<60 {
            let batch = (0..<stream.number(1...4)).map { _ in stream.next() }
            sent += batch.count
            let (real, model) = try data.send(batch)
            #expect(real == model, "seed \(seed): \(batch.map { $0.model.map { text($0) } })")
            if real != model { return }
        }
        for feed in feeds {
            let told = try feed.takeTold()
            #expect(told.real == told.model && told.real.count > 10, "seed \(seed)")
        }
        // What runs out is told, in whatever order.
        try await bench.pass(until: bench.start + 8_400)
        for feed in feeds {
            let told = try feed.takeTold()
            #expect(keys(in: told.real) == keys(in: told.model), "seed \(seed)")
        }
        let flushed = try data.call("FLUSHALL")
        #expect(flushed.real == flushed.model)
        for feed in feeds {
            let told = try feed.takeTold()
            #expect(told.real == told.model && told.real.count == 1)
        }
    }

    @Test("the model refuses as Redis does: full, without replicas, a replica, without its scripts")
    func refusesAsRedis() throws {
        let bench = try ModelBench(seed: 9)
        let data = try bench.connect()
        var stream = Stream(random: SeededRandom(seed: 9), bench: bench)
        stream.digests = try load(data, bench)
        let notAfter = String(bench.start + 60_000)
        func compare(_ what: String) throws {
            let commands: [Command] =
                [
                    stream.script("commit", "tc:s:1", [notAfter, "", "", "", "9", "1", "0", "0", "0", "", "r", "1"]),
                    stream.script("store", "tc:s:2", [notAfter, "", "", "", "9", "1", "0", "0", "0", "", "r", "1"]),
                    stream.script("touch", "tc:s:1", [notAfter, "-9000"]),
                    stream.script(
                        "enter", keys: ["tc:u:1", "tc:n:1"],
                        [notAfter, "s", String(bench.start + 900_000), "1", "", "1000"]),
                    stream.script(
                        "admit", keys: ["tc:s:3", "tc:u:3", "tc:n:3"],
                        [
                            notAfter, "", "", "", "9", "1", "0", "0", "0", "", "r", "1", "s",
                            String(bench.start + 900_000), "1",
                        ]),
                    stream.script(
                        "tidy", keys: ["tc:u:1", "tc:n:1"],
                        [notAfter, "s", String(bench.start + 900_000), "gone"]),
                    stream.script("beat", "tc:s:~7", ["7"]), stream.script("wait", "tc:w:7", []),
                ]
                + [["HGETALL", "tc:s:1"], ["SET", "a", "b"], ["ZREM", "tc:u:1", "s"], ["PING"], ["GET", "a"]]
                .map { stream.both($0) }
            let (real, model) = try data.send(commands)
            #expect(real == model, "\(what)")
        }
        func configure(_ words: String...) throws { _ = try data.real.call(words) }
        try compare("healthy")
        try configure("CONFIG", "SET", "maxmemory", "1")
        bench.model.faults.isFull = true
        try compare("full")
        try configure("CONFIG", "SET", "maxmemory", "0")
        bench.model.faults.isFull = false
        try configure("CONFIG", "SET", "min-replicas-to-write", "1")
        bench.model.faults.lacksReplicas = true
        try compare("without replicas")
        try configure("CONFIG", "SET", "min-replicas-to-write", "0")
        bench.model.faults.lacksReplicas = false
        try configure("REPLICAOF", "127.0.0.1", "1")
        bench.model.faults.role = .slave
        try compare("a replica")
        try configure("REPLICAOF", "NO", "ONE")
        bench.model.faults.role = .master
        try configure("SCRIPT", "FLUSH")
        bench.model.loaded = [:]
        try compare("without its scripts")
    }
}
