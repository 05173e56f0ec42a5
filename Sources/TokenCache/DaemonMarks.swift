public import RedisLink
public import UnixTime

/// What a daemon says of itself to the others before the same Redis.
public struct DaemonMark: Equatable, Sendable {
    /// Host and socket: the same after a restart.
    public var name: String
    /// Of its key ring; empty where it has none.
    public var fingerprint: String
    public var version: String
    /// Since it was left.
    public var age: Seconds

    /// Past this age, seconds, nobody is behind a mark any more.
    public static let aliveFor: Seconds = 180

    /// Bytes of a name that are told.
    public static let longestName = 200

    public init(name: String, fingerprint: String, version: String, age: Seconds = 0) {
        self.name = String(decoding: name.utf8.prefix(Self.longestName), as: UTF8.self)
        self.fingerprint = fingerprint
        self.version = version
        self.age = age
    }

    /// What stands in Redis behind the time.
    var text: [UInt8] { Array("\(version) \(fingerprint)".utf8) }

    /// Reads `<Unix ms> <version> <fingerprint>`; nil for what no daemon of ours wrote.
    init?(name: [UInt8], text: [UInt8], now: UnixMilliseconds) {
        let words = String(decoding: text.prefix(128), as: UTF8.self).split(
            separator: " ", omittingEmptySubsequences: false)
        guard words.count == 3, let leftAt = Int64(words[0]).map(UnixMilliseconds.init),
            let name = String(validating: name, as: UTF8.self)
        else {
            return nil
        }
        self.init(
            name: name, fingerprint: String(words[2]), version: String(words[1]),
            age: max(0, now - leftAt) / 1_000)
    }
}

extension DaemonMark {
    /// Those of a hash of daemon by mark, as Redis answers it.
    /// - Parameter now: by the clock of the Redis that has them.
    public static func all(in pairs: RedisArray, now: UnixMilliseconds) -> [DaemonMark] {
        stride(from: 0, to: pairs.count - 1, by: 2).compactMap { at in
            guard case .bulk(let name) = pairs[at], case .bulk(let text) = pairs[at + 1] else { return nil }
            return DaemonMark(name: name, text: text, now: now)
        }
    }
}

/// What leaving a mark showed.
public struct DaemonMarks: Sendable {
    /// Of all daemons, this one's too.
    public var all: [DaemonMark]
    /// This one's stood there already.
    public var wasKnown: Bool
}

extension TokenService {
    /// How long a mark is kept that nobody renews.
    public static let markLifetime: Milliseconds = 86_400_000

    /// Which start of the server has the marks; nil where it is out of reach.
    public var markedRun: String? { store.serverRun(of: store.keys.marks) }

    /// Leaves this daemon's mark in Redis and reads all of them.
    public func writeMark(_ mark: DaemonMark, _ done: @escaping (Result<DaemonMarks, Unavailable>) -> Void) {
        store.write(mark, lifetime: Self.markLifetime, done)
    }
}

extension SessionStore {
    func write(_ mark: DaemonMark, lifetime: Milliseconds, _ done: @escaping Completion<DaemonMarks>) {
        guard let notAfter = notAfter(instant, keys.marks) else { return later { [outage] in done(.failure(outage)) } }
        run(
            SessionScripts.mark, key: keys.marks,
            arguments: [decimal(notAfter), Array(mark.name.utf8), mark.text, decimal(lifetime)], repeatable: true
        ) { result in
            done(
                result.flatMap { reply in
                    guard !reply.isLate else { return .failure(ScriptReply.late) }
                    guard case .array(let pairs) = reply.detail, pairs.count.isMultiple(of: 2) else {
                        return .failure(ScriptReply.unexpected)
                    }
                    let marks = DaemonMark.all(in: pairs, now: reply.serverTime)
                    return .success(DaemonMarks(all: marks, wasKnown: reply.verdict == "known"))
                })
        }
    }
}
