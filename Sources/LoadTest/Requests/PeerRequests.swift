/// The same sessions, put into the peers and asked from them.
enum PeerRequests {
    static let script = String(decoding: PackageResources.validate_lua, as: UTF8.self)
    private static let keyPrefix = "v:"
    private static let batch = 500
    private static let hour = 3_600_000

    /// `GET` of the token itself.
    static func get(_ tokens: TokenPool) -> LaneSpec {
        LaneSpec(rows: tokens.requests("GET"), form: ReplyForm())
    }

    /// The validation script, by its digest: key and the 32 bytes to compare.
    static func evalsha(_ tokens: TokenPool, script sha: String, once: Bool = false) -> LaneSpec {
        let head = ["EVALSHA", sha, "1"].map { Array($0.utf8) }
        let rows = RESP.rows(tokens.count, tokenOffset: keyPrefix.utf8.count) { index in
            (head, key(tokens, index), [digest(tokens, index)])
        }
        return LaneSpec(
            rows: rows, order: once ? .once : .cyclic, form: ReplyForm(statuses: ["valid"], repeatsSid: true))
    }

    static func memcachedGet(_ tokens: TokenPool) -> LaneSpec {
        var bytes: [UInt8] = []
        for index in 0..<tokens.count { bytes += Array("get ".utf8) + tokens[index] + [0x0d, 0x0a] }
        let rows = RequestRows(bytes: bytes, stride: "get \r\n".utf8.count + TokenPool.length)
        return LaneSpec(rows: rows, form: ReplyForm(dialect: .memcached))
    }

    /// What the daemon is asked, to the server that does not look at it.
    static func fixed(_ tokens: TokenPool) -> LaneSpec {
        LaneSpec(rows: tokens.requests("TOKEN.VALIDATE"), form: ReplyForm(statuses: ["valid"]))
    }

    /// The value whose answer is as long as `answer`: `$231\r\n` and the end stand around it.
    static func value(asLongAs answer: [UInt8]) -> [UInt8] {
        [UInt8](repeating: UInt8(ascii: "v"), count: max(1, answer.count - 8))
    }

    /// Puts a value under each token.
    static func fillStrings(_ tokens: TokenPool, value: [UInt8], into control: ControlConnection) throws(LoadTestError)
    {
        try fill(tokens.count, control) { [Array("SET".utf8), Array(tokens[$0]), value] }
    }

    /// Puts a record for each token, which the script accepts for a day.
    static func fillRecords(_ tokens: TokenPool, into control: ControlConnection) throws(LoadTestError) {
        guard case .list(let time) = try control.demand("TIME"), let seconds = time.first?.string.flatMap(Int.init)
        else { throw .refused("Redis does not tell the time") }
        let now = seconds * 1_000
        let fields: [(String, Int)] = [("a", now), ("i", 2 * hour), ("e", now + 24 * hour), ("c", now), ("g", 1)]
        let tail = fields.flatMap { [Array($0.0.utf8), Array("\($0.1)".utf8)] } + [Array("s".utf8), []]
        try fill(tokens.count, control) { index in
            [Array("HSET".utf8), key(tokens, index), Array("d".utf8), digest(tokens, index)] + tail
        }
    }

    static func fillMemcached(
        _ tokens: TokenPool, value: [UInt8], into control: ControlConnection
    ) throws(LoadTestError) {
        for index in 0..<tokens.count {
            try control.send(
                Array("set ".utf8) + tokens[index] + Array(" 0 0 \(value.count)\r\n".utf8) + value + [0x0d, 0x0a])
            guard try control.line() == Array("STORED".utf8) else { throw .refused("memcached does not store") }
        }
    }

    private static func fill(
        _ count: Int, _ control: ControlConnection, command: (Int) -> [[UInt8]]
    ) throws(LoadTestError) {
        for start in stride(from: 0, to: count, by: batch) {
            try Interruption.check()
            let end = min(count, start + batch)
            try control.send((start..<end).flatMap { RESP.command(command($0)) })
            for _ in start..<end {
                if case .error(let text) = try control.reply() { throw .refused("Redis: \(text)") }
            }
        }
    }

    private static func key(_ tokens: TokenPool, _ index: Int) -> [UInt8] {
        Array(keyPrefix.utf8) + tokens[index].prefix(TokenPool.sidLength)
    }

    /// Any 32 bytes will do for a digest: the script compares, it does not compute.
    private static func digest(_ tokens: TokenPool, _ index: Int) -> [UInt8] { Array(tokens[index].suffix(32)) }
}
