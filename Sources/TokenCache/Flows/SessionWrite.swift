internal import Tokens

/// A change of a session in the words of the model. What is sent, what it does to the index, what is counted and what is
/// forgotten follows from its kind, here and nowhere else.
struct SessionWrite {
    enum Kind {
        /// A new session, of a token that is not out yet.
        case create(isRepeatable: Bool)
        /// By an access. The old token stays good whether it was written or not.
        case confirm, rotate, renewBindings
        /// LOGIN: a new token, the old ones dead at once.
        case login
        /// ROTATE: the same.
        case rotateByForce
        /// The end: a tombstone in the session's place.
        case end
    }

    let kind: Kind
    /// What it was decided on; nil where nothing may stand there.
    let over: SessionRecord?
    let next: StoredSession
    var data: [RecordField] = []

    static func create(_ record: SessionRecord, _ data: [RecordField], isRepeatable: Bool = true) -> SessionWrite {
        SessionWrite(kind: .create(isRepeatable: isRepeatable), over: nil, next: .live(record), data: data)
    }
    static func access(_ kind: Kind, from old: SessionRecord, to next: SessionRecord) -> SessionWrite {
        SessionWrite(kind: kind, over: old, next: .live(next))
    }
    static func login(from old: SessionRecord, to next: SessionRecord, _ data: [RecordField]) -> SessionWrite {
        SessionWrite(kind: .login, over: old, next: .live(next), data: data)
    }
    static func end(_ record: SessionRecord, _ reason: EndReason, login: LoginMemo? = nil) -> SessionWrite {
        SessionWrite(kind: .end, over: record, next: .ended(Tombstone(reason: reason, login: login)))
    }

    /// Who brings a token of the session waits until its fate is known.
    var isForced: Bool {
        switch kind {
        case .login, .rotateByForce, .end: true
        case .create, .confirm, .rotate, .renewBindings: false
        }
    }
    /// Entered into its subject's index, and acknowledged, before it is written: no REVOKEALL can miss it.
    var entersIndex: SessionRecord? {
        switch (kind, next) {
        case (.create, .live(let record)), (.login, .live(let record)): record.subject.isEmpty ? nil : record
        default: nil
        }
    }
    var counter: WritableKeyPath<TokenCounters, UInt64>? {
        switch kind {
        case .confirm: \.confirmations
        case .rotate: \.rotations
        case .login, .rotateByForce: \.forcedRotations
        case .end: \.ended
        case .create, .renewBindings: nil
        }
    }

    /// What is sent.
    /// - Parameter tombstoneEnd: until when a tombstone stands.
    func change(tombstoneEnd: Milliseconds) -> Change {
        var change: Change
        switch (kind, over, next) {
        case (.confirm, let old?, .live(let next)), (.rotate, let old?, .live(let next)):
            change = Change(access: next, over: old.revision)
        case (.renewBindings, let old?, .live(let next)): change = Change(bindings: next, over: old.revision)
        case (_, let old?, .live(let next)): change = Change(from: old, to: next)
        case (_, nil, .live(let next)):
            change = Change(basis: .absent, set: RecordCodec.encode(next), expireAt: next.expireAt)
            change.isFresh = true
        case (_, let old?, .ended(let tombstone)): change = Change(ending: old, tombstone, until: tombstoneEnd)
        case (_, nil, .ended), (_, _, .absent): preconditionFailure("no such change is ever decided")
        }
        change.data = data
        switch kind {
        case .create(let isRepeatable): (change.needsMemory, change.isRepeatable) = (true, isRepeatable)
        case .login: change.needsMemory = true
        case .rotateByForce: change.needsMemory = over?.isStored == false
        case .confirm, .rotate, .renewBindings, .end: break
        }
        return change
    }
}
