@testable import RedisLink

/// What servers of a cluster say of it.
extension ModelCluster {
    private static func keys(_ words: [[UInt8]]) -> ArraySlice<[UInt8]> {
        guard let first = words.first, words.count > 1 else { return [] }
        switch text(first).uppercased() {
        case "EVALSHA":
            guard words.count > 3, let count = number(words[2]).map(Int.init), count > 0, words.count >= 3 + count
            else {
                return []
            }
            return words[3..<3 + count]
        case "HGETALL", "HGET", "HMGET", "HSET", "HDEL", "EXISTS", "DEL", "GET", "SET", "PTTL", "PEXPIRETIME",
            "PEXPIREAT",
            "ZADD", "ZREM", "ZSCORE", "ZCARD", "ZRANGE":
            return words[1...1]
        default: return []
        }
    }

    /// Why a server does not carry out a command itself; nil: it does.
    func refusal(_ words: [[UInt8]], isAsking: Bool, at server: ModelRedis) -> String? {
        let keys = Self.keys(words)
        guard let first = keys.first else { return nil }
        let slot = KeySlot.of(first)
        guard keys.allSatisfy({ KeySlot.of($0) == slot }) else {
            return "CROSSSLOT Keys in request don't hash to the same slot"
        }
        if saysDown[server.number] { return "CLUSTERDOWN The cluster is down" }
        let missing = keys.count { server.find(text($0)) == nil }
        let owner = Int(views[server.number].owners[slot])
        let move = moves[slot]
        if owner == server.number {
            guard let move, move.from == server.number, missing > 0 else { return nil }
            guard missing == keys.count else { return "TRYAGAIN Multiple keys request during rehashing of slot" }
            return "ASK \(slot) \(servers[move.to].host):\(Self.port)"
        }
        if isAsking, let move, move.to == server.number {
            return keys.count > 1 && missing > 0 ? "TRYAGAIN Multiple keys request during rehashing of slot" : nil
        }
        return "MOVED \(slot) \(servers[owner].host):\(Self.port)"
    }

    /// CLUSTER NODES.
    func nodes(at server: ModelRedis) -> String {
        if moves.isEmpty, failingSince.allSatisfy({ $0 == nil }), let known = texts[server.number] { return known }
        let view = views[server.number]
        var ranges: [[String]] = Array(repeating: [], count: servers.count)
        var start = 0
        for slot in 1...KeySlot.count where slot == KeySlot.count || view.owners[slot] != view.owners[start] {
            ranges[Int(view.owners[start])].append(start == slot - 1 ? "\(start)" : "\(start)-\(slot - 1)")
            start = slot
        }
        for (slot, move) in moves.sorted(by: { $0.key < $1.key }) {
            if move.from == server.number { ranges[move.from].append("[\(slot)->-\(Self.id(move.to))]") }
            if move.to == server.number { ranges[move.to].append("[\(slot)-<-\(Self.id(move.from))]") }
        }
        let lines = servers.map { other -> String in
            let number = other.number
            let isFailing = failingSince[number].map { agenda.now - $0 > nodeTimeout } ?? false
            let flags =
                (number == server.number ? "myself," : "") + (view.masters[number] == nil ? "master" : "slave")
                + (isFailing && number != server.number ? ",fail" : "")
            let master = view.masters[number].map(Self.id) ?? "-"
            let epoch = view.epochs[view.masters[number] ?? number]
            return
                (["\(Self.id(number)) \(other.host):\(Self.port)@16379 \(flags) \(master) 0 0 \(epoch) connected"]
                + ranges[number]).joined(separator: " ")
        }
        let text = lines.joined(separator: "\n") + "\n"
        if moves.isEmpty, failingSince.allSatisfy({ $0 == nil }) { texts[server.number] = text }
        return text
    }

    private static func id(_ number: Int) -> String { String(repeating: "c", count: 39) + String(number) }
}
