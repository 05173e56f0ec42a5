internal import RedisLink
internal import TokenCache

/// What the source told of changes that were not carried yet: a bounded set of keys, or that anything may have changed.
final class ChangeList {
    private var names: Set<[UInt8]> = []
    /// Changes may have gone untold, or were too many to remember: everything is to be looked at again.
    private(set) var isIncomplete = true
    private let prefix: [UInt8]
    /// The latest moment, Unix ms by the source's clock, at which a daemon showed that it may write there.
    private(set) var lastBeat: Int64 = 0

    /// Keys that are remembered: some hundred bytes each.
    static let most = 200_000

    init(prefix: [UInt8]) { self.prefix = prefix }

    var count: Int { names.count }

    func told(_ change: Invalidation) {
        guard case .keys(let keys) = change else { return incomplete() }
        for key in keys {
            if let time = StoredKey.beatTime(key, prefix: prefix) {
                lastBeat = max(lastBeat, time)
            } else if names.count < Self.most {
                names.insert(key)
            } else {
                incomplete()
            }
        }
    }

    func incomplete() {
        isIncomplete = true
        names = []
    }

    /// A walk over everything begins: what is told from now on may escape it.
    func beginWalk() {
        isIncomplete = false
        names = []
    }

    /// Takes all out.
    func take() -> [[UInt8]] {
        defer { names = [] }
        return Array(names)
    }
}
