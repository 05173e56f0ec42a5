internal import TokenCrypto
public import Tokens
public import UnixTime

/// The operator's rules for what is sealed and stored nowhere.
public struct StatelessPolicy: Sendable, Equatable {
    /// Of a guest token. > 0.
    public var guestLifetime: Seconds
    /// Of a guest, from its first token on. > 0.
    public var guestAbsolute: Seconds
    /// > 0.
    public var csrfLifetime: Seconds
    /// Whether a form must come from the site itself where the browser says where it comes from.
    public var requiresSameOrigin: Bool
    /// > 0.
    public var captchaLifetime: Seconds
    /// Characters of a solution, 1…`CaptchaAlphabet.longest`.
    public var captchaLength: Int
    public var bindings: BindingPolicy
    /// Whether captchas are bound by rules of their own.
    public var captchaBinding: CaptchaBinding

    public init(
        guestLifetime: Seconds = 24 * 3_600, guestAbsolute: Seconds = 30 * 86_400, csrfLifetime: Seconds = 12 * 3_600,
        requiresSameOrigin: Bool = false, captchaLifetime: Seconds = 600, captchaLength: Int = 5,
        bindings: BindingPolicy = BindingPolicy(), captchaBinding: CaptchaBinding = .inherit
    ) {
        self.guestLifetime = guestLifetime
        self.guestAbsolute = guestAbsolute
        self.csrfLifetime = csrfLifetime
        self.requiresSameOrigin = requiresSameOrigin
        self.captchaLifetime = captchaLifetime
        self.captchaLength = captchaLength
        self.bindings = bindings
        self.captchaBinding = captchaBinding
    }

    /// Whether a form is refused because of where its request comes from, whatever its token.
    func refuses(_ site: FetchSite?) -> Bool {
        switch site {
        case .crossSite?: true
        case .sameSite?, .other?: requiresSameOrigin
        case .sameOrigin?, .userAlone?, nil: false
        }
    }

    /// Of captchas.
    public var captchaBindings: BindingPolicy {
        var policy = bindings
        switch captchaBinding {
        case .inherit: break
        case .off: (policy.ip, policy.userAgent) = (.off, .off)
        case .strict: policy.ip = .strict
        }
        return policy
    }
}

/// How captchas are bound (`captcha.binding`).
public enum CaptchaBinding: String, CaseIterable, Sendable {
    /// As all tokens are.
    case inherit
    /// Not at all.
    case off
    /// To the address, whatever other tokens are bound to.
    case strict
}

/// The key ring at work: guests, CSRF tokens, captchas and bindings, sealed and opened without asking anybody.
///
/// Owned by the loop's thread.
final class StatelessTokens {
    var policy: StatelessPolicy
    private var verified = VerifiedGuests()
    /// Nil where there is no key ring.
    private(set) var sealer: Sealer?
    /// Whether there can be guests.
    var hasKeys: Bool { sealer != nil }
    var random: any RandomSource

    init(policy: StatelessPolicy, sealer: Sealer?, random: any RandomSource) {
        self.policy = policy
        self.sealer = sealer
        self.random = random
    }

    /// Puts a new ring in the place of the old one.
    func replace(_ ring: KeyRing, prefix: [UInt8]) throws(CryptoError) {
        sealer = try Sealer(ring: ring, prefix: prefix, replacing: sealer)
        // A token of a key that was taken out is good no longer.
        verified.removeAll()
    }

    private func ring() throws(ServiceFault) -> Sealer {
        guard let sealer else { throw .noKeys }
        return sealer
    }

    /// The same for making a token: some key must be active.
    private func ring(sealingAt now: UnixSeconds) throws(ServiceFault) -> Sealer {
        let ring = try ring()
        guard ring.canSeal(at: now) else { throw .noKeys }
        return ring
    }

    /// Whether a text may be a compact JWS or JWE: JSON in base64url, and dots. Nothing else begins like that.
    static func looksSealed(_ text: UnsafeRawBufferPointer) -> Bool {
        text.count > 3 && text[0] == UInt8(ascii: "e") && text[1] == UInt8(ascii: "y")
            && text.contains(UInt8(ascii: "."))
    }

    // MARK: Guests

    /// - Parameter latest: until when guests may have been issued; a minute more is believed.
    func openGuest(
        _ text: UnsafeRawBufferPointer, now: UnixSeconds, latest: UnixSeconds
    ) throws(ServiceFault) -> Opened<Guest> {
        let ring = try ring()
        if let guest = verified.find(text) { return now < guest.expires && now < guest.end ? .valid(guest) : .expired }
        let opened = ring.openGuest(text, now: now, latest: latest)
        if case .valid(let guest) = opened { verified.insert(guest, text) }
        return opened
    }

    func verifiers(of guest: Guest) throws -> [Verifier] { try ring().guestVerifiers(guest) }

    /// A new guest and its token.
    func newGuest(lifetime: Seconds?, _ signals: Signals, now: UnixSeconds) throws -> (guest: Guest, text: [UInt8]) {
        let ring = try ring(sealingAt: now)
        var guest = guest(sid: try random.bytes(), lifetime: lifetime, now: now)
        guest.bindings = try ring.bind(signals, policy: policy.bindings, now: now)
        return (guest, try ring.seal(guest, now: now))
    }

    /// A guest from now on, bound to nothing.
    func guest(sid: SessionID, lifetime: Seconds?, now: UnixSeconds) -> Guest {
        let end = now + policy.guestAbsolute
        return Guest(
            sid: sid, issued: now, expires: min(now + (lifetime ?? policy.guestLifetime), end), end: end)
    }

    /// Whether a guest's token is to be renewed: by a navigation past half of its life, by any other request in the last
    /// quarter; not where the guest's end leaves nothing to renew.
    func isRenewalDue(_ guest: Guest, isNavigation: Bool, now: UnixSeconds) -> Bool {
        let (lifetime, age) = (guest.expires - guest.issued, now - guest.issued)
        guard min(now + lifetime, guest.end) > guest.expires else { return false }
        return isNavigation ? age > lifetime / 2 : age > lifetime / 4 * 3
    }

    /// The same guest under a new token.
    func renewed(_ guest: Guest, bindings: Bindings?, now: UnixSeconds) throws -> (guest: Guest, text: [UInt8]) {
        var renewed = guest
        renewed.issued = now
        renewed.expires = min(now + (guest.expires - guest.issued), guest.end)
        renewed.bindings = bindings ?? guest.bindings
        return (renewed, try ring(sealingAt: now).seal(renewed, now: now))
    }

    func pageGuests(of token: [UInt8], now: UnixSeconds) throws -> [SessionID] {
        try ring(sealingAt: now).pageGuests(of: token, now: now)
    }

    // MARK: Bindings

    func bind(_ signals: Signals, now: UnixSeconds) throws -> Bindings {
        try bound(signals, under: policy.bindings, now: now)
    }

    func bindCaptcha(_ signals: Signals, now: UnixSeconds) throws -> Bindings {
        try bound(signals, under: policy.captchaBindings, now: now)
    }

    private func bound(_ signals: Signals, under policy: BindingPolicy, now: UnixSeconds) throws -> Bindings {
        guard !policy.isOff, !signals.isEmpty else { return Bindings() }
        return try ring(sealingAt: now).bind(signals, policy: policy, now: now)
    }

    func checkBindings(_ bindings: Bindings, _ signals: Signals, now: UnixSeconds) throws -> BindingVerdict {
        try compare(bindings, signals, under: policy.bindings, now: now)
    }

    func checkCaptchaBindings(_ bindings: Bindings, _ signals: Signals, now: UnixSeconds) throws -> BindingVerdict {
        try compare(bindings, signals, under: policy.captchaBindings, now: now)
    }

    private func compare(
        _ bindings: Bindings, _ signals: Signals, under policy: BindingPolicy, now: UnixSeconds
    ) throws -> BindingVerdict {
        guard !policy.isOff, !bindings.isEmpty else { return BindingVerdict() }
        return try ring().check(bindings, signals, policy: policy, now: now)
    }

    // MARK: Forms

    func newCSRF(form: [UInt8], holder: CSRFHolder, now: UnixSeconds) throws -> [UInt8] {
        try ring(sealingAt: now).sealCSRF(
            form: form, holder: holder, expires: now + policy.csrfLifetime, now: now, random: &random)
    }

    func checkForm(_ form: FormCheck, holder: FormHolder, now: UnixSeconds) throws(ServiceFault) -> CSRFCheck {
        let ring = try ring()
        guard !policy.refuses(form.site) else { return .failed }
        func check(_ holder: CSRFHolder) -> CSRFCheck {
            form.csrf.withUnsafeBytes { ring.checkCSRF($0, form: form.form, holder: holder, now: now) }
        }
        let own = check(holder.holder)
        guard own == .failed else { return own }
        for other in holder.others {
            let verdict = check(other)
            if verdict != .failed { return verdict }
        }
        for former in holder.former ?? [] {
            switch check(former) {
            case .passed, .outdated: return .outdated
            case .expired: return .expired
            case .failed: break
            }
        }
        return .failed
    }

    // MARK: Captchas

    func newCaptcha(_ captcha: Captcha, now: UnixSeconds) throws -> [UInt8] {
        try ring(sealingAt: now).seal(captcha, now: now, random: &random)
    }

    func openCaptcha(_ text: UnsafeRawBufferPointer, now: UnixSeconds) throws(ServiceFault) -> Opened<Captcha> {
        try ring().openCaptcha(text, now: now)
    }
}
