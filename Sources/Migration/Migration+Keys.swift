internal import EventLoop
internal import TokenCache
internal import TokenCacheServer
internal import UnixTime

/// What is done about keys: carried, and compared.
extension Migration {
    func carry(_ keys: [StoredKey]) throws(MigrationFault) {
        let readAt = MonotonicInstant.now()
        let contents = try source.read(keys)
        try target.write(keys, contents, readAt: readAt)
    }

    /// - Returns: how many keys were carried.
    func carryChanges() throws(MigrationFault) -> Int {
        let keys = changes.take().compactMap { StoredKey($0, prefix: source.place.prefix) }
        for part in keys.batches { try carry(part) }
        return keys.count
    }

    /// Compares all keys; what differs is carried once more, and what the target alone has is taken away.
    func compare(_ comparison: inout Comparison) throws(MigrationFault) {
        var result = comparison
        var seen = 0
        try source.walk { keys throws(MigrationFault) in
            try compare(keys, &result)
            seen += keys.count
            tell(.progress("\(seen) keys compared"))
        }
        try target.walk { keys throws(MigrationFault) in
            let strangers = try source.missing(keys)
            try target.write(strangers, strangers.map { _ in nil }, readAt: .now())
            result.strangers += Int64(strangers.count)
        }
        comparison = result
    }

    private func compare(_ keys: [StoredKey], _ comparison: inout Comparison) throws(MigrationFault) {
        var open = keys
        for attempt in 0..<4 {
            let readAt = MonotonicInstant.now()
            let originals = try source.read(open)
            let later = Milliseconds(readAt.duration(to: .now()) / .milliseconds(1))
            let copies = try target.read(open)
            var different: [(StoredKey, KeyContents?)] = []
            for (key, (original, copy)) in zip(open, zip(originals, copies)) {
                switch (original, copy) {
                case (let original?, let copy?) where original.isSame(as: copy, later: later):
                    try comparison.take(key, source: original, target: copy)
                case (nil, nil): break
                default: different.append((key, original))
                }
            }
            if different.isEmpty { return }
            guard attempt < 3 else { break }
            comparison.repaired += Int64(different.count)
            try target.write(different.map(\.0), different.map(\.1), readAt: readAt)
            open = different.map(\.0)
        }
        throw .refused(
            "\(open.count) keys differ however often they are copied: does somebody write? Then \(Self.again)")
    }

    static func seconds(since start: MonotonicInstant) -> String {
        let tenths = Int(start.duration(to: .now()) / .milliseconds(100))
        return "\(tenths / 10).\(tenths % 10) s"
    }
}
