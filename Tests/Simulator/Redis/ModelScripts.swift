import Tokens

/// What the scripts of the daemon mean, written once more: as `Sources/TokenCache/Scripts` says them in Lua.
enum ModelScripts {
    /// `EVALSHA digest count key… argument…`
    static func run(_ words: [[UInt8]], _ redis: ModelRedis) -> ModelReply {
        guard words.count >= 3, let count = number(words[1]), count == 1 else { return .error("ERR wrong arguments") }
        guard let script = redis.loaded[text(words[0])] else {
            return .error("NOSCRIPT No matching script. Please use EVAL.")
        }
        let call = Call(key: text(words[2]), arguments: Array(words.dropFirst(3)), redis: redis)
        if call.isLate { return .array([.bulk(bytes("late")), .integer(call.now)]) }
        switch script.name {
        case "commit", "store": return call.commit()
        case "touch": return call.touch()
        case "index": return call.index()
        case "note": return call.note()
        case "spend": return call.spend()
        case "beat": return call.beat()
        default: return .error("ERR the model does not know what \(script.name) means")
        }
    }

    /// One call of a script: `ARGV[1]` is `arguments[0]`.
    private struct Call {
        let key: String
        let arguments: [[UInt8]]
        let redis: ModelRedis
        let now: Int64

        init(key: String, arguments: [[UInt8]], redis: ModelRedis) {
            self.key = key
            self.arguments = arguments
            self.redis = redis
            now = redis.milliseconds
        }

        /// Every script but the beat begins with its not-after.
        var isLate: Bool {
            guard !key.utf8.contains(UInt8(ascii: "~")), !redis.bent.contains(.lateWritesAllowed) else { return false }
            return now > number(arguments[0]) ?? 0
        }

        private func answer(_ verdict: String, _ detail: ModelReply? = nil) -> ModelReply {
            .array([.bulk(bytes(verdict)), .integer(now)] + (detail.map { [$0] } ?? []))
        }

        private func isBent(_ rule: BentStore) -> Bool { redis.bent.contains(rule) }

        // MARK: commit.lua

        func commit() -> ModelReply {
            let entry = redis.find(key)
            guard isAsExpected(entry) else {
                if isBent(.loserIsToldDone) { return answer("done", .integer(0)) }
                return answer("changed", .array((entry?.fields ?? []).flatMap { [.bulk($0.name), .bulk($0.value)] }))
            }
            let (sets, deletes, data) = (count(5), count(6), count(7))
            let firstData = 8 + 2 * sets + deletes
            let replaces = arguments[3] == bytes("1")
            if replaces, isBent(.tombstoneSkipped) {
                redis.put(key, nil)
                return answer("done", .integer(0))
            }
            var next = replaces ? ModelEntry(value: .hash([])) : entry ?? ModelEntry(value: .hash([]))
            let oldSize = replaces ? 0 : number(entry?[bytes("k")]) ?? 0
            var size = oldSize
            var changes: [(field: [UInt8], value: [UInt8]?)] = []
            for at in stride(from: firstData, to: firstData + 2 * data, by: 2) {
                let (name, value) = (arguments[at], arguments[at + 1])
                let field = bytes(".") + name
                let old = replaces ? nil : entry?[field]
                if value.isEmpty {
                    guard let old else { continue }
                    changes.append((field, nil))
                    size -= Int64(name.count + old.count)
                } else if old != value {
                    changes.append((field, value))
                    size += Int64(value.count) - (old.map { Int64($0.count) } ?? -Int64(name.count))
                }
            }
            if size > oldSize, size > number(arguments[4]) ?? 0 { return answer("large", .integer(size)) }
            for at in stride(from: 8, to: 8 + 2 * sets, by: 2) { set(&next, arguments[at], arguments[at + 1]) }
            delete(&next, Array(arguments[8 + 2 * sets..<firstData]))
            for change in changes {
                if let value = change.value { next.setField(change.field, value) } else { next.remove([change.field]) }
            }
            if size != oldSize { next.setField(bytes("k"), decimal(size)) }
            var end = number(arguments[2])
            if isBent(.sessionWithoutEnd) { end = nil }
            if isBent(.writesMoveEnd), entry != nil, let absolute = number(next[bytes("e")]) {
                next.setField(bytes("e"), decimal(absolute + 1_000))
            }
            next.expireAt = end ?? (replaces ? nil : next.expireAt)
            if next != entry || sets > 0 || end != nil { redis.put(key, next.fields.isEmpty ? nil : next) }
            return answer("done", .integer(Int64(changes.count)))
        }

        private func count(_ at: Int) -> Int { Int(number(arguments[at]) ?? 0) }

        private func isAsExpected(_ entry: ModelEntry?) -> Bool {
            let expected = arguments[1]
            if expected.isEmpty { return entry == nil || isBent(.absenceUnchecked) }
            guard let revision = entry?[bytes("r")] else { return false }
            return expected == bytes("*") || revision == expected || isBent(.revisionUnchecked)
        }

        private func set(_ entry: inout ModelEntry, _ name: [UInt8], _ value: [UInt8]) {
            let field = text(name)
            if isBent(.memoDropped), ["l", "m", "y"].contains(field) { return }
            if isBent(.rememberedDropped), ["o", "w"].contains(field) { return }
            if isBent(.sealedGarbled), field == "s" {
                return _ = entry.setField(name, [UInt8](repeating: 0, count: value.count))
            }
            entry.setField(name, value)
        }

        private func delete(_ entry: inout ModelEntry, _ names: [[UInt8]]) {
            entry.remove(
                names.filter { name in
                    if isBent(.confirmationStays), name == bytes("c") { return false }
                    if isBent(.previousStays), ["p", "s", "n"].contains(text(name)) { return false }
                    return true
                })
        }

        // MARK: The others

        func touch() -> ModelReply {
            guard var entry = redis.find(key), let access = number(entry[bytes("a")]),
                let idle = number(entry[bytes("i")]), let absolute = number(entry[bytes("e")])
            else {
                if isBent(.touchCreates) { redis.put(key, redis.lastLiving(key)) }
                return answer("absent")
            }
            guard now - access >= number(arguments[1]) ?? 0 || isBent(.touchAgeUnchecked) else {
                return answer("recent")
            }
            entry.setField(bytes("a"), decimal(now))
            let end = isBent(.touchMovesEnd) ? absolute + idle : absolute
            if end != absolute { entry.setField(bytes("e"), decimal(end)) }
            entry.expireAt = min(now + idle, end)
            redis.put(key, entry)
            return answer("done")
        }

        func index() -> ModelReply {
            if isBent(.indexSkipped) { return answer("done") }
            let end = number(arguments[2]) ?? 0
            _ = ModelCommands.removeMembers(key, redis) { $0.score <= Double(now) }
            _ = ModelCommands.add(arguments[1], arguments[2], key, redis)
            if isBent(.indexWithoutEnd) { return answer("done") }
            let hasEnd = redis.find(key)?.expireAt != nil
            _ = ModelCommands.expire(key, at: end, onlyLater: hasEnd, redis)
            return answer("done")
        }

        func note() -> ModelReply {
            guard var entry = redis.find(key), entry[bytes("z")] != nil else { return answer("absent") }
            let (mark, marks) = (arguments[1], entry[bytes("o")] ?? [])
            for at in stride(from: 0, to: marks.count, by: 8) where Array(marks[at...].prefix(8)) == mark {
                return answer("done")
            }
            entry.setField(bytes("o"), Array((mark + marks).prefix(count(2))))
            redis.put(key, entry)
            return answer("done")
        }

        func spend() -> ModelReply {
            if case .string(let before)? = redis.find(key)?.value {
                return answer(before == arguments[1] ? "done" : "spent")
            }
            let end = now + (number(arguments[2]) ?? 0)
            redis.put(key, ModelEntry(value: .string(arguments[1]), expireAt: end))
            return answer("done")
        }

        /// The fleet's proof of life: one small key for every 200 ms, whoever comes first.
        func beat() -> ModelReply {
            let (named, present) = (number(arguments.first) ?? 0, now / 200)
            guard named == present || named == present - 1 || isBent(.anyBeatIsTaken) else { return answer("late") }
            guard redis.find(key) == nil || isBent(.beatIsWrittenAgain) else { return answer("known") }
            redis.put(key, ModelEntry(value: .string(bytes("1")), expireAt: now + 2_000))
            return answer("done")
        }
    }
}

extension ModelEntry {
    mutating func remove(_ names: [[UInt8]]) { value = .hash(fields.filter { !names.contains($0.name) }) }
}
