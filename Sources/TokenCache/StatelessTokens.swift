internal import TokenCrypto
public import Tokens

/// The operator's rules for what is sealed and stored nowhere. Spans in seconds.
public struct StatelessPolicy: Sendable, Equatable {
    /// Of a guest token. > 0.
    public var guestLifetime: Int64
    /// Of a guest, from its first token on. > 0.
    public var guestAbsolute: Int64
    /// > 0.
    public var csrfLifetime: Int64
    /// Whether a form must come from the site itself where the browser says where it comes from.
    public var requiresSameOrigin: Bool
    /// > 0.
    public var captchaLifetime: Int64
    /// Characters of a solution, 1…`CaptchaAlphabet.longest`.
    public var captchaLength: Int
    public var bindings: BindingPolicy

    public init(
        guestLifetime: Int64 = 24 * 3_600, guestAbsolute: Int64 = 30 * 86_400, csrfLifetime: Int64 = 12 * 3_600,
        requiresSameOrigin: Bool = false, captchaLifetime: Int64 = 600, captchaLength: Int = 5,
        bindings: BindingPolicy = BindingPolicy()
    ) {
        self.guestLifetime = guestLifetime
        self.guestAbsolute = guestAbsolute
        self.csrfLifetime = csrfLifetime
        self.requiresSameOrigin = requiresSameOrigin
        self.captchaLifetime = captchaLifetime
        self.captchaLength = captchaLength
        self.bindings = bindings
    }
}

/// The key ring at work: guests, CSRF tokens, captchas and bindings, sealed and opened without asking anybody.
///
/// Owned by the loop's thread. Times are Unix seconds.
final class StatelessTokens {
    var policy: StatelessPolicy
    private var verified = VerifiedGuests()
    /// Nil where there is no key ring.
    private(set) var sealer: Sealer?
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
    private func ring(sealingAt now: Int64) throws(ServiceFault) -> Sealer {
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

    func openGuest(_ text: UnsafeRawBufferPointer, now: Int64) throws(ServiceFault) -> Opened<Guest> {
        let ring = try ring()
        if let guest = verified.find(text) { return now < guest.expires && now < guest.end ? .valid(guest) : .expired }
        let opened = ring.openGuest(text, now: now)
        if case .valid(let guest) = opened { verified.insert(guest, text) }
        return opened
    }

    func verifiers(of guest: Guest) throws -> [Verifier] { try ring().guestVerifiers(guest) }

    /// A new guest and its token.
    func newGuest(lifetime: Int64?, _ signals: Signals, now: Int64) throws -> (guest: Guest, text: [UInt8]) {
        let ring = try ring(sealingAt: now)
        let end = now + policy.guestAbsolute
        let guest = Guest(
            sid: try random.bytes(), issued: now, expires: min(now + (lifetime ?? policy.guestLifetime), end), end: end,
            bindings: try ring.bind(signals, policy: policy.bindings, now: now))
        return (guest, try ring.seal(guest, now: now))
    }

    /// The same guest under a new token, where more than half of the old one's time has passed; nil where not, or
    /// where the guest's end leaves nothing to renew.
    func renewal(of guest: Guest, bindings: Bindings?, now: Int64) throws -> (guest: Guest, text: [UInt8])? {
        let lifetime = guest.expires - guest.issued
        guard now - guest.issued > lifetime / 2 else { return nil }
        var renewed = guest
        renewed.issued = now
        renewed.expires = min(now + lifetime, guest.end)
        renewed.bindings = bindings ?? guest.bindings
        guard renewed.expires > guest.expires else { return nil }
        return (renewed, try ring(sealingAt: now).seal(renewed, now: now))
    }

    // MARK: Bindings

    func bind(_ signals: Signals, now: Int64) throws -> Bindings {
        guard !policy.bindings.isOff, !signals.isEmpty else { return Bindings() }
        return try ring(sealingAt: now).bind(signals, policy: policy.bindings, now: now)
    }

    func check(_ bindings: Bindings, _ signals: Signals, now: Int64) throws -> BindingVerdict {
        guard !policy.bindings.isOff, !bindings.isEmpty else { return BindingVerdict() }
        return try ring().check(bindings, signals, policy: policy.bindings, now: now)
    }

    // MARK: Forms

    func newCSRF(form: [UInt8], holder: CSRFHolder, now: Int64) throws -> [UInt8] {
        try ring(sealingAt: now).sealCSRF(
            form: form, holder: holder, expires: now + policy.csrfLifetime, now: now, random: &random)
    }

    func check(_ form: FormCheck, holder: CSRFHolder, now: Int64) throws(ServiceFault) -> CSRFCheck {
        let ring = try ring()
        switch form.site {
        case .crossSite?: return .failed
        case .sameSite?, .other?: if policy.requiresSameOrigin { return .failed }
        case .sameOrigin?, .userAlone?, nil: break
        }
        return form.csrf.withUnsafeBytes { ring.checkCSRF($0, form: form.form, holder: holder, now: now) }
    }

    // MARK: Captchas

    func newCaptcha(_ captcha: Captcha, now: Int64) throws -> [UInt8] {
        try ring(sealingAt: now).seal(captcha, now: now, random: &random)
    }

    func openCaptcha(_ text: UnsafeRawBufferPointer, now: Int64) throws(ServiceFault) -> Opened<Captcha> {
        try ring().openCaptcha(text, now: now)
    }
}
