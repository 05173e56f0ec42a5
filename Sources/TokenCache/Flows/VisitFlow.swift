internal import TokenCrypto
internal import Tokens

/// VALIDATE with a page's questions: an access, and what is asked besides.
struct PageFlow: Flow {
    private(set) var access: AccessFlow
    private let request: AccessRequest

    init(_ access: AccessFlow, _ request: AccessRequest) {
        self.access = access
        self.request = request
    }

    var asksNearCache: Bool { access.asksNearCache }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Judged<Page>> {
        let step = try access.judge(event, context)
        guard case .answer(let verdict, let touch) = step else {
            return try step.map { _ in throw UnexpectedEvent() }
        }
        switch verdict {
        case .refused(let refusal): return .answer(.refused(refusal))
        case .accepted(let view):
            guard let page = try context.page(view, request) else { return access.lookAgain() }
            context.countAccepted(view)
            return .answer(.accepted(page), touch: touch)
        }
    }
}

/// VISIT: the same, and a holder in any case.
struct VisitFlow: Flow {
    private(set) var page: PageFlow
    private let request: AccessRequest
    private let signals: Signals
    /// What page-only guests are derived from.
    private let token: [UInt8]

    init(_ access: AccessFlow, _ request: AccessRequest, _ signals: Signals, token: [UInt8]) {
        page = PageFlow(access, request)
        self.request = request
        self.signals = signals
        self.token = token
    }

    var asksNearCache: Bool { page.asksNearCache }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<VisitAnswer> {
        try page.next(event, context).map { judged in
            switch judged {
            case .accepted(let page): VisitAnswer(presented: .accepted, page: page)
            case .refused(let refusal):
                try context.welcome(.refused(refusal), token, page.access.aftermath, request, signals)
            }
        }
    }
}
