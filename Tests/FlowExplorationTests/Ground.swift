import SeededRandom
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// What flows stand on in an exploration: symbols for randomness, ticks for a clock, no near cache.
final class Ground: FlowContext {
    let symbols: Symbols
    let policy: TokenPolicy
    let stateless: StatelessTokens
    var time = UnixMilliseconds(0)
    var candidate: UInt8 = 0
    var isSessionDenied = false
    /// The next session's, where that is not the one other of an exploration.
    var freshSid: SessionID?
    /// Told what an index is told.
    var tidied: (([IndexFinding]) -> Void)?

    /// - Parameter sealer: where guests are opened.
    init(symbols: Symbols, policy: TokenPolicy, sealer: Sealer? = nil) {
        self.symbols = symbols
        self.policy = policy
        stateless = StatelessTokens(policy: StatelessPolicy(), sealer: sealer, random: SeededRandom(seed: 1))
    }

    var crypto: CryptoContext { symbols.crypto }
    func now() throws(Unavailable) -> UnixMilliseconds { time }
    var guestSeconds: UnixSeconds { time.seconds }

    func randomBytes<Value: FixedBytes>() throws(CryptoError) -> Value {
        if let verifier = symbols.verifiers[Int(candidate)] as? Value { return verifier }
        if let sid = (freshSid ?? symbols.otherSid) as? Value { return sid }
        return Value()
    }

    func isDenied(_ sid: SessionID) -> Bool { isSessionDenied }
    func noteSession(ofGuest sid: SessionID) {}
    func standing(of guest: Guest) -> GuestStanding { .guest }
    func mustAsk(_ standing: GuestStanding) -> Bool { false }
    func confirmAbsence(of guest: Guest, isTold: Bool) -> Bool { true }
    var isAway: Bool { false }
    func keep(
        _ record: SessionRecord, sid: SessionID, verifier: Verifier?, data: [RecordField], now: UnixMilliseconds
    ) {}
    func keep(_ tombstone: Tombstone, sid: SessionID) {}
    func tidy(_ index: SubjectIndex, _ findings: [IndexFinding]) { tidied?(findings) }
    var mayWriteUnread: Bool { true }
    var longestLife: Milliseconds { policy.maxAbsolute }
    func isEnded(_ guest: Guest) -> Bool { false }
    func bornAfterEpoch(_ now: UnixMilliseconds) -> UnixMilliseconds { now }
    func endLater(_ endings: [(sid: SessionID, generation: Int64)], of subject: [UInt8], _ reason: EndReason) {}
    func staleView(_ claim: Claim, needsData: Bool, isUnanswered: Bool) -> SessionView? { nil }
    func count(_ refusal: Refusal) {}
    func countAccepted(_ view: SessionView) {}
    func isRenewalDue(_ guest: Guest, isNavigation: Bool) -> Bool { false }
    func verdict(on guest: Guest, _ signals: Signals, renews: Bool) -> Verdict { .refused(.unknown) }
    func page(_ view: SessionView, _ request: AccessRequest) throws(ServiceFault) -> Page? { throw .noKeys }
    func welcome(
        _ presented: VisitAnswer.PresentedToken, _ token: [UInt8], _ aftermath: Aftermath, _ request: AccessRequest,
        _ signals: Signals
    ) throws(ServiceFault) -> VisitAnswer { throw .noKeys }
    func pageHolder(of token: [UInt8], former: CSRFHolder?) throws -> FormHolder { throw ServiceFault.noKeys }
    func report(_ notice: FlowNotice) {}
}

/// Guests, where an exploration has them.
extension Ground {
    static func sealer() throws -> Sealer {
        var random = SeededRandom(seed: 2)
        let key = try RingKey(
            kid: "k1", secret: .random(count: 32, from: &random), created: UnixSeconds(0),
            activeFrom: UnixSeconds(0))
        return try Sealer(ring: try KeyRing(keys: [key]), prefix: [])
    }

    func makeGuest() throws -> Guest {
        let now = time.seconds
        let made = try stateless.newGuest(lifetime: nil, Signals(), now: now)
        let opened = try made.text.withUnsafeBytes { (text) throws(ServiceFault) in
            try stateless.openGuest(text, now: now, latest: now)
        }
        guard case .valid(let guest) = opened else { throw UnexpectedEvent() }
        return guest
    }

    func claim(of guest: Guest) throws -> Claim {
        guard let verifier = try stateless.verifiers(of: guest).first else { throw UnexpectedEvent() }
        return Claim(
            token: SessionToken(sid: guest.sid, verifier: verifier), digest: try crypto.digest(verifier),
            guest: guest, signals: Signals())
    }
}

extension World {
    mutating func touch() {
        guard case .live(var record) = stored else { return }
        if Ticks.time(now) - record.lastAccess >= 1_000 { record.lastAccess = Ticks.time(now) }
        stored = .live(record)
    }
}
