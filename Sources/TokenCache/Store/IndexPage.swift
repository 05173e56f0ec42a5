internal import TokenCrypto
internal import Tokens

/// A page of a walk over a subject's index.
struct IndexQuery {
    var cursor: IndexCursor
    /// Members, at least 2.
    var pageSize = IndexCursor.pageSize
}

/// Sessions of a subject; and where the walk goes on, nil at its end.
struct IndexPage {
    var members: [IndexMember]
    var next: IndexCursor?
}

/// How far a walk over an index came: every member that stands there throughout is seen at least once, whatever others
/// add and remove meanwhile, and whether Redis is restarted in between: nothing of the walk is in Redis.
///
/// Members are ordered by score, those of one score by their bytes, and the walk goes by that order. A page begins at the
/// last score that was seen. Where very many have that score, it begins so many members later, and then its first
/// member must be one that was passed already: else others were removed, the page may begin behind one that was not
/// seen, and is asked for again from the score's first on. Each page is read at one moment, so there is no gap in it.
public struct IndexCursor: Equatable, Sendable {
    /// Members of a page: few enough that Redis has read one in a moment.
    static let pageSize = 128

    public static let start = IndexCursor(last: nil, skipped: 0)

    /// As Redis writes it, which loses nothing (Redis, ZRANGE BYSCORE).
    struct Member: Equatable, Sendable {
        var score: [UInt8]
        var name: [UInt8]
    }

    /// The last member seen.
    private(set) var last: Member?
    /// Of the members of its score, how many are left out at the beginning.
    private(set) var skipped: Int

    private init(last: Member?, skipped: Int) {
        self.last = last
        self.skipped = skipped
    }

    /// Goes on behind a member.
    init(behind member: IndexMember) { self.init(last: Member(score: member.score, name: member.sid.hex), skipped: 0) }

    /// Reads a cursor that a client was given; nil for what is none.
    public init?(text: UnsafeRawBufferPointer) {
        let text = String(decoding: text, as: UTF8.self)
        guard text != "0" else {
            self = .start
            return
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let score = Double(parts[0]), score.isFinite, parts[0].utf8.count <= 32,
            let name = Array(parts[1].utf8).withUnsafeBytes({ Base64URL.decode($0) }), name.count <= Self.longestName,
            let skipped = Int(parts[2]),
            (0...Int(Int32.max)).contains(skipped)
        else { return nil }
        self.init(last: Member(score: Array(parts[0].utf8), name: name), skipped: skipped)
    }

    /// What a client is given: `0` at the beginning, else nothing that it need understand.
    public var text: String {
        guard let last else { return "0" }
        let score = String(decoding: last.score, as: UTF8.self)
        return "\(score):\(String(decoding: Base64URL.encode(last.name), as: UTF8.self)):\(skipped)"
    }

    private static let longestName = 64

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
