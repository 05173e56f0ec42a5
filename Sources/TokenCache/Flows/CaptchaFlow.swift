internal import Tokens
internal import UnixTime

/// CAPTCHA.VERIFY: form, holder and bindings are judged first; then the captcha is spent, whatever the answer; then it
/// is compared.
struct CaptchaFlow: Flow {
    /// Where a session's token came with the answer.
    let asksNearCache: Bool
    private var attempt: CaptchaAttempt
    /// Until it is known who holds the token that came with the answer.
    private var holder: HolderFlow?

    init(_ attempt: CaptchaAttempt, heldBy holder: HolderFlow?) {
        self.attempt = attempt
        self.holder = holder
        asksNearCache = holder?.asksNearCache ?? false
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<CaptchaVerdict> {
        if var holder {
            let step = try holder.next(event, context)
            self.holder = holder
            guard case .answer(let judged, _) = step else { return step.map { _ in .mismatch } }
            self.holder = nil
            guard case .accepted(let known) = judged else { return answer(.mismatch, context) }
            attempt.holders = known.sids
            return try spend(context)
        }
        switch event {
        case .begin: return try spend(context)
        case .spent(let isFirst):
            let isRight = attempt.captcha.isSolved(by: attempt.answer)
            return answer(!isFirst ? .spent : isRight ? .passed : .failed, context)
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }

    private func spend(_ context: some FlowContext) throws -> FlowStep<CaptchaVerdict> {
        guard try context.mayBeAnswered(attempt) else { return answer(.mismatch, context) }
        // Longer than the captcha by what clocks may differ.
        let rest = max(0, attempt.captcha.expires - context.guestSeconds)
        return .spend(
            attempt.captcha.id, ttl: rest.addingSaturating(TokenService.spentMargin).multipliedSaturating(by: 1_000))
    }

    private func answer(_ verdict: CaptchaVerdict, _ context: some FlowContext) -> FlowStep<CaptchaVerdict> {
        context.report(.captcha(verdict))
        return .answer(verdict)
    }
}

extension FlowContext {
    /// Whether a captcha was made for this form, holder and client.
    func mayBeAnswered(_ attempt: CaptchaAttempt) throws -> Bool {
        let captcha = attempt.captcha
        guard captcha.form == attempt.form, captcha.holder.map(attempt.holders.contains) ?? true else { return false }
        return try !stateless.checkCaptchaBindings(captcha.bindings, attempt.signals, now: guestSeconds).isMismatch
    }
}
