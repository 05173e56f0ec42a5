import Tokens

/// Commands on keys.
extension ModelCommands {
    static func keyCommand(_ name: String, _ words: [[UInt8]], _ redis: ModelRedis) -> ModelReply {
        if name == "EVALSHA" { return ModelScripts.run(words, redis) }
        if name == "DBSIZE" { return .integer(Int64(redis.keys.names.count { redis.find($0) != nil })) }
        guard let first = words.first else { return .error("ERR wrong number of arguments") }
        if name == "SCAN" { return scan(number(first) ?? 0, words, redis) }
        let key = text(first)
        let rest = Array(words.dropFirst())
        switch name {
        case "HGETALL":
            let fields = redis.find(key)?.fields ?? []
            return .map(fields.flatMap { [.bulk($0.name), .bulk($0.value)] })
        case "HGET": return redis.find(key)?[rest[0]].map(ModelReply.bulk) ?? .null
        case "HMGET":
            let entry = redis.find(key)
            return .array(rest.map { name in entry?[name].map(ModelReply.bulk) ?? .null })
        case "HSET":
            var entry = redis.find(key) ?? ModelEntry(value: .hash([]))
            var added: Int64 = 0
            for at in stride(from: 0, to: rest.count - 1, by: 2) where entry.setField(rest[at], rest[at + 1]) {
                added += 1
            }
            redis.put(key, entry)
            return .integer(added)
        case "HDEL": return .integer(Int64(removeFields(rest, key, redis)))
        case "EXISTS": return .integer(redis.find(key) == nil ? 0 : 1)
        case "DEL": return .integer(Int64(words.count { remove(text($0), redis) }))
        case "GET":
            guard case .string(let value)? = redis.find(key)?.value else { return .null }
            return .bulk(value)
        case "SET": return set(key, rest, redis)
        case "PTTL":
            guard let entry = redis.find(key) else { return .integer(-2) }
            return .integer(entry.expireAt.map { $0 - redis.milliseconds } ?? -1)
        case "PEXPIRETIME":
            guard let entry = redis.find(key) else { return .integer(-2) }
            return .integer(entry.expireAt ?? -1)
        case "PEXPIREAT":
            return .integer(expire(key, at: number(rest[0]) ?? 0, onlyLater: rest.count > 1, redis) ? 1 : 0)
        case "ZADD": return .integer(Int64(add(rest[rest.count - 1], rest[rest.count - 2], key, redis)))
        case "ZREM": return .integer(Int64(removeMembers(key, redis) { member in rest.contains(member.member) }))
        case "ZSCORE":
            let member = redis.find(key)?.members.first { $0.member == rest[0] }
            return member.map { .bulk(bytes(score($0.score))) } ?? .null
        case "ZCARD": return .integer(Int64(redis.find(key)?.members.count ?? 0))
        case "ZRANGE": return range(key, rest, redis)
        default: return .error("ERR unknown command '\(name)', with args beginning with: ")
        }
    }

    /// `SCAN cursor MATCH start* COUNT n`: by a number that a name has for ever, so that nothing is passed by.
    private static func scan(_ cursor: Int64, _ words: [[UInt8]], _ redis: ModelRedis) -> ModelReply {
        guard words.count == 5, let count = number(words[4]).map(Int.init) else { return .error("ERR syntax error") }
        func place(_ name: String) -> Int64 { name.utf8.reduce(7) { ($0 &* 31 &+ Int64($1)) & 0xffff_ffff } + 1 }
        let names = redis.keys.names.filter { redis.find($0) != nil && place($0) >= cursor }
        let places = names.map(place).sorted()
        let next = places.count > count ? places[count] : 0
        let found = names.filter { (next == 0 || place($0) < next) && bytes($0).starts(with: words[2].dropLast()) }
        return .array([.bulk(decimal(next)), .array(found.map { .bulk(bytes($0)) })])
    }

    static func score(_ score: Double) -> String {
        score == score.rounded() && abs(score) < 1e17 ? String(Int64(score)) : String(score)
    }

    static func remove(_ key: String, _ redis: ModelRedis) -> Bool {
        guard redis.find(key) != nil else { return false }
        redis.put(key, nil)
        return true
    }

    private static func set(_ key: String, _ options: [[UInt8]], _ redis: ModelRedis) -> ModelReply {
        let words = options.dropFirst().map { text($0).uppercased() }
        let before = redis.find(key)
        var old = ModelReply.null
        if case .string(let value)? = before?.value { old = .bulk(value) }
        let answer = words.contains("GET") ? old : nil
        if words.contains("NX"), before != nil { return answer ?? .null }
        var end: Int64?
        if let at = words.firstIndex(of: "PX"), at + 1 < words.count { end = Int64(words[at + 1]) }
        redis.put(key, ModelEntry(value: .string(options[0]), expireAt: end.map { $0 + redis.milliseconds }))
        return answer ?? .ok
    }

    static func removeFields(_ names: [[UInt8]], _ key: String, _ redis: ModelRedis) -> Int {
        guard var entry = redis.find(key) else { return 0 }
        let before = entry.fields.count
        let kept = entry.fields.filter { !names.contains($0.name) }
        guard kept.count < before else { return 0 }
        entry.value = .hash(kept)
        redis.put(key, kept.isEmpty ? nil : entry)
        return before - kept.count
    }

    /// PEXPIREAT. With `GT` only if that is later; a key without an end has the latest of all.
    static func expire(_ key: String, at end: Int64, onlyLater: Bool, _ redis: ModelRedis) -> Bool {
        guard var entry = redis.find(key) else { return false }
        if onlyLater {
            guard let old = entry.expireAt, end > old else { return false }
        }
        entry.expireAt = end
        redis.put(key, entry)
        return true
    }

    /// `ZADD key GT score member`, and without `GT` alike for a new member.
    /// - Parameter onlyRises: a member that stands there keeps a later score.
    /// - Returns: how many were added.
    static func add(
        _ member: [UInt8], _ score: [UInt8], _ key: String, _ redis: ModelRedis, onlyRises: Bool = true
    ) -> Int {
        var entry = redis.find(key) ?? ModelEntry(value: .sortedSet([]))
        let new = ModelMember(member: member, score: Double(text(score)) ?? 0)
        var members = entry.members
        let known = members.firstIndex { $0.member == member }
        if let known {
            guard !onlyRises || new.score > members[known].score else { return 0 }
            members.remove(at: known)
        }
        members.insert(new, at: members.firstIndex { new.isBefore($0) } ?? members.count)
        entry.value = .sortedSet(members)
        redis.put(key, entry)
        return known == nil ? 1 : 0
    }

    static func removeMembers(
        _ key: String, _ redis: ModelRedis, where matches: (ModelMember) -> Bool
    ) -> Int {
        guard var entry = redis.find(key) else { return 0 }
        let kept = entry.members.filter { !matches($0) }
        let removed = entry.members.count - kept.count
        guard removed > 0 else { return 0 }
        entry.value = .sortedSet(kept)
        redis.put(key, kept.isEmpty ? nil : entry)
        return removed
    }

    /// `ZRANGE key first last [REV]`, and `ZRANGE key from +inf BYSCORE LIMIT offset count WITHSCORES`.
    private static func range(_ key: String, _ words: [[UInt8]], _ redis: ModelRedis) -> ModelReply {
        var members = redis.find(key)?.members ?? []
        let options = words.dropFirst(2).map { text($0).uppercased() }
        let found: ArraySlice<ModelMember>
        if options.first == "BYSCORE" {
            let from = text(words[0]) == "-inf" ? -Double.infinity : Double(text(words[0])) ?? 0
            let (offset, count) = (Int(options[2]) ?? 0, Int(options[3]) ?? 0)
            found = members.filter { $0.score >= from }.dropFirst(offset).prefix(count)
        } else {
            if options.contains("REV") { members.reverse() }
            func place(_ word: [UInt8]) -> Int {
                let place = Int(number(word) ?? 0)
                return place < 0 ? members.count + place : place
            }
            let (first, last) = (max(0, place(words[0])), min(members.count - 1, place(words[1])))
            found = first <= last ? members[first...last] : []
        }
        let withScores = options.contains("WITHSCORES")
        return .array(
            found.flatMap { member in
                [.bulk(member.member)] + (withScores ? [.bulk(bytes(score(member.score)))] : [])
            })
    }
}

extension ModelEntry {
    /// - Returns: whether the field is new.
    @discardableResult
    mutating func setField(_ name: [UInt8], _ content: [UInt8]) -> Bool {
        var fields = fields
        defer { self.value = .hash(fields) }
        if let known = fields.firstIndex(where: { $0.name == name }) {
            fields[known].value = content
            return false
        }
        fields.append(RecordField(name: name, value: content))
        return true
    }
}
