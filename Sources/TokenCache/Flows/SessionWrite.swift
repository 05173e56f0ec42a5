internal import Tokens
internal import UnixTime

/// A change of a session in the words of the model. What is sent, what it does to the index, what is counted and what is
/// forgotten follows from its kind, here and nowhere else.
struct SessionWrite {
    enum Kind {
        /// A new session, of a token that is not out yet.
        case create(isRepeatable: Bool)
        /// By an access. The old token stays good whether it was written or not.
        case confirm, rotate, renewBindings
        /// The session of a guest, whose token leads there whether it was written or not.
        case promote(isRepeatable: Bool)
        /// LOGIN: a new token, the old ones dead at once.
        case login
        /// ROTATE: the same.
        case rotateByForce
        /// Limits, cookie and data of a session, by EXPIRE or a repeated LOGIN; the token state stays as it is.
        case amend
        /// Data fields; the token state stays as it is.
        case setData
        /// The end: a tombstone in the session's place.
        case end
    }

    let kind: Kind
    /// Boxed, as what is written: a write is handed on several times.
    private let before: StoredSession
    /// Data alone leaves what stands there.
    private(set) var next: StoredSession
    let data: DataChange
    /// A limit is kept: it is the subject's latest login.
    var isNumbered = false
    /// Its subject's, where that is known already.
    var subjectIndex: SubjectIndex?
    /// It has its place in the index, and by this request.
    var isEntered = false

    init(kind: Kind, over: SessionRecord?, next: StoredSession, data: DataChange = .none) {
        self.kind = kind
        before = over.map(StoredSession.live) ?? .absent
        self.next = next
        self.data = data
    }

    /// What it was decided on; nil where nothing may stand there, and for data of whatever session lives.
    var over: SessionRecord? { if case .live(let record) = before { record } else { nil } }

    static func create(_ record: SessionRecord, _ data: [RecordField], isRepeatable: Bool = true) -> SessionWrite {
        SessionWrite(kind: .create(isRepeatable: isRepeatable), over: nil, next: .live(record), data: .set(data))
    }
    static func access(_ kind: Kind, from old: SessionRecord, to next: SessionRecord) -> SessionWrite {
        SessionWrite(kind: kind, over: old, next: .live(next))
    }
    static func login(from old: SessionRecord, to next: SessionRecord, _ data: [RecordField]) -> SessionWrite {
        SessionWrite(kind: .login, over: old, next: .live(next), data: .set(data))
    }
    static func data(_ data: DataChange, over record: SessionRecord?) -> SessionWrite {
        SessionWrite(kind: .setData, over: record, next: record.map(StoredSession.live) ?? .absent, data: data)
    }
    static func amendment(
        of old: SessionRecord, to next: SessionRecord, _ data: [RecordField]
    ) -> SessionWrite {
        SessionWrite(kind: .amend, over: old, next: .live(next), data: .set(data))
    }
    static func end(_ record: SessionRecord, _ reason: EndReason, login: LoginMemo? = nil) -> SessionWrite {
        SessionWrite(
            kind: .end, over: record,
            next: .ended(Tombstone(reason: reason, login: login, csrfSalt: login == nil ? nil : record.csrfSalt)))
    }

    /// Requests with a token of the session wait until its fate is known.
    var isForced: Bool {
        switch kind {
        case .login, .rotateByForce, .end: true
        case .create, .confirm, .rotate, .renewBindings, .promote, .amend, .setData: false
        }
    }
    /// Entered into its subject's index not later than it is written: no REVOKEALL can miss it. In a cluster, and for what is
    /// no login, that is acknowledged first.
    var entersIndex: SessionRecord? {
        switch (kind, next) {
        case (.create, .live(let record)), (.login, .live(let record)): record.subject.isEmpty ? nil : record
        case (.amend, .live(let record)), (.rotateByForce, .live(let record)):
            record.subject.isEmpty || isEntered(record) ? nil : record
        default: nil
        }
    }

    /// It is there already, with an end that is no earlier: as the session of this subject.
    private func isEntered(_ record: SessionRecord) -> Bool {
        guard let over, over.subject == record.subject else { return false }
        return record.absoluteEnd <= over.absoluteEnd
    }

    /// Whether it counts among its subject's latest logins from now on.
    var login: IndexEntry.Login {
        guard kind.isLogin else { return .none }
        return isNumbered ? .numbered : .numberedWithOthers
    }

    /// Takes the number that its login was given with its place in the index. It is written with the session: of logins
    /// that race over one session the number counts whose write does.
    mutating func take(number: Int64?) {
        guard let number, case .live(var record) = next else { return }
        record.loginNumber = number
        next = .live(record)
    }

    /// What is sent.
    /// - Parameter tombstoneEnd: until when a tombstone stands.
    func change(tombstoneEnd: UnixMilliseconds) throws -> Change {
        var change = Change(kind: kind, basis: .absent)
        switch (kind, over, next) {
        case (.setData, let old, _):
            change.basis = old.map { .revision($0.revision) } ?? .anyLiving
        case (.confirm, let old?, .live(let next)), (.rotate, let old?, .live(let next)):
            // Of the old record only the revision need be known.
            change.basis = .revision(old.revision)
            (change.set, change.delete) = RecordCodec.accessFields(of: next)
            change.expireAt = next.expireAt
        case (.renewBindings, let old?, .live(let next)):
            change.basis = .revision(old.revision)
            change.set = RecordCodec.bindingFields(of: next)
        case (_, let old?, .live(let next)) where old.isStored:
            change.basis = .revision(old.revision)
            (change.set, change.delete) = RecordCodec.difference(from: old, to: next)
            change.expireAt = next.expireAt
        case (_, _, .live(let next)):
            // New, or of a guest, which is stored nowhere: if nobody was first.
            change.set = RecordCodec.encode(next)
            change.expireAt = next.expireAt
        case (_, let old?, .ended(var tombstone)):
            change.basis = .revision(old.revision)
            tombstone.until = tombstoneEnd
            change.set = RecordCodec.encode(tombstone)
            change.expireAt = tombstoneEnd
        case (_, nil, .ended), (_, _, .absent): throw UnexpectedEvent()
        }
        change.data = data
        return change
    }
}

/// A `SessionWrite` as `commit.lua` is sent it.
struct Change {
    /// What must stand under the key for the change to be written.
    enum Basis {
        case absent
        case revision(Int64)
        case anyLiving
    }

    let kind: SessionWrite.Kind
    var basis: Basis
    var set: [RecordField] = []
    var delete: [[UInt8]] = []
    /// Nil leaves the TTL as it is.
    var expireAt: UnixMilliseconds?
    var data = DataChange.none

    init(kind: SessionWrite.Kind, basis: Basis) {
        self.kind = kind
        self.basis = basis
    }

    /// Put `set` in the place of all that stood there.
    var replacesAll: Bool { if case .end = kind { true } else { false } }

    /// Whether a full Redis should refuse it.
    var needsMemory: Bool {
        switch (kind, basis) {
        case (.create, _), (.promote, _), (.login, _): true
        case (.setData, _), (.amend, _): data.needsMemory
        // A guest becomes a session by it.
        case (.rotateByForce, .absent): true
        case (.rotateByForce, _), (.confirm, _), (.rotate, _), (.renewBindings, _), (.end, _): false
        }
    }

    /// Whether doing it twice is the same as once, for a caller who handles `.overtaken`.
    var isRepeatable: Bool {
        switch kind {
        case .create(let isRepeatable), .promote(let isRepeatable): isRepeatable
        // Done twice it would count no change.
        case .setData: false
        case .confirm, .rotate, .renewBindings, .login, .rotateByForce, .amend, .end: true
        }
    }
}

extension SessionWrite.Kind {
    /// Acknowledged only when the replicas have it that are waited for (`redis.wait-replicas`).
    var awaitsReplicas: Bool {
        switch self {
        case .create, .promote, .login, .rotate, .rotateByForce, .amend, .end: true
        // Losing it costs nobody a token, and lets nobody in.
        case .confirm, .renewBindings, .setData: false
        }
    }

    /// Of a session that is new, or under a new token that its subject asked for.
    var isLogin: Bool {
        switch self {
        case .create, .login: true
        case .confirm, .rotate, .renewBindings, .promote, .rotateByForce, .amend, .setData, .end: false
        }
    }

    /// Of an access: nothing that is known of the session is wrong while it is under way.
    var isAccess: Bool {
        switch self {
        case .confirm, .rotate, .renewBindings: true
        case .create, .promote, .login, .rotateByForce, .amend, .setData, .end: false
        }
    }

    /// Whether a guest's token may be good no longer, or only as this session's.
    var mayEndGuest: Bool {
        switch self {
        case .promote, .login, .rotateByForce, .end: true
        case .create, .confirm, .rotate, .renewBindings, .amend, .setData: false
        }
    }

    /// Whether the old token may be dead where nobody knows if it was written.
    var mayHaveKilled: Bool {
        switch self {
        case .create, .login, .rotateByForce, .end: true
        case .confirm, .rotate, .renewBindings, .promote, .amend, .setData: false
        }
    }
}
