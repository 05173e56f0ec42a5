internal import TokenCrypto
internal import Tokens

/// One command that may ask Redis, as a value: an event goes in, the next step comes out. It waits for nothing and holds
/// no completion; `TokenService` runs it (`Runner.swift`), and so do the explorer and the simulator.
protocol Flow {
    associatedtype Answer
    /// Whether it is an access by a token: those are counted as hits and misses of the near cache.
    static var isAccess: Bool { get }

    /// - Throws: what the command is answered where it has no answer.
    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Answer>
}

/// What a flow asks for next. Exactly one event follows each, but `answer`, which is the last.
enum FlowStep<Answer> {
    /// Go on when every end and forced change of the session that is under way now has its fate: `settled`.
    case whenSettled(SessionID)
    /// From now on nothing known here of the session answers, and who brings its token waits for this flow: `held`.
    /// A claim that is known to be made up holds nobody.
    case hold(SessionID, Claim?)
    /// `read`.
    case read(ReadSource)
    /// Write a change over what it was decided on: `written`, or `overtaken` with what stands there.
    case write(SessionWrite, of: SessionID)
    /// Record an access: `touched`.
    case touch(SessionID, interval: Milliseconds)
    /// Redis's own time: `time`.
    case askTime
    /// The end of the flow. A touch is sent behind the reply.
    case answer(Answer, touch: (sid: SessionID, interval: Milliseconds)? = nil)
}

enum ReadSource {
    /// Redis, in company with others who read the same session.
    case shared(SessionID)
    /// A read of Redis that begins now.
    case anew(SessionID)
}

enum FlowEvent {
    case begin
    case settled
    case held
    case read(StoredCopy, Origin)
    case written
    case overtaken(StoredCopy)
    case touched
    case time(Milliseconds)
    /// The step could not be carried out; whether it was, nobody knows.
    case failed(Unavailable)
}

/// Where a copy of a session comes from.
enum Origin {
    /// A read that began after it was asked for, or the answer of a script.
    case redis(mayBeKept: Bool)
    /// A read that had begun before: good for accepting, not for refusing.
    case earlierRead(mayBeKept: Bool)
    /// The near cache: the same, but a tombstone is final.
    case memory

    var isMemory: Bool { if case .memory = self { true } else { false } }
    var mayRefuse: Bool { if case .redis = self { true } else { false } }
    var mayBeKept: Bool {
        switch self {
        case .redis(let mayBeKept), .earlierRead(let mayBeKept): mayBeKept
        case .memory: false
        }
    }
}

/// What a flow may know and tell without waiting.
protocol FlowContext: AnyObject {
    var policy: TokenPolicy { get }
    var crypto: CryptoContext { get }
    var stateless: StatelessTokens { get }
    /// Redis's time by estimate.
    func now() throws(Unavailable) -> Milliseconds
    /// The same in seconds, or this host's before Redis was reached.
    var guestSeconds: Int64 { get }
    func randomBytes<Value: FixedBytes>() throws(CryptoError) -> Value

    // The ledger.
    /// Throws where the session's end was asked for and Redis has not confirmed it.
    func checkDenials(_ sid: SessionID) throws(Unavailable)
    func noteSession(ofGuest sid: SessionID)

    // The near cache.
    /// What is known here of the session, where that is enough to decide an access.
    func nearCopy(_ claim: Claim, needsData: Bool) -> StoredCopy?
    func keep(_ record: SessionRecord, sid: SessionID, verifier: Verifier?, data: [RecordField], now: Milliseconds)
    func keep(_ tombstone: Tombstone, sid: SessionID)
    func staleView(_ claim: Claim, needsData: Bool, isUnanswered: Bool) throws -> SessionView?

    // What is told.
    func count(_ refusal: Refusal)
    func countAccepted(isRotated: Bool)
    func countLogin()
    func verdict(on guest: Guest, _ signals: Signals) throws(ServiceFault) -> Verdict
    func report(_ notice: FlowNotice)
}

enum FlowNotice {
    case replayed(SessionID)
    case endedByReplay(SessionID)
    case loggedIn(SessionView)
}

extension FlowContext {
    /// The time by which a token is judged: the estimate; nil where that would refuse a previous token because its
    /// overlap is over, which is left to Redis's own clock.
    func judgementTime(_ session: StoredSession, digest: Digest) throws -> Milliseconds? {
        let estimate = try now()
        guard case .live(let record) = session, record.previous?.digest == digest,
            case .retired = record.standing(of: digest, policy: policy, now: estimate)
        else { return estimate }
        return nil
    }
}

/// An event that a flow never asked for: a mistake of the driver.
struct UnexpectedEvent: Error {}
