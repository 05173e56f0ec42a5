internal import Tokens

/// What is asked of a subject's index.
enum IndexQuery {
    /// One page of a walk over all of it.
    case after(IndexCursor)
    /// So many with the latest absolute end, those first.
    case newest(Int)
}

/// Sessions of a subject; and where the walk goes on, nil at its end.
struct IndexPage {
    var sids: [SessionID]
    var next: IndexCursor?
}

/// How far a walk over an index came: every member that stands there throughout is seen at least once, whatever others
/// add and remove meanwhile, and whether Redis is restarted in between: nothing of the walk is in Redis.
///
/// Members are ordered by score, those of one score by their bytes, and the walk goes by that order. A page begins at the
/// last score that was seen. Where very many have that score, it begins so many members later, and then its first
/// member must be one that was passed already: else others were removed, the page may begin behind one that was not
/// seen, and is asked for again from the score's first on. Each page is read at one moment, so there is no gap in it.
struct IndexCursor: Equatable {
    /// Members of a page, at least 2.
    static let pageSize = 500

    static let start = IndexCursor(last: nil, skipped: 0)

    /// As Redis writes it, which loses nothing (Redis, ZRANGE BYSCORE).
    struct Member: Equatable {
        var score: [UInt8]
        var name: [UInt8]
    }

    /// The last member seen.
    private(set) var last: Member?
    /// Of the members of its score, how many are left out at the beginning.
    private(set) var skipped: Int

    /// The arguments behind the key.
    func arguments(pageSize: Int = Self.pageSize) -> [[UInt8]] {
        [
            last?.score ?? Array("-inf".utf8), Array("+inf".utf8), Array("BYSCORE".utf8), Array("LIMIT".utf8),
            Array(String(skipped).utf8), Array(String(pageSize).utf8), Array("WITHSCORES".utf8),
        ]
    }

    /// Takes in a page.
    /// - Returns: the members that were not passed before, and the place behind them; nil at the end.
    func advanced(over page: [Member], pageSize: Int = Self.pageSize) -> (seen: [Member], next: IndexCursor?) {
        let seen = Array(page.drop { hasPassed($0) })
        if skipped > 0, page.isEmpty || seen.count == page.count { return ([], IndexCursor(last: last, skipped: 0)) }
        guard page.count >= pageSize else { return (seen, nil) }
        guard let newest = seen.last else {
            // All of one score, and passed: the next page begins with the last of this one.
            return ([], IndexCursor(last: last, skipped: skipped + page.count - 1))
        }
        return (seen, IndexCursor(last: newest, skipped: 0))
    }

    private func hasPassed(_ member: Member) -> Bool {
        guard let last, member.score == last.score else { return false }
        return !last.name.lexicographicallyPrecedes(member.name)
    }
}
