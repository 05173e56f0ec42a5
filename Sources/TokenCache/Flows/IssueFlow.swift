internal import TokenCrypto
internal import Tokens
public import UnixTime

/// ISSUE: a new session and its first token.
struct IssueFlow: SessionMaker {
    private let token: SessionToken
    private let request: SessionRequest
    /// What its holder is told, once it is written; and how it is recognised.
    private(set) var view: SessionView?
    private(set) var digest = Digest()

    var newSid: SessionID { token.sid }
    let index: SubjectIndex?

    init(_ request: SessionRequest, _ context: some FlowContext) throws {
        token = SessionToken(sid: try context.randomBytes(), verifier: try context.randomBytes())
        self.request = request
        index =
            request.subject.isEmpty ? nil : try SubjectIndex(subject: request.subject, crypto: context.crypto)
    }

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<SessionView> {
        switch event {
        case .begin: return try create(context)
        case .written: break
        case .overtaken(let copy):
            switch copy.session {
            // The clock was put right.
            case .absent: return try create(context)
            // The same candidate stands there: an earlier try of ours was carried out after all.
            case .live(let standing) where standing.current == digest: break
            case .live, .ended: throw Unavailable(reason: "a fresh session id was taken already")
            }
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
        guard let view else { throw UnexpectedEvent() }
        context.report(.issued(view))
        return .answer(view)
    }

    private mutating func create(_ context: some FlowContext) throws -> FlowStep<SessionView> {
        let (record, view) = try context.newSession(token, request)
        (self.view, digest) = (view, record.current)
        return .write(.create(record, request.data, isRepeatable: false), of: token.sid)
    }
}

extension FlowContext {
    /// The record of a token that was just made, and what its holder is told.
    func newSession(
        _ token: SessionToken, _ request: SessionRequest
    ) throws -> (record: SessionRecord, view: SessionView) {
        let now = try now()
        var record = SessionRecord(
            token: try crypto.digest(token.verifier), subject: request.subject, idle: 0, absolute: 0, now: now)
        record.apply(request.terms(policy, now: now), now: now)
        record.created = bornAfterEpoch(now)
        record.bindings = try stateless.bind(request.signals, now: guestSeconds)
        record.pageGuest = request.pageGuest
        return (record, SessionView(record, sid: token.sid, now: now, newToken: token, data: []))
    }
}

extension SessionRequest {
    /// Limits that were not given are the daemon's; an idle limit never outlasts an absolute one that was given.
    func terms(_ policy: TokenPolicy, now: UnixMilliseconds) -> LoginTerms {
        let absolute = absolute ?? policy.absolute
        let provenAt = authTime ?? now
        return LoginTerms(
            subject: subject, idle: idle ?? min(policy.idle, absolute), absolute: absolute,
            isPersistent: isPersistent ?? (asksForLimits ? true : nil),
            authTime: subject.isEmpty || provenAt == Self.neverProven ? nil : provenAt)
    }

    /// As `authTime`: nobody did.
    public static let neverProven = UnixMilliseconds(0)

    var asksForLimits: Bool { idle != nil || absolute != nil }
}
