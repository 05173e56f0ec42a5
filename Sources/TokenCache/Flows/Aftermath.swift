internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// What follows for the holder of a token that is refused.
struct Aftermath {
    /// A LOGIN, ROTATE or rotation has replaced it so lately that the browser may have the newer token, or get it soon: no
    /// cookie may overwrite that.
    var mayHoldNewer = false
    /// The holder that the token had before a LOGIN, while that may be repeated.
    var formerHolder: CSRFHolder?
}

extension FlowContext {
    /// - Parameter session: what stands there, of which the token was refused.
    func aftermath(of session: StoredSession, _ claim: Claim) throws -> Aftermath {
        let now = try now()
        switch session {
        case .absent: return Aftermath()
        case .ended(let tombstone):
            return Aftermath(
                mayHoldNewer: tombstone.wasLoggedInWith(claim.digest),
                formerHolder: try tombstone.formerHolder(of: claim.token, now: now, crypto))
        case .live(let record):
            guard let retirement = record.retirement(of: claim.digest, policy: policy) else { return Aftermath() }
            return Aftermath(
                mayHoldNewer: now < retirement.at + policy.replayGrace,
                formerHolder: try record.formerHolder(of: claim.token, now: now, crypto))
        }
    }
}
