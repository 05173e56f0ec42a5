public import EventLoop
public import Tokens

/// Where the browser says that a request comes from (`Sec-Fetch-Site`, W3C Fetch Metadata).
public enum FetchSite: Sendable {
    case sameOrigin, sameSite, crossSite
    /// `none`: the user alone, by a bookmark or the address bar.
    case userAlone
    /// Something that the standard does not know.
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

/// CSRF tokens, and the holders of forms and captchas.
extension TokenService {
    /// Who holds a token, without an access: nothing is renewed, rotated or confirmed.
    /// - Parameters:
    ///   - arrival: when the request was read.
    ///   - done: asked for where Redis has to be asked.
    /// - Returns: the answer where the near cache or a guest's token has it.
    public func holder(
        _ presented: Presented, at arrival: MonotonicInstant, _ done: @autoclosure () -> Completion<Judged<CSRFHolder>>
    ) throws(ServiceFault) -> Judged<CSRFHolder>? {
        if let known = try knownHolder(presented, at: arrival) { return known }
        begin(at: arrival, done()) { Checked(try claim(presented).map(HolderFlow.init)) }
        return nil
    }

    func knownHolder(
        _ presented: Presented, at arrival: MonotonicInstant
    ) throws(ServiceFault) -> Judged<CSRFHolder>? {
        switch presented.credential {
        case .refused(let refusal): return .refused(refusal)
        case .session(let token):
            guard let entry = current(token, presented.signals, at: arrival) else { return nil }
            sessions?.countHit()
            return .accepted(CSRFHolder(sid: token.sid, salt: entry.pointee.details?.csrfSalt))
        case .guest(let guest):
            guard !mustAsk(standing(of: guest, at: arrival)) else { return nil }
            do { return try holder(guest, presented.signals) } catch { throw ServiceFault(error) }
        }
    }

    /// A CSRF token for the holder's form, and for how many seconds it is good. No two are the same.
    public func issueCSRF(form: [UInt8], _ holder: CSRFHolder) throws(ServiceFault) -> (csrf: [UInt8], expiresIn: Int64)
    {
        do {
            let csrf = try stateless.newCSRF(form: form, holder: holder, now: guestSeconds)
            counters.csrfIssued &+= 1
            return (csrf, stateless.policy.csrfLifetime)
        } catch { throw ServiceFault(error) }
    }

    public func check(_ form: FormCheck, _ holder: CSRFHolder) throws(ServiceFault) -> CSRFCheck {
        let check = try stateless.check(form, holder: holder, now: guestSeconds)
        if check == .passed { counters.csrfPassed &+= 1 } else { counters.csrfFailed &+= 1 }
        return check
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
