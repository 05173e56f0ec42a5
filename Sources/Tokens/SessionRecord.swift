public import TokenCrypto
public import UnixTime

/// One session as it is stored: who holds it, which token is good, until when. A value; every change is a new one.
///
/// Times are by Redis's clock.
public struct SessionRecord: Equatable, Sendable {
    /// Counts the changes of token state: a change is written only over the revision it was decided on.
    public var revision: Int64
    /// SHA-256 of the current token's verifier.
    public var current: Digest
    /// When the current token was first presented (for a first or forced token: made); nil while it is pending.
    public var confirmedAt: UnixMilliseconds?
    /// 1 for the first token, one more for each rotation.
    public var generation: Int64
    public var created: UnixMilliseconds
    public var lastAccess: UnixMilliseconds
    /// Span without access after which the session ends.
    public var idle: Milliseconds
    /// When the session ends whatever happens; moved by LOGIN, EXPIRE, and a ROTATE with ABSOLUTE.
    public var absoluteEnd: UnixMilliseconds
    /// When the subject last proved who they are; nil if nobody did.
    public var authTime: UnixMilliseconds?
    /// When a LOGIN last renewed the session; nil where none did since it was made.
    public var renewedByLogin: UnixMilliseconds?
    /// The place of its last login among its subject's, which rises; nil where no limit was kept then.
    public var loginNumber: Int64?
    /// Whether the client's cookie is to outlive the browser; nil where nobody said: not until limits are given.
    public var isPersistent: Bool?
    /// The token before the current one, unless that one was forced.
    public var previous: PreviousToken?
    /// Tokens before the previous one, newest first, at most `maxRemembered`.
    public var remembered: [RememberedToken]
    /// Generation made by the last LOGIN or ROTATE; 0 if there was none. Older tokens never end the session.
    public var forcedGeneration: Int64
    public var login: LoginMemo?
    /// 32 bytes that the session's CSRF tokens depend on; nil (meaning zeros) until the first forced rotation.
    public var csrfSalt: Digest?
    /// The salt before the last forced rotation; nil (meaning zeros) where that was the first.
    public var formerSalt: Digest?
    /// The page-only guest of the token that the last LOGIN or ROTATE was called with: its forms are outdated, not
    /// forged.
    public var pageGuest: SessionID?
    /// Whose session it is; empty for an anonymous one. At most `maxSubject` bytes.
    public var subject: [UInt8]
    /// What of the client the session is bound to; empty for most.
    public var bindings = Bindings()

    public static let maxRemembered = 7
    public static let maxSubject = 256

    /// A new session with its first token.
    public init(
        token digest: Digest, subject: [UInt8], idle: Milliseconds, absolute: Milliseconds, now: UnixMilliseconds
    ) {
        revision = 1
        current = digest
        confirmedAt = now
        generation = 1
        created = now
        lastAccess = now
        self.idle = idle
        absoluteEnd = now + absolute
        remembered = []
        forcedGeneration = 0
        self.subject = subject
    }

    /// A guest as the session of generation 0 that it is, stored nowhere yet: rotation, LOGIN and ROTATE of it make
    /// the session that is stored. It lives as long as the guest would have: a cart does not shorten a visit.
    /// - Parameter digest: of the verifier that stands for the guest's token.
    public init(guest: Guest, digest: Digest, now: UnixMilliseconds) {
        let idle: Milliseconds = max(1, guest.expires - guest.issued).multipliedSaturating(by: 1_000)
        self.init(token: digest, subject: [], idle: idle, absolute: 0, now: now)
        revision = 0
        generation = 0
        created = min(now, guest.made.milliseconds)
        absoluteEnd = guest.end.milliseconds
        bindings = guest.bindings
    }

    /// Whether there is such a record in Redis. Where not, it is a guest's, and what is decided on it is written only if there
    /// is none still.
    public var isStored: Bool { revision > 0 }

    /// When Redis removes the session by itself: the native TTL of its key.
    public var expireAt: UnixMilliseconds { min(lastAccess + idle, absoluteEnd) }

    /// Whose forms were this session's before its last LOGIN or ROTATE.
    public func formerHolders(sid: SessionID) -> [CSRFHolder] {
        (forcedGeneration > 0 && csrfSalt != nil ? [CSRFHolder(sid: sid, salt: formerSalt)] : [])
            + (pageGuest.map { [CSRFHolder(sid: $0)] } ?? [])
    }
}

/// The token that the current one replaced.
public struct PreviousToken: Equatable, Sendable {
    public var digest: Digest
    /// The current token's verifier, sealed under this token's.
    public var sealedSuccessor: SealedVerifier
    public var rotatedAt: UnixMilliseconds

    public init(digest: Digest, sealedSuccessor: SealedVerifier, rotatedAt: UnixMilliseconds) {
        self.digest = digest
        self.sealedSuccessor = sealedSuccessor
        self.rotatedAt = rotatedAt
    }
}

/// A retired token, known by the first 8 bytes of its digest: enough to tell a replay from a made-up verifier.
public struct RememberedToken: Equatable, Sendable {
    public var prefix: UInt64
    public var retiredAt: UnixMilliseconds
    /// When its overlap would have ended had nothing cut it short; not before `retiredAt`.
    public var overlapEnd: UnixMilliseconds

    public init(prefix: UInt64, retiredAt: UnixMilliseconds, overlapEnd: UnixMilliseconds) {
        self.prefix = prefix
        self.retiredAt = retiredAt
        self.overlapEnd = overlapEnd
    }
}

/// What a repeated LOGIN with the same old token and subject is answered with. Only LOGIN opens it, and CHECK asks
/// whether a token would.
public struct LoginMemo: Equatable, Sendable {
    /// The session the LOGIN led to: the same one, or the new one beside a tombstone.
    public var sid: SessionID
    /// Digest of the token that LOGIN gave out.
    public var digest: Digest
    /// That token's verifier, sealed under the token that was current when LOGIN was called.
    public var sealed: SealedVerifier
    public var subjectDigest: Digest
    public var until: UnixMilliseconds
    /// Set where the token before the current one was still good: it opens the memo in two steps.
    public var firstStep: FirstStep?

    /// The token that was current when LOGIN was called, sealed under the one before it.
    public struct FirstStep: Equatable, Sendable {
        public var digest: Digest
        public var sealed: SealedVerifier

        public init(digest: Digest, sealed: SealedVerifier) {
            self.digest = digest
            self.sealed = sealed
        }
    }

    public init(
        sid: SessionID, digest: Digest, sealed: SealedVerifier, subjectDigest: Digest, until: UnixMilliseconds,
        firstStep: FirstStep? = nil
    ) {
        self.sid = sid
        self.digest = digest
        self.sealed = sealed
        self.subjectDigest = subjectDigest
        self.until = until
        self.firstStep = firstStep
    }
}

/// Why a session was ended.
public enum EndReason: String, Sendable, CaseIterable {
    case logout
    case logoutAll = "logout-all"
    case login
    case replay
    /// The subject had more sessions than it may have.
    case limit
    case admin
}

/// What is left of an ended session for `session.tombstone`: it answers any verifier.
public struct Tombstone: Equatable, Sendable {
    public var reason: EndReason
    /// Set where a LOGIN of another subject ended this session: leads its repetition to the same new session.
    public var login: LoginMemo?
    /// When Redis removes it; nil in one that a daemon wrote which did not say so.
    public var until: UnixMilliseconds?
    /// What the session's CSRF tokens depended on, kept beside a LOGIN's memo.
    public var csrfSalt: Digest?
    /// Tokens with which LOGIN was called after the end, by the first 8 bytes of their digests, newest first, at most
    /// `maxMarks`: who presents one may hold a newer token.
    public var marks: [UInt64] = []

    public static let maxMarks = 7

    public init(
        reason: EndReason, login: LoginMemo? = nil, until: UnixMilliseconds? = nil, csrfSalt: Digest? = nil
    ) {
        self.reason = reason
        self.login = login
        self.until = until
        self.csrfSalt = csrfSalt
    }

    /// Whether LOGIN was called with this token, before the end or after it.
    public func wasLoggedInWith(_ digest: Digest) -> Bool { reason == .login || marks.contains(digest.prefix) }
}

/// What stands under a session's key.
public indirect enum StoredSession: Equatable, Sendable {
    case absent
    case live(SessionRecord)
    case ended(Tombstone)
}
