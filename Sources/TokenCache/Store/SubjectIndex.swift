internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// Names the index of a subject's sessions: SHA-256 of the subject in hex, so that a key tells nothing of it and has
/// one length.
struct SubjectIndex: Equatable {
    let name: [UInt8]

    init(subject: [UInt8], crypto: CryptoContext) throws(CryptoError) {
        name = try crypto.digest(subject).withUnsafeBytes { Hex.encode($0) }
    }

    /// An index as its key names it; nil where that is none of ours.
    init?(name: [UInt8]) {
        var name = name[...]
        if name.first == UInt8(ascii: "{"), name.last == UInt8(ascii: "}") { name = name.dropFirst().dropLast() }
        guard name.count == Self.length, name.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        self.name = Array(name)
    }

    private static let length = 64
}

/// A session in the index of its subject.
struct IndexMember: Equatable {
    let sid: SessionID
    /// As Redis writes it: the absolute end in Unix ms. That of a member whose session was not found is nearer.
    let score: [UInt8]
}

/// What a read of a member's session says of its place in the index (`tidy.lua`).
enum IndexFinding {
    /// Until its absolute end.
    case living(until: UnixMilliseconds)
    /// There is no session of the subject.
    case gone
    /// A tombstone was written in the session's place, and is acknowledged.
    case ended
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
    /// Acknowledged. Some others of the index, to be looked at.
    case entered(others: [IndexMember])
    /// The limit is reached: nothing was changed.
    case full
    /// Redis's clock was past the script's time: nothing was changed. What was decided by the old clock is to be decided
    /// anew.
    case late
}
