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
    /// - Parameters:
    ///   - presented: nil for a visitor who brought no token.
    ///   - arrival: when the request was read.
    ///   - done: asked for where Redis has to be asked.
    /// - Returns: the answer where the near cache or a guest's token has it.
    public func visit(
        _ presented: Presented?, _ request: VisitRequest, _ signals: Signals, at arrival: MonotonicInstant,
        _ done: @autoclosure () -> Completion<VisitAnswer>
    ) throws(ServiceFault) -> VisitAnswer? {
        if request.needsKeys { try requireKeys() }
        guard let presented else { return try welcome(.none, request, signals) }
        var found = Found()
        switch try look(presented, needsData: request.needsData, at: arrival, &found) {
        case .hit(let session):
            return try complete(.accepted, SessionView(session, withData: request.needsData), request)
        case .accepted(let view): return try complete(.accepted, view, request)
        case .refused(let refusal): return try welcome(.refused(refusal), request, presented.signals)
        case .asked: break
        }
        let (access, first) = try question(presented, needsData: request.needsData, found)
        run(VisitFlow(access, request, presented.signals), at: arrival, first: first, done())
        return nil
    }

    func visitAnswer(
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
