public import TokenCrypto

/// What LOGIN does with the token it was called with.
public enum LoginDecision: Equatable, Sendable {
    /// The session is this subject's from now on, under a new token.
    case renew(SessionRecord)
    /// The session is another subject's: end it, and make a new one.
    case replace(SessionRecord)
    /// This LOGIN was already carried out, at `since`: the same answer again.
    case repeatAnswer(SessionToken, since: Milliseconds)
    /// Nothing to build on: make a new session, leave what is stored alone.
    case fresh
}

extension StoredSession {
    /// Decides a LOGIN. `digest` is that of the presented verifier, `now` Redis's time in milliseconds.
    public func decideLogin(
        token: SessionToken, digest: Digest, subject: [UInt8], policy: TokenPolicy, now: Milliseconds,
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
        _ memo: LoginMemo?, token: SessionToken, subject: [UInt8], policy: TokenPolicy, now: Milliseconds,
        crypto: CryptoContext
    ) throws(CryptoError) -> LoginDecision? {
        guard let memo, now < memo.until, try crypto.digest(subject) == memo.subjectDigest,
            let verifier = try crypto.open(memo.sealed, under: token.verifier, sid: token.sid, digest: memo.digest)
        else { return nil }
        return .repeatAnswer(
            SessionToken(sid: memo.sid, verifier: verifier), since: memo.until.subtracting(policy.rotationOverlap))
    }
}

extension SessionRecord {
    /// The record after a LOGIN: a forced rotation with new limits, this subject, and a memo for its repetition.
    public func loggedIn(
        to successor: Digest, csrfSalt: Digest, memo: LoginMemo, subject: [UInt8], idle: Milliseconds,
        absolute: Milliseconds, policy: TokenPolicy, now: Milliseconds
    ) -> SessionRecord {
        var next = forced(to: successor, csrfSalt: csrfSalt, policy: policy, now: now)
        next.login = memo
        next.subject = subject
        next.idle = idle
        next.absoluteEnd = now.adding(absolute)
        return next
    }
}
