internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// One session in the near cache: what a validation needs, and no more. Fixed size, plain bytes; what few sessions have
/// stands beside it, in a block of its own that the table frees with the entry.
struct NearCacheEntry: BitwiseCopyable {
    var sid: SessionID
    /// The current token's verifier, as it was last accepted: a hit compares it and needs no hash. Until it was
    /// presented the first 32 bytes are the current token's digest.
    private var secret: Verifier
    /// Neighbours in order of insertion, as indexes of the table; `NearCache.none` at the ends.
    var newer: UInt32 = NearCache.none
    var older: UInt32 = NearCache.none
    /// Nil for an anonymous session without data that was never rotated: most sessions of most sites.
    let details: NearCacheDetails?
    private let storedRevision: UInt32
    private let storedGeneration: UInt32
    private let createdAt: Number48
    private let accessedAt: Number48
    private let idleLimit: Number48
    private let endsAt: Number48
    private let confirmed: Number48
    private var flags: Flags
    private let reason: UInt8
    /// Of the key, in a cluster; else 0.
    var slot: UInt16 = 0
    /// Two whole lines of the processor's cache.
    private let unused: UInt32 = 0

    private struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt8
        static let wasFound = Flags(rawValue: 1)
        static let isTouching = Flags(rawValue: 2)
        static let hasVerifier = Flags(rawValue: 4)
        static let isPending = Flags(rawValue: 8)
        static let isEnded = Flags(rawValue: 16)
        static let isPersistent = Flags(rawValue: 32)
    }

    /// Nil where a number is too large for its place here, which no daemon has ever written: the session is not kept.
    init?(_ record: SessionRecord, sid: SessionID, verifier: Verifier?, details: NearCacheDetails?) {
        guard let revision = UInt32(exactly: record.revision), let generation = UInt32(exactly: record.generation),
            let created = Number48(record.created.sinceEpoch), let access = Number48(record.lastAccess.sinceEpoch),
            let idle = Number48(record.idle), let end = Number48(record.absoluteEnd.sinceEpoch),
            let confirmed = Number48(record.confirmedAt?.sinceEpoch ?? 0)
        else { return nil }
        self.sid = sid
        secret = verifier ?? Verifier()
        self.details = details
        storedRevision = revision
        storedGeneration = generation
        createdAt = created
        accessedAt = access
        idleLimit = idle
        endsAt = end
        self.confirmed = confirmed
        flags = verifier == nil ? [] : .hasVerifier
        if record.confirmedAt == nil { flags.insert(.isPending) }
        if record.isPersistent == true { flags.insert(.isPersistent) }
        reason = 0
        if verifier == nil { storedDigest = record.current }
    }

    /// The tombstone of a session; nil where it does not say how long it stands.
    init?(_ tombstone: Tombstone, sid: SessionID) {
        guard let until = tombstone.until.flatMap({ Number48($0.sinceEpoch) }),
            let reason = EndReason.allCases.firstIndex(of: tombstone.reason)
        else { return nil }
        self.sid = sid
        secret = Verifier()
        details = nil
        storedRevision = 0
        storedGeneration = 0
        createdAt = Number48()
        accessedAt = Number48()
        idleLimit = Number48()
        endsAt = until
        confirmed = Number48()
        flags = .isEnded
        self.reason = UInt8(clamping: reason)
    }

    var revision: Int64 { Int64(storedRevision) }
    var generation: Int64 { Int64(storedGeneration) }
    var created: UnixMilliseconds { UnixMilliseconds(createdAt.value) }
    var lastAccess: UnixMilliseconds { UnixMilliseconds(accessedAt.value) }
    var idle: Milliseconds { idleLimit.value }
    /// Of a tombstone: until when it stands.
    var absoluteEnd: UnixMilliseconds { UnixMilliseconds(endsAt.value) }
    /// While the current token is pending it says nothing.
    var confirmedAt: UnixMilliseconds { UnixMilliseconds(confirmed.value) }
    var expireAt: UnixMilliseconds { times.expireAt }
    /// By which an access with the current token is decided.
    @inline(__always)
    var times: AccessTimes {
        AccessTimes(confirmedAt: confirmedAt, lastAccess: lastAccess, idle: idle, absoluteEnd: absoluteEnd)
    }

    /// SIEVE's mark: found since the hand last passed.
    var wasFound: Bool {
        get { flags.contains(.wasFound) }
        set { if newValue { flags.insert(.wasFound) } else { flags.remove(.wasFound) } }
    }
    /// An access is being recorded; the entry goes when that is done.
    var isTouching: Bool {
        get { flags.contains(.isTouching) }
        set { if newValue { flags.insert(.isTouching) } else { flags.remove(.isTouching) } }
    }
    var isPending: Bool { flags.contains(.isPending) }
    var isEnded: Bool { flags.contains(.isEnded) }

    /// Whether all the data of the session is here; it costs nothing to ask.
    var keepsData: Bool { details?.keepsData ?? true }

    /// What is left of an ended session, while it stands: it answers any verifier. Without the memo of a LOGIN, which
    /// only LOGIN opens, and that asks Redis.
    func tombstone(at now: UnixMilliseconds) -> Tombstone? {
        guard isEnded, now < absoluteEnd, EndReason.allCases.indices.contains(Int(reason)) else { return nil }
        return Tombstone(reason: EndReason.allCases[Int(reason)], until: absoluteEnd)
    }

    /// The current token's verifier; nil where only the previous token was presented so far, and for a tombstone.
    var verifier: Verifier? { flags.contains(.hasVerifier) ? secret : nil }

    /// Whether this is the session's current token, confirmed: compared in constant time.
    @inline(__always)
    func isConfirmedCurrent(_ presented: Verifier) -> Bool {
        flags.isSuperset(of: .hasVerifier) && flags.isDisjoint(with: [.isPending, .isEnded]) && secret == presented
    }

    /// The same, of the verifier's 96 digits as they came: false also where one of them is in upper case.
    @inline(__always)
    mutating func isConfirmedCurrent(digits: UnsafeRawPointer) -> Bool {
        guard flags.isSuperset(of: .hasVerifier), flags.isDisjoint(with: [.isPending, .isEnded]) else { return false }
        return withUnsafePointer(to: &secret) { Hex.isText(digits, of: $0, count: Verifier.byteCount) }
    }

    /// Whether this is the session's current token, confirmed or pending.
    func isCurrent(_ presented: Verifier) -> Bool { flags.contains(.hasVerifier) && secret == presented }

    /// A verifier that has the current token's digest is the current token: the next hit knows it.
    mutating func learn(_ presented: Verifier, digest: Digest) {
        guard flags.isDisjoint(with: [.hasVerifier, .isEnded]), storedDigest == digest else { return }
        secret = presented
        flags.insert(.hasVerifier)
    }

    private var storedDigest: Digest {
        get {
            secret.withUnsafeBytes { secret in
                Digest(bytes: UnsafeRawBufferPointer(rebasing: secret[..<Digest.byteCount])) ?? Digest()
            }
        }
        set {
            secret.withUnsafeMutableBytes { secret in newValue.withUnsafeBytes { secret.copyMemory(from: $0) } }
        }
    }

    /// The record as far as an access needs it; nil where the presented token may be one that is not known here.
    /// - Parameter digest: of the presented verifier.
    func record(presented: Verifier, digest: Digest, crypto: CryptoContext) throws(CryptoError) -> SessionRecord? {
        guard !isEnded else { return nil }
        let current: Digest
        if let verifier {
            if verifier == presented {
                current = digest
            } else if details?.hasHistory == true {
                current = try crypto.digest(verifier)
            } else {
                return nil
            }
        } else {
            current = storedDigest
            guard current == digest || details?.hasHistory == true else { return nil }
        }
        var record = SessionRecord(
            token: current, subject: details?.subject.map { $0 } ?? [], idle: idle, absolute: 0, now: created)
        record.revision = revision
        record.confirmedAt = isPending ? nil : confirmedAt
        record.generation = generation
        record.lastAccess = lastAccess
        record.absoluteEnd = absoluteEnd
        record.isPersistent = flags.contains(.isPersistent) ? true : nil
        details?.complete(&record)
        return record
    }
}

/// A number from 0 to 2⁴⁸ − 1 in six bytes: of milliseconds, a time until the year 10889.
struct Number48: BitwiseCopyable {
    private var words: (UInt16, UInt16, UInt16) = (0, 0, 0)

    init() {}

    init?(_ value: Int64) {
        guard value >= 0, value < 1 << 48 else { return nil }
        words = (
            UInt16(truncatingIfNeeded: value), UInt16(truncatingIfNeeded: value &>> 16),
            UInt16(truncatingIfNeeded: value &>> 32)
        )
    }

    var value: Int64 { Int64(words.0) | Int64(words.1) &<< 16 | Int64(words.2) &<< 32 }
}
