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
}

/// What is known of a member's session, for its place in the index (`tidy.lua`).
enum IndexFinding {
    /// It was read: it lives until its absolute end.
    case living(IndexMember, until: UnixMilliseconds)
    /// There is no session of the subject.
    case gone(IndexMember)
    /// A tombstone was written in the session's place, and is acknowledged.
    case ended(SessionID)
}

/// A session that is to have a place in its subject's index before it is written.
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

enum IndexEntryOutcome {
    /// Acknowledged. The login's number, where it was given one; some others of the index, to be looked at.
    case entered(number: Int64?, others: [IndexMember])
    /// The limit is reached: nothing was changed.
    case full
    /// Redis's clock was past the script's time: nothing was changed. What was decided by the old clock is to be decided
    /// anew.
    case late
}
