/// What one node of a cluster says of the whole: `CLUSTER NODES`. Source: redis.io/docs/commands/cluster-nodes.
struct ClusterMap: Equatable {
    /// One that has slots, or is to have some.
    struct Master: Equatable {
        /// 40 hexadecimal digits.
        var id: String
        var address: ClusterAddress
        /// Of its configuration: of two who say that a slot is theirs, the higher one is right.
        var epoch: Int64
        var slots = SlotSet()
        /// Slots that are on their way from here or to here.
        var moving = SlotSet()
        /// It is out of reach, as this node sees it.
        var isFailing = false

        /// What of it says who owns what.
        fileprivate var withoutState: Master {
            var master = self
            (master.moving, master.isFailing) = (SlotSet(), false)
            return master
        }
    }

    /// Whoever said it.
    private(set) var teller = ""
    private(set) var masters: [Master] = []
    /// The ids of all servers, replicas among them.
    private(set) var all: Set<String> = []
    /// It is the only master with slots: no other could say whether it lives.
    func isOnlyMaster(_ master: Master) -> Bool { !masters.contains { $0.id != master.id && !$0.slots.isEmpty } }

    /// Masters that are believed in at most.
    static let mostMasters = 1_000

    /// Nil where it is no map, or one of nobody: a node that has met no other and has no slots.
    /// - Parameter host: that the node was reached by: it may not know its own address.
    init?(_ reply: RedisReply, host: String) {
        guard case .bulk(let bytes) = reply else { return nil }
        for line in bytes.split(separator: 0x0a) {
            let words = line.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
            guard words.count >= 8, words[0].utf8.count == 40, let epoch = Int64(words[6]),
                let address = ClusterAddress(words[1], ownHost: host)
            else { return nil }
            let flags = words[2].split(separator: ",")
            if flags.contains("myself") { teller = words[0] }
            all.insert(words[0])
            guard flags.contains("master"), !flags.contains("noaddr"), !flags.contains("handshake") else { continue }
            var master = Master(id: words[0], address: address, epoch: epoch)
            master.isFailing = flags.contains("fail") || flags.contains("fail?")
            for word in words[8...] { guard Self.read(word, into: &master) else { return nil } }
            masters.append(master)
            guard masters.count <= Self.mostMasters else { return nil }
        }
        guard masters.contains(where: { !$0.slots.isEmpty }), !teller.isEmpty else { return nil }
    }

    /// `0-5460`, `5461`, `[93-<-…]`, `[77->-…]`.
    private static func read(_ word: String, into master: inout Master) -> Bool {
        guard !word.hasPrefix("[") else {
            guard word.hasSuffix("]"), let slot = Int(word.dropFirst().prefix { $0.isNumber }),
                (0..<KeySlot.count).contains(slot)
            else {
                return false
            }
            master.moving.insert(slot)
            return true
        }
        let ends = word.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first <= last,
            (0..<KeySlot.count).contains(first), (0..<KeySlot.count).contains(last)
        else { return false }
        master.slots.insert(first..<last + 1)
        return true
    }
}

/// Where a node of a cluster is reached by clients.
struct ClusterAddress: Hashable, Sendable {
    let host: String
    let port: UInt16
    /// The name that it announces; empty for none.
    let name: String

    init(host: String, port: UInt16, name: String = "") {
        self.host = host
        self.port = port
        self.name = name
    }

    /// `127.0.0.1:7000@17000,name`; behind the name more may follow.
    /// - Parameter ownHost: where there is no host before the port.
    init?(_ word: String, ownHost: String) {
        let parts = word.split(separator: ",", omittingEmptySubsequences: false)
        let place = parts[0].prefix { $0 != "@" }
        guard let colon = place.lastIndex(of: ":"), let port = UInt16(place[place.index(after: colon)...]) else {
            return nil
        }
        let host = String(place[..<colon])
        let name = parts.count > 1 ? String(parts[1]) : ""
        guard (host + name).utf8.count <= 512, (host + name).utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            return nil
        }
        self.init(host: host.isEmpty ? ownHost : host, port: port, name: name.contains("=") ? "" : name)
    }

    /// Whether a redirection leads here.
    func isTarget(host: String, port: UInt16) -> Bool {
        self.port == port && (self.host == host || (!name.isEmpty && name == host))
    }
}

/// Which master owns which slot, after all that was said so far. Of two owners the one with the higher epoch is right,
/// whoever spoke last.
struct SlotOwners {
    private struct Owner: Equatable {
        /// In `ids`.
        var index: Int
        var epoch: Int64
    }

    /// Of all masters that ever owned a slot: their number grows with failovers only.
    private var ids: [String] = []
    private var owners = [Owner?](repeating: nil, count: KeySlot.count)
    /// What was learned last, while it is all that was: most maps say the same once more.
    private var last: [ClusterMap.Master] = []

    /// The owner's id; nil where nobody is known to own the slot.
    subscript(_ slot: Int) -> String? {
        guard owners.indices.contains(slot), let owner = owners[slot] else { return nil }
        return ids[owner.index]
    }

    struct Changes: Equatable {
        /// The slots whose owner is another one now, or has another epoch.
        var all = SlotSet()
        /// Of them those that were another's before.
        var inherited = SlotSet()
    }

    /// Takes in a map.
    mutating func learn(_ map: ClusterMap) -> Changes {
        let masters = map.masters.map(\.withoutState)
        guard masters != last else { return Changes() }
        last = masters
        var changes = Changes()
        for master in map.masters where !master.slots.isEmpty {
            let new = Owner(index: index(of: master.id), epoch: master.epoch)
            for slot in master.slots {
                if let old = owners[slot] {
                    // Whom the cluster has forgotten owns nothing. Who is a replica in the eyes of one that has slept may
                    // have become a master since.
                    let before = ids[old.index]
                    guard old != new, new.epoch > old.epoch || !map.all.contains(before) else { continue }
                    if old.index != new.index { changes.inherited.insert(slot) }
                }
                owners[slot] = new
                changes.all.insert(slot)
            }
        }
        return changes
    }

    /// A server that has given a slot away says whose it is: so it is until a map says otherwise.
    /// - Returns: whether it is news.
    mutating func hand(_ slot: Int, to id: String) -> Bool {
        guard owners.indices.contains(slot), let old = owners[slot], ids[old.index] != id else { return false }
        owners[slot] = Owner(index: index(of: id), epoch: old.epoch)
        last = []
        return true
    }

    /// The slots of each owner, by id.
    var byOwner: [String: SlotSet] {
        var sets = [SlotSet](repeating: SlotSet(), count: ids.count)
        for slot in owners.indices { if let owner = owners[slot] { sets[owner.index].insert(slot) } }
        return Dictionary(uniqueKeysWithValues: zip(ids, sets))
    }

    private mutating func index(of id: String) -> Int {
        if let index = ids.firstIndex(of: id) { return index }
        ids.append(id)
        return ids.count - 1
    }
}
