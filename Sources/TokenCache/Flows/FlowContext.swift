internal import TokenCrypto
internal import Tokens
internal import UnixTime

/// What a flow may know and tell without waiting. Nothing of it calls a completion.
protocol FlowContext: AnyObject {
    var policy: TokenPolicy { get }
    var crypto: CryptoContext { get }
    var stateless: StatelessTokens { get }
    /// Redis's time by estimate.
    func now() throws(Unavailable) -> UnixMilliseconds
    /// The same in whole seconds, or this host's before Redis was reached.
    var guestSeconds: UnixSeconds { get }
    func randomBytes<Value: FixedBytes>() throws(CryptoError) -> Value
    /// Whether what lives in Redis is a session for certain: nobody was ever logged out with everyone.
    var mayWriteUnread: Bool { get }
    /// How long a session or a guest may live at most.
    var longestLife: Milliseconds { get }
    /// Whether everyone was logged out since the guest was first made.
    func isEnded(_ guest: Guest) -> Bool
    /// When a session counts as made that is made now: after the last time that everyone was logged out.
    func bornAfterEpoch(_ now: UnixMilliseconds) -> UnixMilliseconds

    // The ledger.
    /// Whether the session's end was asked for and Redis has not confirmed it.
    func isDenied(_ sid: SessionID) -> Bool
    /// What can be said of a guest's token without asking Redis, and whether Redis has to be asked.
    func standing(of guest: Guest) -> GuestStanding
    func mustAsk(_ standing: GuestStanding) -> Bool
    /// A session is there that a guest's token leads to.
    func noteSession(ofGuest sid: SessionID)
    /// Redis knows no session of the guest; remembered where that holds on.
    /// - Parameter isTold: of every change since it was asked.
    /// - Returns: whether none was made here meanwhile, either.
    func confirmAbsence(of guest: Guest, isTold: Bool) -> Bool
    /// Redis is known to be away.
    var isAway: Bool { get }

    /// Puts a subject's index right, some time.
    func tidy(_ index: SubjectIndex, _ findings: [IndexFinding])

    /// Ends sessions of a subject, some time, each unless a LOGIN or ROTATE comes after its generation.
    func endLater(_ endings: [(sid: SessionID, generation: Int64)], of subject: [UInt8], _ reason: EndReason)

    /// Somebody is told that this stands, though this daemon did not write it: should its master fail, it is carried out
    /// once more.
    func acknowledged(_ session: StoredSession, of sid: SessionID, _ data: DataChange)

    // The near cache.
    func keep(
        _ record: SessionRecord, sid: SessionID, verifier: Verifier?, data: [RecordField], now: UnixMilliseconds)
    func keep(_ tombstone: Tombstone, sid: SessionID)
    func staleView(_ claim: Claim, needsData: Bool, isUnanswered: Bool) throws -> SessionView?

    // What is told.
    func count(_ refusal: Refusal)
    func countAccepted(_ view: SessionView)
    func isRenewalDue(_ guest: Guest, isNavigation: Bool) -> Bool
    func verdict(on guest: Guest, _ signals: Signals, renews: Bool) throws(ServiceFault) -> Verdict
    func page(_ view: SessionView, _ request: AccessRequest) throws(ServiceFault) -> Page?
    func welcome(
        _ presented: VisitAnswer.PresentedToken, _ token: [UInt8], _ aftermath: Aftermath, _ request: AccessRequest,
        _ signals: Signals
    ) throws(ServiceFault) -> VisitAnswer
    func pageHolder(of token: [UInt8], former: CSRFHolder?) throws -> FormHolder
    func report(_ notice: FlowNotice)
}

enum FlowNotice {
    case replayed(SessionID, subject: [UInt8])
    /// A lost successor was told again.
    case recovered(SessionID)
    case endedByReplay(SessionID, subject: [UInt8])
    /// Under the key of a session in a subject's index stands something that is none.
    case noSession(SessionID)
    case loggedIn(SessionView)
    case issued(SessionView)
    /// The subject has as many sessions as it may.
    case limitReached
    /// Everyone was logged out.
    case everyoneEnded
    /// Of them so many sessions have a tombstone by now.
    case swept(Int)
    case guestAskedAbout
    case promoted
    /// A condition of SET does not hold.
    case conflict
    case captcha(CaptchaVerdict)
}

extension FlowContext {
    func acknowledged(_ session: StoredSession, of sid: SessionID, _ data: DataChange) {}

    /// Refuses to call a session good whose end was asked for.
    func checkDenials(_ sid: SessionID) throws(Unavailable) {
        guard isDenied(sid) else { return }
        throw Unavailable.unconfirmedEnd
    }

    /// The time by which a token is judged: the estimate; nil where that would refuse a previous token because its
    /// overlap is over, which is left to Redis's own clock.
    func judgementTime(_ session: StoredSession, digest: Digest) throws -> UnixMilliseconds? {
        let estimate = try now()
        guard case .live(let record) = session, record.previous?.digest == digest,
            case .retired = record.standing(of: digest, policy: policy, now: estimate)
        else { return estimate }
        return nil
    }
}
