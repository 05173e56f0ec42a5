internal import EventLoop
internal import TokenCrypto
public import Tokens
internal import UnixTime

/// A token as a request brought it, judged as far as that goes without Redis.
public enum Credential: Sendable {
    case session(SessionToken)
    /// Sealed by this key ring, within its limits.
    case guest(Guest)
    /// Good for nothing, whatever is stored.
    case refused(Refusal)
}

/// What a request presents: a token, and what it says of the client.
public struct Presented: Sendable {
    public var credential: Credential
    public var signals: Signals
    /// A guest's token as it was sent; what else page-only guests are derived from is in the credential.
    var guestText: [UInt8] = []

    public init(_ credential: Credential, _ signals: Signals = Signals()) {
        self.credential = credential
        self.signals = signals
    }

    /// - Parameter text: the token as it was sent.
    public init(_ credential: Credential, _ text: UnsafeRawBufferPointer, _ signals: Signals) {
        self.init(credential, signals)
        if case .guest = credential { guestText = Array(text) }
    }

    /// The session that the token is of, or would be.
    var sid: SessionID? {
        switch credential {
        case .session(let token): token.sid
        case .guest(let guest): guest.sid
        case .refused: nil
        }
    }
}

/// A token in the terms of stored sessions: which session, and which verifier to judge.
struct Claim {
    var token: SessionToken
    /// Of the token's verifier.
    var digest: Digest
    /// Set where a guest's token was presented: `token` then holds the verifier that stands for it in a record.
    let guest: Guest?
    let signals: Signals
    /// A guest's token as it was sent.
    var guestText: [UInt8] = []

    /// What page-only guests are derived from.
    var text: [UInt8] { guest == nil ? token.sid.bytes + token.verifier.bytes : guestText }

    var sid: SessionID { token.sid }
}

extension TokenService {
    /// Reads a token as clients send it.
    /// - Throws: `noKeys` for what may be a guest's token where there is no key ring: nobody knows.
    public func credential(_ text: UnsafeRawBufferPointer) throws(ServiceFault) -> Credential {
        if let token = SessionToken(text: text) { return .session(token) }
        guard StatelessTokens.looksSealed(text) else { return .refused(.unknown) }
        switch try stateless.openGuest(text, now: guestSeconds, latest: firstSecond) {
        case .valid(let guest):
            return isEndedAsked(guest) ? .refused(.revoked(.admin)) : .guest(guest)
        case .expired: return .refused(.expired)
        case .unknown: return .refused(.unknown)
        }
    }

    /// From when on guests are made, where everyone was logged out: they are judged by whole seconds, and one of the epoch's
    /// own second would be from before it. That may be in the future: Redis's clock was set back, or another's is behind.
    var firstSecond: UnixSeconds { max(guestSeconds, store.epoch.moment.map { $0.seconds + 1 } ?? guestSeconds) }

    /// Whether everyone was logged out since the guest was first made.
    private func isEndedAsked(_ guest: Guest) -> Bool {
        if !store.epoch.isCertain { refreshEpoch() }
        return isEnded(guest)
    }

    /// How often the epoch is read where nobody tells of it: guests are answered without Redis.
    static let epochInterval = Duration.seconds(1)

    /// Where nobody tells of the epoch it is read all the time, so that the first guest after a pause is judged by it, too.
    /// And who did not answer, or was not told, is asked and told again.
    func mindEpoch() {
        guard store.isReady else { return }
        if stateless.hasKeys, !(sessions?.isTelling ?? false) {
            epochReadAt = store.instant
            store.epoch.doubt()
        }
        store.mindEpoch()
    }

    private func refreshEpoch() {
        guard store.isReady, epochReadAt.duration(to: store.instant) >= Self.epochInterval else { return }
        epochReadAt = store.instant
        store.epoch.doubt()
    }

    /// The claim of a token that can be one.
    func claim(_ presented: Presented) throws -> Judged<Claim> {
        switch presented.credential {
        case .refused(let refusal): .refused(refusal)
        case .session(let token): .accepted(try claim(token, presented.signals))
        case .guest(let guest): .accepted(try claim(guest, presented.guestText, presented.signals))
        }
    }

    func claim(_ token: SessionToken, _ signals: Signals) throws -> Claim {
        Claim(token: token, digest: try crypto.digest(token.verifier), guest: nil, signals: signals)
    }

    func claim(_ guest: Guest, _ text: [UInt8] = [], _ signals: Signals) throws -> Claim {
        guard let verifier = try stateless.verifiers(of: guest).first else { throw ServiceFault.noKeys }
        return Claim(
            token: SessionToken(sid: guest.sid, verifier: verifier), digest: try crypto.digest(verifier), guest: guest,
            signals: signals, guestText: text)
    }
}

extension FlowContext {
    /// What stands under the key, for the one who claims it: where nothing is stored, a guest is its own session.
    func adopt(_ copy: StoredCopy, for claim: inout Claim, now: UnixMilliseconds) throws -> StoredCopy {
        guard let guest = claim.guest else { return copy }
        switch copy.session {
        case .ended:
            noteSession(ofGuest: guest.sid)
            return copy
        case .absent:
            // Redis may have told since the token was read that everyone was logged out.
            guard !isEnded(guest) else { return StoredCopy(session: .ended(Tombstone(reason: .admin)), data: []) }
            var record = SessionRecord(guest: guest, digest: claim.digest, now: now)
            record.created = bornAfterEpoch(record.created)
            return StoredCopy(session: .live(record), data: [])
        case .live(let record):
            noteSession(ofGuest: guest.sid)
            // The guest's token may have been renewed under another key since the session was made of it.
            for verifier in try stateless.verifiers(of: guest) {
                let digest = try crypto.digest(verifier)
                guard record.standing(of: digest, policy: policy, now: now).isOwn else { continue }
                claim.token.verifier = verifier
                claim.digest = digest
                break
            }
            return copy
        }
    }

    /// Whether what the call says of the client is what the session is bound to.
    func checkBindings(_ record: SessionRecord, _ claim: Claim) throws -> BindingVerdict {
        guard !record.bindings.isEmpty else { return BindingVerdict() }
        return try stateless.checkBindings(record.bindings, claim.signals, now: guestSeconds)
    }
}
