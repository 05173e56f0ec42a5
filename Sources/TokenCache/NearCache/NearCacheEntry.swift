internal import TokenCrypto
internal import Tokens

/// One session in the near cache: what a validation needs, and no more. Fixed size; what few sessions have, beside it.
struct NearCacheEntry {
    var sid: SessionID
    /// The current token's verifier, as it was last accepted: a hit compares it and needs no hash.
    var verifier: Verifier
    /// False where only the previous token was presented so far.
    var hasVerifier: Bool
    /// SIEVE's mark: found since the hand last passed.
    var wasFound = false
    /// An access is being recorded; the entry goes when that is done.
    var isTouching = false
    /// While the current token is pending `confirmedAt` says nothing.
    var isPending: Bool
    var revision: Int64
    var generation: Int64
    var created: Milliseconds
    var lastAccess: Milliseconds
    var idle: Milliseconds
    var absoluteEnd: Milliseconds
    var confirmedAt: Milliseconds
    /// Neighbours in order of insertion, as indexes of the table; `NearCache.none` at the ends.
    var newer: UInt32 = NearCache.none
    var older: UInt32 = NearCache.none
    /// Nil for an anonymous session without data that was never rotated: most sessions of most sites.
    var details: NearCacheDetails?

    var expireAt: Milliseconds { min(lastAccess &+ idle, absoluteEnd) }
}

/// What a session has beyond that.
final class NearCacheDetails {
    let subject: [UInt8]
    /// Nil where there is more than is kept here.
    let data: [RecordField]?
    let history: NearCacheHistory?
    /// What CSRF tokens of the session depend on; nil before its first LOGIN or ROTATE.
    let csrfSalt: Digest?
    let bindings: Bindings

    /// Bytes of data that a session may have to be served from here.
    static let maxData = 4_096

    init?(record: SessionRecord, data: [RecordField], policy: TokenPolicy, now: Milliseconds) {
        history = NearCacheHistory(record, policy: policy, now: now)
        csrfSalt = record.csrfSalt
        bindings = record.bindings
        guard
            !record.subject.isEmpty || !data.isEmpty || history != nil || csrfSalt != nil || !bindings.isEmpty
        else { return nil }
        subject = record.subject
        let bytes = data.reduce(0) { $0 + $1.name.count + $1.value.count }
        self.data = bytes <= Self.maxData ? data : nil
    }

    /// Bytes on the heap, the allocator's and the arrays' headers included.
    var bytes: Int {
        let fields = (data ?? []).reduce(0) { $0 + 2 * 48 + $1.name.count + $1.value.count }
        let bound = [bindings.ip, bindings.userAgent].compactMap { $0 }.count * 96
        return 96 + (subject.isEmpty ? 0 : 48 + subject.count) + fields + bound + (history?.bytes ?? 0)
    }
}

/// The tokens before the current one, for a session that was rotated.
final class NearCacheHistory {
    /// The previous token while it may still be accepted.
    let previous: PreviousToken?
    /// What the sealed successor must open to.
    let current: Digest
    /// The retired ones; a previous token whose overlap is over stands among them already.
    let remembered: [RememberedToken]
    let forcedGeneration: Int64

    init?(_ record: SessionRecord, policy: TokenPolicy, now: Milliseconds) {
        guard record.previous != nil || !record.remembered.isEmpty || record.forcedGeneration > 0 else { return nil }
        let settled = record.settled(policy: policy, now: now)
        previous = settled.previous
        current = settled.current
        remembered = settled.remembered
        forcedGeneration = settled.forcedGeneration
    }

    var bytes: Int { 208 + (remembered.isEmpty ? 0 : 48 + remembered.count * MemoryLayout<RememberedToken>.stride) }
}

extension NearCacheEntry {
    init(
        _ record: SessionRecord, sid: SessionID, verifier: Verifier?, details: NearCacheDetails?
    ) {
        self.init(
            sid: sid, verifier: verifier ?? Verifier(), hasVerifier: verifier != nil,
            isPending: record.confirmedAt == nil, revision: record.revision, generation: record.generation,
            created: record.created, lastAccess: record.lastAccess, idle: record.idle,
            absoluteEnd: record.absoluteEnd, confirmedAt: record.confirmedAt ?? 0, details: details)
    }

    /// The record as far as an access needs it; nil where the presented token may be one that is not known here.
    /// - Parameter digest: of the presented verifier.
    func record(presented: Verifier, digest: Digest) -> SessionRecord? {
        let current: Digest
        if hasVerifier, presented == verifier {
            current = digest
        } else if let known = details?.history?.current {
            current = known
        } else {
            return nil
        }
        var record = SessionRecord(
            token: current, subject: details?.subject ?? [], idle: idle, absolute: 0, now: created)
        record.revision = revision
        record.confirmedAt = isPending ? nil : confirmedAt
        record.generation = generation
        record.lastAccess = lastAccess
        record.absoluteEnd = absoluteEnd
        record.previous = details?.history?.previous
        record.remembered = details?.history?.remembered ?? []
        record.forcedGeneration = details?.history?.forcedGeneration ?? 0
        record.csrfSalt = details?.csrfSalt
        record.bindings = details?.bindings ?? Bindings()
        return record
    }
}
