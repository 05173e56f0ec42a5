public import Logging
public import RedisLink
public import TokenCrypto
public import Tokens

/// Carries out the session commands: asks the store, lets `Tokens` decide, writes what was decided.
///
/// Owned by the loop's thread. Every completion is called exactly once, never before the method has returned.
///
/// A change is written only over the revision it was decided on. Where another change came first, the script hands
/// back what stands there now, and the same question is decided again on that: whoever raced gets the same answer.
public final class TokenService {
    public typealias Completion<Answer> = (Result<Answer, ServiceFault>) -> Void

    /// Swapped as a whole at a reload.
    public var policy: TokenPolicy
    public internal(set) var counters = TokenCounters()

    let store: SessionStore
    let crypto: CryptoContext
    let logger: Logger
    private var random: any RandomSource

    /// How often one request decides anew after being overtaken. Each time somebody else's change was written, so
    /// this bounds work, not progress.
    static let maxAttempts = 32

    /// - Parameters:
    ///   - prefix: of every key, `redis.prefix`.
    ///   - timeout: `redis.timeout`, milliseconds.
    public init(
        link: RedisLink, prefix: [UInt8], timeout: Milliseconds, policy: TokenPolicy,
        random: any RandomSource = SystemRandom(), logger: Logger
    ) throws(CryptoError) {
        store = SessionStore(link: link, prefix: prefix, timeout: timeout)
        crypto = try CryptoContext()
        self.policy = policy
        self.random = random
        self.logger = logger
    }

    /// The scripts that the link must have loaded.
    public static var scripts: [RedisScript] { SessionScripts.all }

    // MARK: What every command needs

    func randomBytes<Value: FixedBytes>() throws(CryptoError) -> Value { try random.bytes() }

    /// Runs a step that decides; what it throws is the answer.
    func attempt<Answer>(_ done: Completion<Answer>, _ step: () throws -> Void) {
        do { try step() } catch { fail(error, done) }
    }

    func fail<Answer>(_ error: any Error, _ done: Completion<Answer>) {
        let fault = ServiceFault(error)
        if case .unavailable = fault { counters.unavailable += 1 }
        done(.failure(fault))
    }

    /// Redis's time now. A record was just read or a script answered, so it is known.
    func now() throws(Unavailable) -> Milliseconds {
        guard let now = store.clock else { throw Unavailable(reason: "Redis's clock is not known yet") }
        return now
    }

    /// Loads a session and goes on with it.
    func load<Answer>(_ sid: SessionID, _ done: @escaping Completion<Answer>, then: @escaping (StoredCopy) throws -> Void) {
        store.load(sid) { [self] result in
            attempt(done) { try then(try result.get()) }
        }
    }

    /// Writes a change and goes on: `written` once it stands, `overtaken` with what another change left.
    func commit<Answer>(
        _ change: Change, of sid: SessionID, attempt number: Int, _ done: @escaping Completion<Answer>,
        written: @escaping (_ changedData: Int) throws -> Void, overtaken: @escaping (StoredCopy) throws -> Void
    ) {
        guard number < Self.maxAttempts else {
            return fail(Unavailable(reason: "the session is being changed faster than this request could follow"), done)
        }
        let limit = policy.maxData
        store.commit(change, of: sid, maxData: limit) { [self] result in
            attempt(done) {
                switch try result.get() {
                case .done(let changedData): try written(changedData)
                case .overtaken(let copy):
                    counters.overtaken += 1
                    try overtaken(copy)
                case .tooLarge(let bytes): throw ServiceFault.dataTooLarge(bytes: bytes, limit: limit)
                }
            }
        }
    }

    func count(_ refusal: Refusal) {
        switch refusal {
        case .unknown: counters.unknown += 1
        case .replayed: counters.replayed += 1
        case .revoked: counters.revoked += 1
        }
    }
}

extension Change {
    /// The change from one state of a record to the next.
    init(from old: SessionRecord, to new: SessionRecord) {
        self.init(basis: .revision(old.revision))
        (set, delete) = RecordCodec.difference(from: old, to: new)
        expireAt = new.expireAt
    }

    /// The end of a session: a tombstone in its place.
    init(ending record: SessionRecord, _ tombstone: Tombstone, until: Milliseconds) {
        self.init(basis: .revision(record.revision))
        set = RecordCodec.encode(tombstone)
        expireAt = until
        replacesAll = true
    }
}
