public import EventLoop
internal import TokenCrypto
public import Tokens
public import UnixTime

/// Where the browser says that a request comes from (`Sec-Fetch-Site`, W3C Fetch Metadata).
public enum FetchSite: Sendable {
    case sameOrigin, sameSite, crossSite
    /// `none`: the user alone, by a bookmark or the address bar.
    case userAlone
    /// Something that the standard does not know.
    case other
}

/// What kind of request it is (`Sec-Fetch-Mode`).
public enum FetchMode: Sendable {
    /// A page that the browser goes to.
    case navigate
    /// An image, a script, a poll: anything else.
    case other
}

/// A form that came back: what CHECK and CSRF.VERIFY judge.
public struct FormCheck: Sendable {
    /// The CSRF token as it was sent.
    public var csrf: [UInt8]
    /// The form's name.
    public var form: [UInt8]
    /// Nil where the browser did not say.
    public var site: FetchSite?

    public init(csrf: [UInt8], form: [UInt8], site: FetchSite?) {
        self.csrf = csrf
        self.form = form
        self.site = site
    }
}

/// For whom forms and captchas are made, and by whom they are judged.
public struct FormHolder: Sendable {
    public var holder: CSRFHolder
    /// Whose forms are as good: the holder that a token had before LOGIN, a page-only guest under another key.
    var others: [CSRFHolder] = []
    /// Whose forms were this holder's before a LOGIN or ROTATE; nil where that is known to Redis only.
    var former: [CSRFHolder]?

    init(_ holder: CSRFHolder, others: [CSRFHolder] = [], former: [CSRFHolder]? = []) {
        self.holder = holder
        self.others = others
        self.former = former
    }

    /// Of a session, all of which is known.
    init(_ record: SessionRecord, sid: SessionID) {
        self.init(CSRFHolder(sid: sid, salt: record.csrfSalt), former: record.formerHolders(sid: sid))
    }

    /// Whose captchas may be answered.
    public var sids: [SessionID] { [holder.sid] + others.map(\.sid) }
}

/// CSRF tokens, and the holders of forms and captchas.
extension TokenService {
    /// Who holds a token, without an access: nothing is renewed, rotated or confirmed.
    /// - Parameters:
    ///   - arrival: when the request was read.
    ///   - done: asked for where Redis has to be asked.
    /// - Returns: the answer where the near cache or a guest's token has it.
    public func holder(
        _ presented: Presented, at arrival: MonotonicInstant, _ done: @autoclosure () -> Completion<Judged<FormHolder>>
    ) throws(ServiceFault) -> Judged<FormHolder>? {
        if let known = try knownHolder(presented, at: arrival) {
            countHit(of: presented)
            return known
        }
        begin(at: arrival, done()) { Checked(try claim(presented).map(HolderFlow.init)) }
        return nil
    }

    /// The same where it is known at once. It is counted as a hit by who answers with it.
    func knownHolder(
        _ presented: Presented, at arrival: MonotonicInstant
    ) throws(ServiceFault) -> Judged<FormHolder>? {
        switch presented.credential {
        case .refused(let refusal): return .refused(refusal)
        case .session(let token):
            guard let entry = current(token, presented.signals, at: arrival) else { return nil }
            return .accepted(
                FormHolder(CSRFHolder(sid: token.sid, salt: entry.pointee.details?.csrfSalt), former: nil))
        case .guest(let guest):
            guard !mustAsk(standing(of: guest, at: arrival)) else { return nil }
            do { return try holder(guest, presented.signals) } catch { throw ServiceFault(error) }
        }
    }

    /// A session's token was judged without asking Redis.
    func countHit(of presented: Presented) {
        if case .session = presented.credential { sessions?.countHit() }
    }

    /// CSRF.VERIFY: whether a form was made for who holds the token.
    /// - Parameters: as for `holder`.
    public func verify(
        _ form: FormCheck, heldBy presented: Presented, at arrival: MonotonicInstant,
        _ done: @autoclosure () -> Completion<Judged<CSRFCheck>>
    ) throws(ServiceFault) -> Judged<CSRFCheck>? {
        switch try knownHolder(presented, at: arrival) {
        case .refused(let refusal)?: return .refused(refusal)
        case .accepted(let holder)?:
            if let check = try checkForm(form, holder) {
                countHit(of: presented)
                return .accepted(check)
            }
        case nil: break
        }
        let done = done()
        begin(at: arrival) { [self] (result: Result<Judged<FormHolder>, ServiceFault>) in
            done(
                result.flatMap { judged in
                    Result { () throws(ServiceFault) in
                        try judged.map { holder throws(ServiceFault) in try checkForm(form, holder) ?? .failed }
                    }
                })
        } _: {
            Checked(try claim(presented).map(HolderFlow.init))
        }
        return nil
    }

    /// A CSRF token for the holder's form, and for how long it is good. No two are the same.
    public func issueCSRF(form: [UInt8], _ holder: CSRFHolder) throws(ServiceFault) -> (
        csrf: [UInt8], expiresIn: Seconds
    ) {
        do {
            let csrf = try stateless.newCSRF(form: form, holder: holder, now: guestSeconds)
            counters.csrfIssued &+= 1
            return (csrf, stateless.policy.csrfLifetime)
        } catch { throw ServiceFault(error) }
    }

    /// A CSRF token for the form that comes behind a LOGIN or ROTATE.
    public func issueCSRF(form: [UInt8], for view: SessionView) throws(ServiceFault) -> [UInt8] {
        try issueCSRF(form: form, view.formHolder.holder).csrf
    }

    /// - Returns: nil where the form is none of the holder's, and whether it was is known to Redis only.
    func checkForm(_ form: FormCheck, _ holder: FormHolder) throws(ServiceFault) -> CSRFCheck? {
        let check = try stateless.checkForm(form, holder: holder, now: guestSeconds)
        // What the browser says of itself needs nobody else.
        let isFinal = stateless.policy.refuses(form.site) || holder.former != nil
        switch check {
        case .passed: counters.csrfPassed &+= 1
        case .outdated: counters.csrfOutdated &+= 1
        case .failed where !isFinal: return nil
        case .failed, .expired: counters.csrfFailed &+= 1
        }
        return check
    }

    /// Who a token is that is refused, where its bearer may hold a newer one: a guest for a page only.
    /// - Parameters:
    ///   - token: a session's 64 bytes, or any other text as it was sent.
    ///   - former: the holder that the token had before a LOGIN.
    func pageHolder(of token: [UInt8], former: CSRFHolder?) throws -> FormHolder {
        let guests = try stateless.pageGuests(of: token, now: guestSeconds).map { CSRFHolder(sid: $0) }
        guard let holder = guests.first else { throw ServiceFault.noKeys }
        return FormHolder(holder, others: guests.dropFirst() + (former.map { [$0] } ?? []))
    }

    /// The page-only guest of a token as it was sent; nil without a key ring, or for an empty one.
    public func pageGuest(of text: UnsafeRawBufferPointer) -> SessionID? {
        guard !text.isEmpty else { return nil }
        return try? pageHolder(of: Self.tokenBytes(text), former: nil).holder.sid
    }

    /// What page-only guests are derived from, one for all the forms in which a token may be written.
    static func tokenBytes(_ text: UnsafeRawBufferPointer) -> [UInt8] {
        guard let token = SessionToken(text: text) else { return Array(text) }
        return token.sid.bytes + token.verifier.bytes
    }

    /// The rules in force.
    public var statelessPolicy: StatelessPolicy { stateless.policy }

    /// Tells key rings apart and reveals nothing of them; nil where there is none.
    public var keyFingerprint: String? { stateless.sealer?.fingerprint }

    /// Whether a key of the ring sealed so many captchas that it should be replaced (`tokencachectl keyring rotate`).
    public var isKeyWorn: Bool { stateless.sealer?.isNonceWarningDue ?? false }

    /// What needs a key ring, asked before anything else is done.
    public func requireKeys() throws(ServiceFault) {
        guard stateless.sealer != nil else { throw .noKeys }
    }
}
