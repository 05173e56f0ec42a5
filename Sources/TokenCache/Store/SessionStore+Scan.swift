internal import RedisLink
internal import Tokens

extension SessionStore {
    /// A page of all keys of a kind, as SCAN goes: each that is there throughout is seen at least once, while the servers
    /// stay the same and no slot goes from one to another. One server is walked over after the other.
    func scan(_ query: ScanQuery, _ done: @escaping Completion<ScanPage>) {
        let servers = router.servers
        guard let place = query.place(among: servers.count) else {
            return later { [outage] in done(.failure(outage)) }
        }
        let start: [UInt8] =
            switch query.kind {
            case .sessions: keys.sessionPrefix
            case .indexes: keys.prefix + Array(KeyLayout.indexMark.utf8)
            }
        let words: [[UInt8]] = [
            Array("SCAN".utf8), place.cursor, Array("MATCH".utf8), KeyPattern.beginning(with: start),
            Array("COUNT".utf8),
            decimal(Int64(query.count)),
        ]
        servers[place.server].send(RedisCommand(words), repeatable: true) { result in
            done(
                result.mapToAvailable { reply in
                    guard case .array(let parts) = reply, parts.count == 2, case .bulk(let next) = parts[0],
                        case .array(let found) = parts[1]
                    else { throw ScriptReply.unexpected }
                    let names = found.compactMap { key -> ArraySlice<UInt8>? in
                        guard case .bulk(let key) = key, key.starts(with: start) else { return nil }
                        return key.dropFirst(start.count)
                    }
                    return ScanPage(names: names.map(Array.init), next: try place.next(next))
                })
        }
    }
}

/// A page of a walk over all keys of a kind.
struct ScanQuery {
    enum Kind { case sessions, indexes }

    let kind: Kind
    /// Redis's own; in a cluster with the number of the server in it.
    var cursor = ScanQuery.start
    /// About so many keys of the database are looked at.
    var count = 100

    static let start = [UInt8(ascii: "0")]

    /// Where a walk is: on which of the servers, and how far.
    struct Place {
        let server: Int
        let cursor: [UInt8]
        let servers: Int

        /// Servers of which a cursor can tell.
        private static let most: UInt64 = 1_024

        /// - Parameter next: what the server answered.
        func next(_ next: [UInt8]) throws -> [UInt8]? {
            guard servers > 1 else { return next == ScanQuery.start ? nil : next }
            if next == ScanQuery.start { return server + 1 < servers ? Array(String(server + 1).utf8) : nil }
            guard let number = UInt64(String(decoding: next, as: UTF8.self)), number < .max / Self.most else {
                throw ScriptReply.unexpected
            }
            return Array(String(number * Self.most + UInt64(server)).utf8)
        }

        fileprivate init?(_ text: [UInt8], servers: Int) {
            self.servers = servers
            guard servers > 1 else {
                guard servers == 1 else { return nil }
                (server, cursor) = (0, text)
                return
            }
            guard let number = UInt64(String(decoding: text, as: UTF8.self)) else { return nil }
            // There are fewer servers than there were: whoever needs all walks once more.
            server = min(Int(number % Self.most), servers - 1)
            cursor = Array(String(number / Self.most).utf8)
        }
    }

    /// Nil where there is no server.
    func place(among servers: Int) -> Place? { Place(cursor, servers: servers) }
}

struct ScanPage {
    /// What stands behind the prefix of the kind.
    var names: [[UInt8]]
    /// Where the walk goes on; nil at its end.
    var next: [UInt8]?
}
