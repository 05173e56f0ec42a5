import Tokens

/// What the scripts of the daemon mean, written once more: as `Sources/TokenCache/Scripts` says them in Lua.
enum ModelScripts {
    /// `EVALSHA digest count key… argument…`
    static func run(_ words: [[UInt8]], _ redis: ModelRedis) -> ModelReply {
        guard words.count >= 3, let count = number(words[1]).map(Int.init), (1...3).contains(count),
            words.count >= 2 + count
        else { return .error("ERR wrong arguments") }
        guard let script = redis.loaded[text(words[0])] else {
            return .error("NOSCRIPT No matching script. Please use EVAL.")
        }
        let call = Call(
            keys: words[2..<2 + count].map(text), arguments: Array(words.dropFirst(2 + count)), redis: redis)
        if script.name != "beat", script.name != "wait", call.isLate {
            return .array([.bulk(bytes("late")), .integer(call.now)])
        }
        switch script.name {
        case "commit", "store": return call.commit()
        case "touch": return call.touch()
        case "enter": return call.enter()
        case "admit": return call.admit()
        case "tidy": return call.tidy()
        case "note": return call.note()
        case "spend": return call.spend()
        case "epoch": return call.epoch()
        case "sweep": return call.sweep()
        case "beat": return call.beat()
        case "wait": return call.wait()
        default: return .error("ERR the model does not know what \(script.name) means")
        }
    }

    /// Whether it is an INCR, a GETDEL or a SET with IF.
    static func isSentOnce(_ words: [[UInt8]]) -> Bool {
        guard words.count > 13, text(words[0]) == "EVALSHA", words[2] == bytes("1") else { return false }
        return !words[13].isEmpty || words[12] != bytes("0")
    }

    /// One call of a script: `ARGV[1]` is `arguments[0]`.
    private struct Call {
        let keys: [String]
        let key: String
        let arguments: [[UInt8]]
        let redis: ModelRedis
        let now: Int64

        init(keys: [String], arguments: [[UInt8]], redis: ModelRedis) {
            self.keys = keys
            key = keys[0]
            self.arguments = arguments
            self.redis = redis
            now = redis.milliseconds
        }

        /// Every script of a request begins with its not-after.
        var isLate: Bool {
            guard !redis.bent.contains(.lateWritesAllowed) else { return false }
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
            let firstData = 10 + 2 * sets + deletes
            let firstCondition = firstData + 2 * data
            let conditions = stride(from: firstCondition, to: firstCondition + 2 * count(8), by: 2).map { at in
                (name: arguments[at], value: arguments[at + 1], standing: entry?[bytes(".") + arguments[at]])
            }
            guard isBent(.conditionUnchecked) || conditions.allSatisfy({ $0.value == $0.standing ?? [] }) else {
                return answer(
                    "conflict",
                    .array(
                        conditions.flatMap { condition in
                            condition.standing.map { [.bulk(condition.name), .bulk($0)] } ?? []
                        }))
            }
            let how = text(arguments[9])
            let replaces = arguments[3] == bytes("1")
            if replaces, isBent(.tombstoneSkipped) {
                redis.put(key, nil)
                return answer("done", .integer(0))
            }
            var next = replaces ? ModelEntry(value: .hash([])) : entry ?? ModelEntry(value: .hash([]))
            let oldSize = replaces ? 0 : number(entry?[bytes("k")]) ?? 0
            var size = oldSize
            var changes: [(field: [UInt8], value: [UInt8]?)] = []
            var taken: [ModelReply] = []
            var sum: [UInt8]?
            for at in stride(from: firstData, to: firstCondition, by: 2) {
                var (name, value) = (arguments[at], arguments[at + 1])
                let field = bytes(".") + name
                let old = replaces ? nil : entry?[field]
                if how == "add" {
                    let standing = isBent(.addsToWhatWasRead) ? redis.formerly(key, field) ?? old : old
                    guard let added = Self.sum(standing ?? bytes("0"), value) else { return answer("number") }
                    (value, sum) = (added, added)
                }
                if value.isEmpty {
                    guard let old else { continue }
                    changes.append((field, nil))
                    taken += [.bulk(name), .bulk(old)]
                    size -= Int64(name.count + old.count)
                } else if old != value {
                    changes.append((field, value))
                    size += Int64(value.count) - (old.map { Int64($0.count) } ?? -Int64(name.count))
                }
            }
            if size > oldSize, size > number(arguments[4]) ?? 0 {
                // It was written and put back, which is told as a change.
                if sum != nil { redis.put(key, entry) }
                return answer("large", .integer(size))
            }
            if how == "take", isBent(.takenStays) { return answer("done", .array(taken)) }
            for at in stride(from: 10, to: 10 + 2 * sets, by: 2) { set(&next, arguments[at], arguments[at + 1]) }
            delete(&next, Array(arguments[10 + 2 * sets..<firstData]))
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
            return answer(
                "done", how == "take" ? .array(taken) : sum.map(ModelReply.bulk) ?? .integer(Int64(changes.count)))
        }

        /// As `HINCRBY` adds; nil where one of the numbers, or the sum, is no integer of 64 bits.
        private static func sum(_ standing: [UInt8], _ added: [UInt8]) -> [UInt8]? {
            guard
                let (sum, isOver) = number(standing).flatMap({ standing in
                    number(added).map { standing.addingReportingOverflow($0) }
                }), !isOver
            else { return nil }
            return decimal(sum)
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
            if isBent(.limitsDropped), ["e", "i"].contains(field), entry[bytes("r")] != nil { return }
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

        func enter() -> ModelReply {
            if isBent(.indexSkipped) { return answer("done", .array([.bulk([])])) }
            let (index, numbers) = (keys[0], keys[1])
            let (sid, end) = (arguments[1], number(arguments[2]) ?? 0)
            let members = redis.find(index)?.members ?? []
            if let limit = number(arguments[4]), !members.contains(where: { $0.member == sid }) {
                let lifetime = number(arguments[5]) ?? 0
                let gone = stride(from: 6, to: arguments.count - 1, by: 2).count { at in
                    let entered = number(redis.find(numbers)?[arguments[at]]) ?? 0
                    return scored(index, arguments[at]) == arguments[at + 1] && entered + lifetime < now
                }
                if members.count - gone >= limit { return answer("full", .integer(Int64(members.count - gone))) }
            }
            _ = ModelCommands.add(sid, arguments[2], index, redis)
            var given: [UInt8] = []
            if arguments[3] == bytes("1") || (arguments[3] == bytes("0") && redis.find(numbers) != nil) {
                var entry = redis.find(numbers) ?? ModelEntry(value: .hash([]))
                given = decimal(max((number(entry[bytes("#")]) ?? 0) + 1, now))
                entry.setField(bytes("#"), given)
                entry.setField(sid, given)
                redis.put(numbers, entry)
            }
            if isBent(.indexWithoutEnd) { return answer("done", .array([.bulk(given)])) }
            for key in keys {
                let hasEnd = redis.find(key)?.expireAt != nil
                _ = ModelCommands.expire(key, at: end + Self.margin, onlyLater: hasEnd, redis)
            }
            return answer("done", .array([.bulk(given)] + others(index)))
        }

        func admit() -> ModelReply {
            let further = arguments.suffix(3)
            let entry = Call(
                keys: Array(keys.dropFirst()), arguments: [arguments[0]] + further + [[], []], redis: redis
            ).enter()
            guard case .array(let entered) = entry, entered.count == 3, case .array(let place) = entered[2],
                case .bulk(let given)? = place.first
            else { return entry }
            var arguments = arguments
            if !given.isEmpty {
                let sets = count(5)
                arguments[5] = decimal(Int64(sets + 1))
                arguments.insert(contentsOf: [bytes("N"), given], at: 10 + 2 * sets)
            }
            let reply = Call(keys: keys, arguments: arguments, redis: redis).commit()
            guard case .array(let parts) = reply else { return reply }
            return .array(parts + [.array(place)])
        }

        /// The first of an index, and two others: which ones, the model takes from its time, as Redis would by chance.
        private func others(_ index: String) -> [ModelReply] {
            let members = redis.find(index)?.members ?? []
            guard members.count > 1 else { return [] }
            let (first, second) = (Int(now % Int64(members.count)), Int(now / 7 % Int64(members.count)))
            return [members[first], members[second], members[0]].flatMap { member in
                [.bulk(member.member), .bulk(bytes(ModelCommands.score(member.score)))]
            }
        }

        private func scored(_ index: String, _ member: [UInt8]) -> [UInt8]? {
            redis.find(index)?.members.first { $0.member == member }.map { bytes(ModelCommands.score($0.score)) }
        }

        func tidy() -> ModelReply {
            let (index, numbers) = (keys[0], keys[1])
            var removed: Int64 = 0
            for at in stride(from: 1, to: arguments.count - 2, by: 3) {
                let (sid, seen, finding) = (arguments[at], arguments[at + 1], text(arguments[at + 2]))
                guard finding == "ended" || scored(index, sid) == seen else { continue }
                let score = Double(text(seen)) ?? 0
                let isCondemned = score != score.rounded()
                if let end = Int64(finding) {
                    guard Double(end) > score else { continue }
                    _ = ModelCommands.add(sid, arguments[at + 2], index, redis)
                    for key in keys where redis.find(key)?.expireAt != nil {
                        _ = ModelCommands.expire(key, at: end + Self.margin, onlyLater: true, redis)
                    }
                } else if finding == "ended" || (isCondemned && score <= Double(now))
                    || score + Double(Self.margin) <= Double(now) || isBent(.goneIsTakenOutAtOnce)
                {
                    _ = ModelCommands.removeFields([sid], numbers, redis)
                    removed += Int64(ModelCommands.removeMembers(index, redis) { $0.member == sid })
                } else if score > Double(now + Self.margin) {
                    // The last member, too, keeps the end of its key.
                    _ = ModelCommands.add(sid, bytes("\(now + Self.margin).5"), index, redis, onlyRises: false)
                }
            }
            if removed > 0, redis.find(index) == nil { _ = ModelCommands.remove(numbers, redis) }
            return answer("done", .integer(removed))
        }

        /// Longer than a script may still run, and than clocks of masters differ.
        private static let margin: Int64 = 120_000

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

        func epoch() -> ModelReply {
            var before: Int64 = 0
            if case .string(let text)? = redis.find(key)?.value { before = number(text) ?? 0 }
            var moment = number(arguments[2]) ?? 0
            if arguments[3] == bytes("1") { moment = max(moment, now, before + 1_000) }
            guard moment > before else { return answer("done", .integer(before)) }
            if isBent(.epochSkipped) || isBent(.epochIsNotPassedOn) && arguments[3].isEmpty {
                return answer("done", .integer(moment))
            }
            redis.put(key, ModelEntry(value: .string(decimal(moment)), expireAt: now + (number(arguments[1]) ?? 0)))
            return answer("done", .integer(moment))
        }

        func sweep() -> ModelReply {
            guard let entry = redis.find(key), let created = number(entry[bytes("t")]), entry[bytes("z")] == nil,
                created <= number(arguments[1]) ?? 0
            else { return answer("absent") }
            let end = now + (number(arguments[2]) ?? 0)
            var tombstone = ModelEntry(value: .hash([]), expireAt: end)
            tombstone.setField(bytes("v"), arguments[3])
            tombstone.setField(bytes("z"), bytes("admin"))
            tombstone.setField(bytes("e"), decimal(end))
            redis.put(key, tombstone)
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

        /// The write before a WAIT.
        func wait() -> ModelReply {
            guard !isBent(.waitWritesNothing) else { return .status("OK") }
            redis.put(key, ModelEntry(value: .string(bytes("1")), expireAt: now + 2_000))
            return .status("OK")
        }
    }
}

extension ModelEntry {
    mutating func remove(_ names: [[UInt8]]) { value = .hash(fields.filter { !names.contains($0.name) }) }
}
