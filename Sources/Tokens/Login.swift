public import TokenCrypto
public import UnixTime

/// What LOGIN does with the token it was called with.
public enum LoginDecision: Equatable, Sendable {
    /// The session is this subject's from now on, under a new token.
    case renew(SessionRecord)
    /// The session is another subject's: end it, and make a new one.
    case replace(SessionRecord)
    /// This LOGIN was already carried out, at `since`: the same answer again.
    case repeatAnswer(SessionToken, since: UnixMilliseconds)
    /// Nothing to build on: make a new session, leave what is stored alone.
    case fresh
}

extension StoredSession {
    /// Decides a LOGIN. `digest` is that of the presented verifier, `now` is by Redis's clock.
    public func decideLogin(
        token: SessionToken, digest: Digest, subject: [UInt8], policy: TokenPolicy, now: UnixMilliseconds,
        crypto: CryptoContext
    ) throws(CryptoError) -> LoginDecision {
        switch self {
        case .absent:
            return .fresh
        case .ended(let tombstone):
            return try repeated(
                tombstone.login, token: token, subject: subject, policy: policy, now: now, crypto: crypto) ?? .fresh
        case .live(let record):
            guard record.standing(of: digest, policy: policy, now: now).isAccepted else {
                let memo = record.login.flatMap { $0.digest == record.current ? $0 : nil }
                return try repeated(
                    memo, token: token, subject: subject, policy: policy, now: now, crypto: crypto) ?? .fresh
            }
            return record.subject.isEmpty || record.subject == subject ? .renew(record) : .replace(record)
        }
    }

    private func repeated(
        _ memo: LoginMemo?, token: SessionToken, subject: [UInt8], policy: TokenPolicy, now: UnixMilliseconds,
        crypto: CryptoContext
    ) throws(CryptoError) -> LoginDecision? {
        guard let memo, now < memo.until, try crypto.digest(subject) == memo.subjectDigest,
            let verifier = try memo.open(by: token, crypto)
        else { return nil }
        return .repeatAnswer(
            SessionToken(sid: memo.sid, verifier: verifier), since: memo.until - policy.rotationOverlap)
    }
}

extension LoginMemo {
    /// The verifier that LOGIN gave out, opened by the token that was current then or by the one before it; nil for any
    /// other token.
    public func open(by token: SessionToken, _ crypto: CryptoContext) throws(CryptoError) -> Verifier? {
        if let verifier = try crypto.open(sealed, under: token.verifier, sid: token.sid, digest: digest) {
            return verifier
        }
        guard let firstStep,
            let current = try crypto.open(
                firstStep.sealed, under: token.verifier, sid: token.sid, digest: firstStep.digest)
        else { return nil }
        return try crypto.open(sealed, under: current, sid: token.sid, digest: digest)
    }
}

/// What a LOGIN makes of a session.
public struct LoginTerms: Sendable {
    public var subject: [UInt8]
    public var idle: Milliseconds
    public var absolute: Milliseconds
    /// Whether the cookie is to outlive the browser; nil where nobody said.
    public var isPersistent: Bool?
    /// When the subject proved who they are; nil if nobody did.
    public var authTime: UnixMilliseconds?

    public init(
        subject: [UInt8], idle: Milliseconds, absolute: Milliseconds, isPersistent: Bool?, authTime: UnixMilliseconds?
    ) {
        self.subject = subject
        self.idle = idle
        self.absolute = absolute
        self.isPersistent = isPersistent
        self.authTime = authTime
    }
}

extension SessionRecord {
    /// The record after a LOGIN: a forced rotation with new limits, this subject, and a memo for its repetition.
    public func loggedIn(
        to successor: Digest, csrfSalt: Digest, pageGuest: SessionID?, memo: LoginMemo, _ terms: LoginTerms,
        policy: TokenPolicy, now: UnixMilliseconds
    ) -> SessionRecord {
        var next = forced(to: successor, csrfSalt: csrfSalt, pageGuest: pageGuest, policy: policy, now: now)
        next.login = memo
        next.apply(terms, now: now)
        next.renewedByLogin = now
        return next
    }

    /// Sets subject and limits, which count from now.
    public mutating func apply(_ terms: LoginTerms, now: UnixMilliseconds) {
        subject = terms.subject
        idle = terms.idle
        absoluteEnd = now + terms.absolute
        isPersistent = terms.isPersistent
        authTime = terms.authTime
    }

    /// The holder whose forms a token is judged by that LOGIN retired, while the memo lives and the token opens it.
    public func formerHolder(
        of token: SessionToken, now: UnixMilliseconds, _ crypto: CryptoContext
    ) throws(CryptoError) -> CSRFHolder? {
        guard let login, login.digest == current, now < login.until, try login.open(by: token, crypto) != nil else {
            return nil
        }
        return CSRFHolder(sid: token.sid, salt: formerSalt)
    }
}

extension Tombstone {
    /// The same of a session that LOGIN ended.
    public func formerHolder(
        of token: SessionToken, now: UnixMilliseconds, _ crypto: CryptoContext
    ) throws(CryptoError) -> CSRFHolder? {
        guard let login, now < login.until, try login.open(by: token, crypto) != nil else { return nil }
        return CSRFHolder(sid: token.sid, salt: csrfSalt)
    }
}
