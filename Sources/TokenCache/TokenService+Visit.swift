public import EventLoop
internal import TokenCrypto
public import Tokens

/// What a request asks besides who its visitor is.
public struct AccessRequest: Sendable {
    /// The caller wants the session's data.
    public var needsData = false
    /// The form that this request sent back.
    public var check: FormCheck?
    /// The form that the page will show.
    public var csrfForm: [UInt8]?
    /// Nil where the browser did not say: it may be a navigation then.
    public var mode: FetchMode?
    /// Nil where the browser did not say.
    public var site: FetchSite?
    /// It is no GET.
    public var isPost = false
    /// Nothing is to change: the access neither renews nor rotates.
    public var isLook = false

    public init() {}

    init(isNavigation: Bool) { mode = isNavigation ? nil : .other }

    var needsKeys: Bool { check != nil || csrfForm != nil }
    public var isNavigation: Bool { mode != .other }
}

/// VISIT and VALIDATE with all that a page asks besides: one page view, one round trip.
extension TokenService {
    /// VISIT: a visitor without a good token is a guest.
    /// - Parameters:
    ///   - text: the token as the client sent it; empty where there was none.
    ///   - arrival: when the request was read.
    ///   - done: asked for where Redis has to be asked.
    /// - Returns: the answer where the near cache or a guest's token has it.
    public func visit(
        _ text: UnsafeRawBufferPointer, _ request: AccessRequest, _ signals: Signals, at arrival: MonotonicInstant,
        _ done: @autoclosure () -> Completion<VisitAnswer>
    ) throws(ServiceFault) -> VisitAnswer? {
        if request.needsKeys { try requireKeys() }
        guard !text.isEmpty else { return try welcome(.none, [], Aftermath(), request, signals) }
        let presented = Presented(try credential(text), signals)
        // What became of a session that has ended decides whether its bearer is given a cookie: Redis knows.
        switch try known(presented, request, at: arrival, usesTombstones: false) {
        case .page(let page): return VisitAnswer(presented: .accepted, page: page)
        case .refused(let refusal):
            return try welcome(.refused(refusal), Self.tokenBytes(text), Aftermath(), request, signals)
        case .asked(let access, let first):
            run(
                VisitFlow(access, request, signals, token: Self.tokenBytes(text)), at: arrival, first: first, done())
            return nil
        }
    }

    /// VALIDATE with a page's questions.
    /// - Parameters: as for `visit`.
    public func validate(
        _ text: UnsafeRawBufferPointer, _ request: AccessRequest, _ signals: Signals, at arrival: MonotonicInstant,
        _ done: @autoclosure () -> Completion<Judged<Page>>
    ) throws(ServiceFault) -> Judged<Page>? {
        if request.needsKeys { try requireKeys() }
        let presented = Presented(try credential(text), signals)
        switch try known(presented, request, at: arrival, usesTombstones: true) {
        case .page(let page): return .accepted(page)
        case .refused(let refusal): return .refused(refusal)
        case .asked(let access, let first):
            run(PageFlow(access, request), at: arrival, first: first, done())
            return nil
        }
    }

    private enum Known {
        case page(Page)
        case refused(Refusal)
        case asked(AccessFlow, first: FlowEvent)
    }

    /// - Parameter usesTombstones: whether an ended session is refused from memory.
    private func known(
        _ presented: Presented, _ request: AccessRequest, at arrival: MonotonicInstant, usesTombstones: Bool
    ) throws(ServiceFault) -> Known {
        var found = Found()
        let answer = try look(presented, request, at: arrival, usesTombstones: usesTombstones, &found)
        switch answer {
        case .hit(let session):
            if let page = try page(SessionView(session, withData: request.needsData), request) { return .page(page) }
            // Whether the form is from before a LOGIN is known to Redis, which answers and counts instead.
            sessions?.takeBackHit()
            counters.valid &-= 1
            found = Found()
        case .accepted(let view):
            if let page = try page(view, request) { return .page(page) }
            found = Found()
        case .refused(let refusal): return .refused(refusal)
        case .asked: break
        }
        let (access, first) = try question(presented, request, found)
        return .asked(access, first: first)
    }

    // MARK: Pages

    /// - Returns: nil where Redis has to be asked whether the form that came back is from before a LOGIN.
    func page(_ view: consuming SessionView, _ request: AccessRequest) throws(ServiceFault) -> Page? {
        var page = Page(view)
        if let form = request.check {
            guard let check = try checkForm(form, page.holder.formHolder) else { return nil }
            page.check = check
        }
        if let form = request.csrfForm { page.csrf = try issueCSRF(form: form, page.holder.formHolder.holder).csrf }
        return page
    }

    /// A visitor without a good token is a guest from now on: under a token of its own, except where that could overwrite a
    /// newer one; then for this page only, and the same guest with the next request that presents the same token.
    /// - Parameter token: what page-only guests are derived from; empty where no token was presented.
    func welcome(
        _ presented: VisitAnswer.PresentedToken, _ token: [UInt8], _ aftermath: Aftermath, _ request: AccessRequest,
        _ signals: Signals
    ) throws(ServiceFault) -> VisitAnswer {
        do {
            // Browsers hold Lax cookies back on the way from a payment page.
            let isReturn = token.isEmpty && request.site == .crossSite && (request.check != nil || request.isPost)
            let isPageOnly = !request.isNavigation || aftermath.mayHoldNewer || isReturn
            let derived = token.isEmpty ? nil : try pageHolder(of: token, former: aftermath.formerHolder)
            let view = isPageOnly ? try pageGuest(derived?.holder.sid, signals) : try issueGuest(signals)
            var page = Page(view)
            if let form = request.check {
                if let derived {
                    page.check = try checkForm(form, derived) ?? .failed
                } else {
                    counters.csrfFailed &+= 1
                    page.check = .failed
                }
            }
            if let form = request.csrfForm { page.csrf = try issueCSRF(form: form, view.formHolder.holder).csrf }
            return VisitAnswer(presented: presented, page: page)
        } catch { throw ServiceFault(error) }
    }

    /// - Parameter sid: nil draws one: there is nothing to derive it from.
    private func pageGuest(_ sid: SessionID?, _ signals: Signals) throws -> SessionView {
        try requireKeys()
        let now = guestSeconds
        let guest = stateless.guest(sid: try sid ?? randomBytes(), lifetime: nil, now: now)
        counters.pageGuests &+= 1
        return SessionView(guest, now: now, newToken: nil)
    }
}
