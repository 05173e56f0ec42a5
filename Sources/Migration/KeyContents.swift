internal import RedisLink
internal import TokenCache
internal import UnixTime

/// All that a key holds, and how long it is to live.
struct KeyContents: Equatable {
    /// Field, value, …; score, member, …; the value. Always in the same order.
    let parts: [[UInt8]]
    /// More than 0.
    let timeToLive: Milliseconds

    /// Members of a sorted set that are read at once.
    static let page = 10_000
    /// Fields or members that are written at once.
    private static let pairs = 10_000
    /// What two readings of one end may differ by: a write and its way, and the clocks' own pace.
    static let tolerance: Milliseconds = 1_000

    /// - Parameters:
    ///   - timeToLive: the reply to PTTL.
    ///   - value: to the command of ``read``.
    /// - Returns: nil for a key that is not there any more, and for one that is somebody else's: of another type, or
    ///   without an end.
    init?(_ kind: StoredKey.Kind, timeToLive: RedisReply, value: RedisReply) {
        guard case .integer(let milliseconds) = timeToLive, milliseconds > 0 else { return nil }
        self.timeToLive = milliseconds
        switch (kind.type, value) {
        case (.text, .bulk(let text)): parts = [text]
        case (.hash, .array(let elements)):
            guard !elements.isEmpty, let pairs = Self.pairs(of: elements) else { return nil }
            parts = pairs.sorted { $0.0.lexicographicallyPrecedes($1.0) }.flatMap { [$0.0, $0.1] }
        case (.set, .array(let elements)):
            guard !elements.isEmpty, let pairs = Self.pairs(of: elements) else { return nil }
            parts = pairs.flatMap { [$0.1, $0.0] }
        default: return nil
        }
    }

    private static func pairs(of elements: RedisArray) -> [([UInt8], [UInt8])]? {
        guard elements.count.isMultiple(of: 2), let strings = elements.strings else { return nil }
        return stride(from: 0, to: elements.count, by: 2).map { (strings[$0], strings[$0 + 1]) }
    }

    /// The command that reads a key, of a sorted set one page.
    static func read(_ kind: StoredKey.Kind, _ key: [UInt8], from start: Int = 0) -> RedisCommand {
        switch kind.type {
        case .hash: RedisCommand("HGETALL", key, key: key)
        case .text: RedisCommand("GET", key, key: key)
        case .set: RedisCommand("ZRANGE", key, start, start + page - 1, "WITHSCORES", key: key)
        }
    }

    /// The arguments of `place.lua`, one list a call; of nothing the one that takes the key away.
    static func placing(_ contents: KeyContents?, _ kind: StoredKey.Kind, age: Milliseconds) -> [[[UInt8]]] {
        guard let contents, contents.timeToLive > age else { return [["0".redisArgument, "1".redisArgument]] }
        let starts = Array(stride(from: 0, to: contents.parts.count, by: 2 * pairs))
        return starts.map { start in
            let head = [
                (contents.timeToLive - age).redisArgument, (start == 0 ? 1 : 0).redisArgument,
                kind.type.rawValue.redisArgument,
            ]
            return head + contents.parts[start..<min(start + 2 * pairs, contents.parts.count)]
        }
    }

    /// Of a text that is one; 0 for all else.
    var number: Int64 { parts.first.flatMap { Int64(String(decoding: $0, as: UTF8.self)) } ?? 0 }

    var byteCount: Int { parts.reduce(0) { $0 + $1.count } }

    /// - Parameter later: how much later the other one was read.
    func isSame(as other: KeyContents, later: Milliseconds) -> Bool {
        let difference = timeToLive.subtractingReportingOverflow(other.timeToLive).partialValue &- later
        return parts == other.parts && (-Self.tolerance...Self.tolerance).contains(difference)
    }
}

extension StoredKey.Kind {
    /// Of the key in Redis, as `place.lua` calls it.
    enum ValueType: String { case hash, set, text }

    var type: ValueType {
        switch self {
        case .session, .numbers: .hash
        case .index: .set
        case .epoch, .captcha: .text
        }
    }
}
