internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// One command that may ask Redis, as a value: an event goes in, the next step comes out. It waits for nothing and holds
/// no completion; `TokenService` runs it (`Runner.swift`), and so do the explorer and the simulator.
protocol Flow {
    associatedtype Answer
    /// Whether the near cache could have answered it: it is counted as a hit or a miss then.
    var asksNearCache: Bool { get }
    /// What it asks about many sessions goes before what others do.
    var isUrgent: Bool { get }
    /// It tells of what it has not found: an earlier request may have ended it, at whatever server, and somebody taken it out of
    /// its index since. Whether that was acknowledged, nobody knows.
    var repeatsUnseen: Bool { get }

    /// - Throws: what the command is answered where it has no answer.
    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Answer>
}

extension Flow {
    var asksNearCache: Bool { false }
    var isUrgent: Bool { false }
    var repeatsUnseen: Bool { false }
}

/// What a flow asks for next. Exactly one event follows each, but `answer`, which is the last. What is large is boxed, here and
/// in the events: each is handed on several times.
enum FlowStep<Answer> {
    /// Go on when every end and forced change of the session that is under way now has its fate: `settled`.
    case whenSettled(SessionID)
    /// From now on nothing known here of the session answers, and requests with its token wait for this flow: `held`.
    /// A claim that is known to be made up holds nobody.
    case hold(SessionID, Claim?)
    /// `read`.
    case read(ReadSource)
    /// Write a change over what it was decided on: `written`, or `overtaken` with what stands there.
    indirect case write(SessionWrite, of: SessionID)
    /// Go on when the replicas that are waited for have what stood there when it was read or written last: `replicated`. Who
    /// tells of what an earlier request wrote does not know whether that was acknowledged.
    case whenReplicated(SessionID)
    /// Note in a tombstone that LOGIN was called with this token since: `noted`.
    case noteLogin(SessionID, Digest)
    /// Record an access: `touched`.
    case touch(SessionID, interval: Milliseconds)
    /// Redis's own time: `time`.
    case askTime
    /// Spend a captcha, whose mark is kept for `ttl`: `spent`.
    case spend(CaptchaID, ttl: Milliseconds)
    /// Sessions of a subject: `page`. Waits for its turn, as `each` does.
    case readIndex(SubjectIndex, IndexQuery)
    /// Enter a session into its subject's index: `entered`.
    case enter(IndexEntry)
    /// Keys of a kind: `scanned`. Waits for its turn.
    case scan(ScanQuery)
    /// Log everyone out: `proclaimed`.
    case proclaimEpoch(lifetime: Milliseconds)
    /// End a session from before the epoch: `swept`.
    case sweep(SessionID, epoch: UnixMilliseconds)
    /// What a session is, without its tokens: `facts`.
    case readFacts(SessionID, FactFields)
    /// Flows side by side, a bounded number at a time whoever asks: `gathered`. A request's time begins anew with each
    /// batch that has its turn.
    case each([FlowPart])
    /// The end of the flow. A touch is sent behind the reply.
    indirect case answer(Answer, touch: (sid: SessionID, interval: Milliseconds)? = nil)

    /// The same step of a flow that wraps this one.
    func map<Other>(_ transform: (Answer) throws -> Other) rethrows -> FlowStep<Other> {
        switch self {
        case .whenSettled(let sid): .whenSettled(sid)
        case .hold(let sid, let claim): .hold(sid, claim)
        case .read(let source): .read(source)
        case .write(let write, let sid): .write(write, of: sid)
        case .whenReplicated(let sid): .whenReplicated(sid)
        case .noteLogin(let sid, let digest): .noteLogin(sid, digest)
        case .touch(let sid, let interval): .touch(sid, interval: interval)
        case .askTime: .askTime
        case .spend(let captcha, let ttl): .spend(captcha, ttl: ttl)
        case .readIndex(let index, let query): .readIndex(index, query)
        case .enter(let entry): .enter(entry)
        case .scan(let query): .scan(query)
        case .proclaimEpoch(let lifetime): .proclaimEpoch(lifetime: lifetime)
        case .sweep(let sid, let epoch): .sweep(sid, epoch: epoch)
        case .readFacts(let sid, let fields): .readFacts(sid, fields)
        case .each(let parts): .each(parts)
        case .answer(let answer, let touch): .answer(try transform(answer), touch: touch)
        }
    }
}

enum ReadSource {
    /// Redis, in company with others who read the same session.
    case shared(SessionID)
    /// A read of Redis that begins now.
    case anew(SessionID)

    var sid: SessionID {
        switch self {
        case .shared(let sid), .anew(let sid): sid
        }
    }
}

/// A flow of one session, of many that a command runs.
enum FlowPart {
    case revoke(RevokeFlow)
    case facts(FactsFlow)
    case sweep(SweepFlow)
}

enum PartAnswer {
    case revoked(RevokeAnswer)
    case found(FoundSession)
    case swept(Bool)
}

enum FlowEvent {
    case begin
    case settled
    case held
    indirect case read(StoredCopy, Origin)
    /// With what became of the data.
    case written(DataOutcome)
    indirect case overtaken(StoredCopy)
    case replicated
    case noted
    case touched
    case time(UnixMilliseconds)
    case spent(isFirst: Bool)
    indirect case page(IndexPage)
    indirect case scanned(ScanPage)
    case proclaimed(Proclamation)
    /// Whether there was one to end.
    case swept(Bool)
    case entered(IndexEntryOutcome)
    indirect case facts(FoundSession)
    /// In the order of the parts.
    case gathered([Result<PartAnswer, ServiceFault>])
    /// The step could not be carried out; whether it was, nobody knows. A flow answers it, or throws.
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

/// An event that a flow never asked for: a mistake of the driver.
struct UnexpectedEvent: Error {}
