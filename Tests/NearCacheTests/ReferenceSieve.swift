import Tokens

/// SIEVE as its paper tells it, with an array and a set: slow, and easy to see to be right.
///
/// The hand stands at an entry or nowhere; nowhere means that it begins with the oldest one. It goes towards the newest
/// one, spares and unmarks what was found, evicts the first entry that was not, and stands at that one's successor.
struct ReferenceSieve {
    struct Entry {
        var revision: Int64
        var bytes: Int
        var wasFound = false
    }

    let maxBytes: Int
    private(set) var entries: [SessionID: Entry] = [:]
    private(set) var evictions: UInt64 = 0
    /// Oldest first.
    private var order: [SessionID] = []
    private var hand: SessionID?

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    var bytes: Int { entries.values.reduce(0) { $0 + $1.bytes } }

    mutating func find(_ sid: SessionID) -> Int64? {
        entries[sid]?.wasFound = true
        return entries[sid]?.revision
    }

    mutating func insert(_ sid: SessionID, revision: Int64, bytes size: Int) {
        drop(sid)
        guard size <= maxBytes else { return }
        while !order.isEmpty, bytes + size > maxBytes { evict() }
        entries[sid] = Entry(revision: revision, bytes: size)
        order.append(sid)
    }

    @discardableResult
    mutating func drop(_ sid: SessionID) -> Bool {
        guard let place = order.firstIndex(of: sid) else { return false }
        if hand == sid { hand = place + 1 < order.count ? order[place + 1] : nil }
        order.remove(at: place)
        entries[sid] = nil
        return true
    }

    mutating func dropAll() {
        entries = [:]
        order = []
        hand = nil
    }

    private mutating func evict() {
        var place = hand.flatMap { order.firstIndex(of: $0) } ?? 0
        while entries[order[place]]?.wasFound == true {
            entries[order[place]]?.wasFound = false
            place = (place + 1) % order.count
        }
        hand = order[place]
        drop(order[place])
        evictions += 1
    }
}
