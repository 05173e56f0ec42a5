internal import EventLoop
internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// The index of a subject's sessions, named by the subject's SHA-256, so that a key tells nothing of it and has one
/// length.
struct SubjectIndex: Equatable {
    /// Of the subject.
    let digest: Digest

    init(subject: [UInt8], crypto: CryptoContext) throws(CryptoError) { digest = try crypto.digest(subject) }

    /// As it stands in keys: hex.
    var name: [UInt8] { digest.withUnsafeBytes { Hex.encode($0) } }

    /// An index as its key names it; nil where that is none of ours.
    init?(name: [UInt8]) {
        var name = name[...]
        if name.first == UInt8(ascii: "{"), name.last == UInt8(ascii: "}") { name = name.dropFirst().dropLast() }
        var digest = Digest()
        let isHex = name.withUnsafeBytes { text in digest.withUnsafeMutableBytes { Hex.decode(text, into: $0) } }
        // In lower case only, as it is written.
        guard isHex, digest.withUnsafeBytes({ Hex.encode($0).elementsEqual(name) }) else { return nil }
        self.digest = digest
    }
}

/// A session in the index of its subject.
struct IndexMember: Equatable {
    let sid: SessionID
    /// As Redis writes it: the absolute end in Unix ms. That of a member whose session was not found is nearer.
    let score: [UInt8]
    /// When the index was asked for it. Its session was read later.
    let asked: MonotonicInstant
}

/// What is known of a member's session, for its place in the index (`tidy.lua`).
///
/// It ages: a reader may have to wait for its turn, and a whole host may stand still. Past `lifetime` the index is not
/// told any more, so that two readings which find no session, one before the member was condemned and one after, are of
/// moments that lie apart as far as the two minutes say, whenever they are told.
enum IndexFinding {
    /// How old it may be when the index is told: with the time of a script and a minute between clocks less than the two
    /// minutes of a condemned member.
    static let lifetime: Milliseconds = 30_000
    /// How long at least a tombstone stands that outlives such a finding by any master's clock.
    static let outlived: Milliseconds = 120_000

    /// It was read: it lives until its absolute end.
    case living(IndexMember, until: UnixMilliseconds)
    /// There is no session of the subject.
    case gone(IndexMember)
    /// A tombstone was written in the session's place, by a request of this moment, and is acknowledged.
    case ended(SessionID, asked: MonotonicInstant)

    /// What the end of a session says.
    /// - Parameters:
    ///   - asked: when the request arrived that ended it.
    ///   - absoluteEnd: that the session had.
    ///   - tombstone: how long that stands, ms. What entered the index before it was written can be written no more as
    ///     long as it stands.
    init(endOf sid: SessionID, asked: MonotonicInstant, absoluteEnd: UnixMilliseconds, tombstone: Milliseconds) {
        self =
            tombstone >= Self.outlived
            ? .ended(sid, asked: asked) : .gone(IndexMember(sid: sid, score: decimal(absoluteEnd), asked: asked))
    }

    /// How old it is.
    var asked: MonotonicInstant {
        switch self {
        case .living(let member, _), .gone(let member): member.asked
        case .ended(_, let asked): asked
        }
    }
}

/// A session that is to have a place in its subject's index not later than it is written.
struct IndexEntry {
    let index: SubjectIndex
    let sid: SessionID
    let absoluteEnd: UnixMilliseconds
    let login: Login
    /// Most sessions of the subject; nil: any number.
    var limit: Int?
    /// Members that were read, and no session found: they take no place.
    var gone: [IndexMember] = []

    /// Whether it counts among the subject's latest logins from now on.
    enum Login {
        case none
        /// Where others do: a limit may be kept by some calls only.
        case numberedWithOthers
        case numbered
    }
}

/// What an entry into an index has brought.
struct IndexPlace {
    /// The login's, where it was given one.
    var number: Int64?
    /// Some others of the index, to be looked at.
    var others: [IndexMember]
}

enum IndexEntryOutcome {
    /// Acknowledged.
    case entered(IndexPlace)
    /// The limit is reached: nothing was changed.
    case full
    /// Redis's clock was past the script's time: nothing was changed. What was decided by the old clock is to be decided
    /// anew.
    case late
}
