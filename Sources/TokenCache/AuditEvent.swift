public import Tokens
public import UnixTime

/// Who asked: the process at the other end of a connection, as the kernel told when it connected.
public struct AuditPeer: Equatable, Sendable {
    public var userID: UInt32
    public var processID: Int32

    public init(userID: UInt32, processID: Int32) {
        self.userID = userID
        self.processID = processID
    }
}

/// What an auditor wants to know of: never a token, and nothing of the sessions of nobody but their ends.
public struct AuditEvent: Equatable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        /// A session with a subject was made.
        case issue
        case login
        /// A session ended; `reason` is why.
        case end
        /// Everyone was logged out.
        case everyone
        /// A retired token came back.
        case replay
        /// A peer whose role is `none` was refused.
        case denied
        /// The configuration was read again; `reason` is what came of it.
        case reload
        /// A key ring is in force; `reason` says since when.
        case keyring
    }

    public var kind: Kind
    public var sid: SessionID?
    /// Empty where there is none or it is not known.
    public var subject: [UInt8]
    public var peer: AuditPeer?
    public var reason: String?
    /// Of the key ring.
    public var fingerprint: String?
    /// Redis did not say whether it came to pass: a later line does, or nobody knows.
    public var isUnconfirmed = false

    public init(
        _ kind: Kind, sid: SessionID? = nil, subject: [UInt8] = [], peer: AuditPeer? = nil, reason: String? = nil,
        fingerprint: String? = nil
    ) {
        self.kind = kind
        self.sid = sid
        self.subject = subject
        self.peer = peer
        self.reason = reason
        self.fingerprint = fingerprint
    }
}

extension TokenService {
    /// The time of an event: Redis's by estimate, or this host's before Redis was reached.
    public var auditTime: UnixMilliseconds { store.bestClock }
}
