public import EventLoop
internal import TokenCrypto
public import Tokens
public import UnixTime

/// What CAPTCHA.ISSUE may ask for.
public struct CaptchaRequest: Sendable {
    /// UTF-8; nil draws one.
    public var solution: [UInt8]?
    /// Characters to draw; nil takes the daemon's default.
    public var length: Int?
    public var form: [UInt8] = []
    /// Nil takes the daemon's default.
    public var lifetime: Milliseconds?
    public var signals = Signals()

    public init() {}
}

public struct IssuedCaptcha: Sendable {
    public let captcha: [UInt8]
    public let solution: [UInt8]
    public let expiresIn: Seconds
}

/// An answer to a captcha that came back.
public struct CaptchaAttempt: Sendable {
    public var captcha: Captcha
    public var answer: [UInt8]
    public var form: [UInt8]
    /// Of whom it may be; none where no holder was named.
    var holders: [SessionID] = []
    public var signals: Signals

    public init(captcha: Captcha, answer: [UInt8], form: [UInt8], signals: Signals) {
        self.captcha = captcha
        self.answer = answer
        self.form = form
        self.signals = signals
    }
}

public enum CaptchaVerdict: String, Sendable, CaseIterable {
    case passed, failed, spent, expired, mismatch, unknown
}

extension TokenService {
    /// A new captcha. Asks nobody.
    /// - Parameter holder: whose answer alone is good; nil leaves it to anybody.
    public func issueCaptcha(_ request: CaptchaRequest, holder: SessionID?) throws(ServiceFault) -> IssuedCaptcha {
        do {
            let now = guestSeconds
            let length = request.length ?? stateless.policy.captchaLength
            let solution = try request.solution ?? CaptchaAlphabet.draw(length, &stateless.random)
            let lifetime = request.lifetime.map { ($0 + 999) / 1_000 } ?? stateless.policy.captchaLifetime
            let captcha = Captcha(
                id: try randomBytes(), issued: now, expires: now + lifetime, solution: solution, form: request.form,
                holder: holder, bindings: try stateless.bindCaptcha(request.signals, now: now))
            let text = try stateless.newCaptcha(captcha, now: now)
            counters.captchasIssued &+= 1
            return IssuedCaptcha(captcha: text, solution: solution, expiresIn: lifetime)
        } catch { throw ServiceFault(error) }
    }

    /// Opens a captcha; spends nothing.
    public func openCaptcha(_ text: UnsafeRawBufferPointer) throws(ServiceFault) -> Opened<Captcha> {
        try stateless.openCaptcha(text, now: guestSeconds)
    }

    /// Counts an answer that was refused before its captcha was spent.
    public func countCaptcha(_ verdict: CaptchaVerdict) {
        switch verdict {
        case .passed: counters.captchasPassed &+= 1
        case .spent: counters.captchasSpent &+= 1
        case .failed, .expired, .mismatch, .unknown: counters.captchasFailed &+= 1
        }
    }

    /// CAPTCHA.VERIFY: judges an answer, and spends the captcha.
    /// - Parameters:
    ///   - presented: whose answer it is, where it says so. A token that is not accepted is not of the holder that
    ///     the captcha was made for.
    ///   - arrival: when the request was read.
    ///   - done: asked for where Redis has to be asked.
    /// - Returns: the verdict where it is known at once: the captcha is not spent then.
    public func judge(
        _ attempt: CaptchaAttempt, heldBy presented: Presented?, at arrival: MonotonicInstant,
        _ done: @autoclosure () -> Completion<CaptchaVerdict>
    ) throws(ServiceFault) -> CaptchaVerdict? {
        var attempt = attempt
        var asked: Presented?
        if let presented {
            switch try knownHolder(presented, at: arrival) {
            case .accepted(let holder)?:
                countHit(of: presented)
                attempt.holders = holder.sids
            case .refused?:
                countCaptcha(.mismatch)
                return .mismatch
            case nil: asked = presented
            }
        }
        begin(at: arrival, done()) { [attempt] in
            CaptchaFlow(attempt, heldBy: try asked.flatMap { try claim($0).accepted }.map(HolderFlow.init))
        }
        return nil
    }

    /// How long a spent captcha is remembered past its end.
    static let spentMargin: Seconds = 120
}
