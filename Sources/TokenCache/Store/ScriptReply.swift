internal import RedisLink
internal import Tokens
internal import UnixTime

/// What a script of ours answered: `{verdict, Redis's time, detail}`; `admit.lua` also where in the index the session stands.
struct ScriptReply {
    let verdict: String
    let serverTime: UnixMilliseconds
    let detail: RedisReply?
    let place: RedisReply?

    static let unexpected = Unavailable(.unexpected)
    static let late = Unavailable(.late)

    init(_ reply: RedisReply) throws {
        guard case .array(let parts) = reply, parts.count >= 2, case .bulk(let verdict) = parts[0],
            case .integer(let time) = parts[1]
        else { throw Self.unexpected }
        self.verdict = String(decoding: verdict, as: UTF8.self)
        serverTime = UnixMilliseconds(time)
        detail = parts.count > 2 ? parts[2] : nil
        place = parts.count > 3 ? parts[3] : nil
    }

    var isLate: Bool { verdict == "late" }

    /// The answer of `commit.lua`.
    var changeOutcome: Result<ChangeOutcome, Unavailable> {
        switch (verdict, detail) {
        case ("done", .integer(let changed)): .success(.done(.changed(Int(clamping: changed))))
        case ("done", .bulk(let text)):
            Int64(strict: text).map { .success(.done(.sum($0))) } ?? .failure(Self.unexpected)
        case ("done", .array(let pairs)): Self.fields(pairs).map { .done(.taken($0)) }
        case ("conflict", .array(let pairs)): Self.fields(pairs).map { .done(.conflict($0)) }
        case ("changed", .some(let hash)):
            Result { try StoredCopy(hash) }.mapError(Unavailable.init).map { .overtaken($0) }
        case ("large", .integer(let bytes)): .success(.tooLarge(bytes: bytes))
        case ("number", _): .success(.notAnInteger)
        case ("late", _): .success(.late)
        default: .failure(Self.unexpected)
        }
    }
}

extension ScriptReply {
    /// Data fields: name and value by turns.
    fileprivate static func fields(_ pairs: RedisArray) -> Result<[RecordField], Unavailable> {
        guard let strings = pairs.strings, strings.ends.count.isMultiple(of: 2) else { return .failure(unexpected) }
        return .success(
            stride(from: 0, to: strings.ends.count, by: 2).map { at in
                RecordField(name: strings[at], value: strings[at + 1])
            })
    }
}

extension StoredCopy {
    /// Reads the answer of `HGETALL`.
    init(_ reply: RedisReply) throws {
        guard case .array(let elements) = reply, let strings = elements.strings else { throw ScriptReply.unexpected }
        (session, data) = try RecordCodec.decode(strings.bytes, ends: strings.ends)
    }
}

extension Unavailable {
    /// In the words of the fault's row.
    init(_ row: KnownFault, isSilence: Bool = false) { self.init(reason: row.text, isSilence: isSilence) }

    static let timeIsUp = Unavailable(.timeout, isSilence: true)
    static let unconfirmedEnd = Unavailable(.unconfirmedEnd)
    static let subjectTooBusy = Unavailable(.subjectTooBusy)
    static let tooManyWait = Unavailable(
        reason: "too many commands over many sessions wait for their turn (at most \(Turns.mostWaiting))")
    static let sessionTooBusy = Unavailable(.sessionTooBusy)

    /// Any error of reading from Redis, as the reason a client is told.
    init(_ error: any Error) {
        self =
            switch error {
            case let error as Unavailable: error
            case let fault as RedisFault:
                Unavailable(
                    reason: fault.description, isSilence: fault.isSilence, isNoSession: fault.kind == .wrongType,
                    isUnacknowledged: fault.kind == .unacknowledged, isRefusal: fault.isRefusal)
            case let error as RecordError: Unavailable(reason: error.description, isNoSession: error.isDamage)
            default: Unavailable(reason: "an internal fault: \(error)")
            }
    }
}

extension Result where Success == RedisReply, Failure == RedisFault {
    func mapToAvailable<Value>(_ transform: (RedisReply) throws -> Value) -> Result<Value, Unavailable> {
        Result<Value, any Error> { try transform(try get()) }.mapError(Unavailable.init)
    }
}
