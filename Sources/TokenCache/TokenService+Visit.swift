public import EventLoop
public import Tokens

/// What a page view asks besides who its visitor is.
public struct VisitRequest: Sendable {
    /// The caller wants the session's data.
    public var needsData = false
    /// The form that this request sent back.
    public var check: FormCheck?
    /// The form that the page will show.
    public var csrfForm: [UInt8]?

    public init() {}

    var needsKeys: Bool { check != nil || csrfForm != nil }
}

/// VISIT: one page view, one round trip.
extension TokenService {
    /// The answer where the near cache or a guest's token has it; nil where Redis has to be asked.
    /// - Parameters:
    ///   - presented: nil for a visitor who brought no token.
    ///   - instant: when the request was read.
    public func visitNow(
        _ presented: Presented?, _ request: VisitRequest, _ signals: Signals, at instant: MonotonicInstant
    ) throws(ServiceFault) -> VisitAnswer? {
        if request.needsKeys { try requireKeys() }
        guard let presented else { return try welcome(.none, request, signals) }
        switch presented.credential {
        case .refused(let refusal):
            count(refusal)
            return try welcome(.refused(refusal), request, presented.signals)
        case .guest(let guest):
            return try guestNow(guest, presented.signals, at: instant).map { verdict throws(ServiceFault) in
                try answer(verdict, request, presented.signals)
            }
        case .session(let token):
            switch cachedAccess(token, presented.signals, needsData: request.needsData, at: instant) {
            case .accepted(let session):
                let view = SessionView(session, withData: request.needsData)
                return try answer(.accepted(view), request, presented.signals)
            case .revoked(let reason): return try answer(.refused(.revoked(reason)), request, presented.signals)
            case nil: return nil
            }
        }
    }

    public func visit(_ presented: Presented, _ request: VisitRequest, _ done: @escaping Completion<VisitAnswer>) {
        validate(presented, needsData: request.needsData) { [self] result in
            attempt(done) { done(.success(try answer(try result.get(), request, presented.signals))) }
        }
    }

    private func answer(
        _ verdict: Verdict, _ request: VisitRequest, _ signals: Signals
    ) throws(ServiceFault) -> VisitAnswer {
        switch verdict {
        case .accepted(let view): try complete(.accepted, view, request)
        case .refused(let refusal): try welcome(.refused(refusal), request, signals)
        }
    }

    /// Whoever comes without a good token is a guest from now on.
    private func welcome(
        _ presented: VisitAnswer.PresentedToken, _ request: VisitRequest, _ signals: Signals
    ) throws(ServiceFault) -> VisitAnswer {
        try complete(presented, try issueGuest(signals), request)
    }

    private func complete(
        _ presented: VisitAnswer.PresentedToken, _ view: SessionView, _ request: VisitRequest
    ) throws(ServiceFault) -> VisitAnswer {
        var answer = VisitAnswer(presented: presented, holder: view)
        let holder = CSRFHolder(sid: view.sid, salt: view.csrfSalt)
        if let form = request.check {
            // A form whose holder is not accepted was made for somebody else.
            if case .accepted = presented {
                answer.check = try check(form, holder)
            } else {
                counters.csrfFailed &+= 1
                answer.check = .failed
            }
        }
        if let form = request.csrfForm { answer.csrf = try issueCSRF(form: form, holder).csrf }
        return answer
    }
}
