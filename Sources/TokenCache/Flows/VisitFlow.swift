internal import Tokens

/// VISIT: an access, and what a page view asks besides.
struct VisitFlow: Flow {
    private(set) var access: AccessFlow
    private let request: VisitRequest
    private let signals: Signals

    init(_ access: AccessFlow, _ request: VisitRequest, _ signals: Signals) {
        self.access = access
        self.request = request
        self.signals = signals
    }

    var asksNearCache: Bool { access.asksNearCache }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<VisitAnswer> {
        try access.next(event, context).map { try context.visitAnswer($0, request, signals) }
    }
}
