public import EventLoop
internal import TokenCrypto
public import Tokens

/// What CAPTCHA.ISSUE may ask for.
public struct CaptchaRequest: Sendable {
    /// UTF-8; nil draws one.
    public var solution: [UInt8]?
    /// Characters to draw; nil takes the daemon's default.
    public var length: Int?
    public var form: [UInt8] = []
    /// Milliseconds; nil takes the daemon's default.
    public var lifetime: Milliseconds?
    public var signals = Signals()

    public init() {}
}

public struct IssuedCaptcha: Sendable {
    public let captcha: [UInt8]
    public let solution: [UInt8]
    /// Seconds.
    public let expiresIn: Int64
}

/// An answer to a captcha that came back.
public struct CaptchaAttempt: Sendable {
    public var captcha: Captcha
    public var answer: [UInt8]
    public var form: [UInt8]
    /// Nil where no holder was named.
    public var holder: SessionID?
    public var signals: Signals

    public init(captcha: Captcha, answer: [UInt8], form: [UInt8], holder: SessionID?, signals: Signals) {
        self.captcha = captcha
        self.answer = answer
        self.form = form
        self.holder = holder
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
            let lifetime = request.lifetime.map { max(1, $0 / 1_000) } ?? stateless.policy.captchaLifetime
            let captcha = Captcha(
                id: try randomBytes(), issued: now, expires: now + lifetime, solution: solution, form: request.form,
                holder: holder, bindings: try stateless.bind(request.signals, now: now))
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

    /// Judges an answer: form, holder and bindings first; then the captcha is spent, whatever the answer; then it is
    /// compared.
    public func judge(_ attempt: CaptchaAttempt, _ done: @escaping Completion<CaptchaVerdict>) {
        let finish: Completion<CaptchaVerdict> = { [self] result in
            if case .success(let verdict) = result { countCaptcha(verdict) }
            done(result)
        }
        self.attempt(finish) {
            let captcha = attempt.captcha
            let now = guestSeconds
            guard captcha.form == attempt.form, captcha.holder == nil || captcha.holder == attempt.holder,
                try !stateless.check(captcha.bindings, attempt.signals, now: now).isMismatch
            else { return answer(.success(.mismatch), finish) }
            let isRight = captcha.isSolved(by: attempt.answer)
            // Longer than the captcha by what clocks may differ.
            let ttl = (max(0, captcha.expires &- now) + Self.spentMargin) * 1_000
            store.spend(captcha.id, nonce: try randomBytes() as SessionID, ttl: ttl) { [self] result in
                self.attempt(finish) {
                    guard try result.get() else { return finish(.success(.spent)) }
                    finish(.success(isRight ? .passed : .failed))
                }
            }
        }
    }

    /// The same for an answer that says whose it is.
    public func judge(
        _ attempt: CaptchaAttempt, heldBy presented: Presented, at instant: MonotonicInstant,
        _ done: @escaping Completion<CaptchaVerdict>
    ) {
        let go: (HolderVerdict) -> Void = { [self] verdict in
            switch verdict {
            case .accepted(let holder):
                var attempt = attempt
                attempt.holder = holder.sid
                judge(attempt, done)
            case .refused:
                countCaptcha(.mismatch)
                answer(.success(.mismatch), done)
            }
        }
        self.attempt(done) {
            if let verdict = try holderNow(presented, at: instant) { return go(verdict) }
            holder(presented) { [self] result in
                self.attempt(done) { go(try result.get()) }
            }
        }
    }

    /// Seconds that a spent captcha is remembered past its end.
    static let spentMargin: Int64 = 120
}
