internal import Tokens

/// Carries out once more, on another master, what was acknowledged by the one before. What stands there already, or came
/// later, stays.
struct RepeatFlow: Flow {
    let sid: SessionID
    /// What was acknowledged to stand there.
    let wanted: StoredSession
    /// Of a LOGIN: written with it.
    let data: DataChange

    mutating func next(_ event: FlowEvent, _ context: some FlowContext) throws -> FlowStep<Bool> {
        switch event {
        case .begin: return .read(.anew(sid))
        case .read(let copy, _), .overtaken(let copy):
            guard let write = write(over: copy.session) else { return .answer(false) }
            return .write(write, of: sid)
        case .written: return .answer(true)
        // Nobody can be let in by it.
        case .failed(let fault) where fault.isNoSession: return .answer(false)
        case .failed(let fault): throw fault
        default: throw UnexpectedEvent()
        }
    }

    /// Nil where nothing is lost.
    private func write(over found: StoredSession) -> SessionWrite? {
        switch (wanted, found) {
        // A session that was ended never lives again: this one is from before.
        case (.ended(let tombstone), .live(let record)): return .end(record, tombstone.reason, login: tombstone.login)
        case (.live(let wanted), .live(let record)):
            guard record.forcedGeneration < wanted.forcedGeneration else { return nil }
            var next = wanted
            next.revision = max(wanted.revision, record.revision &+ 1)
            return SessionWrite(kind: .rotateByForce, over: record, next: .live(next), data: data)
        // Of a session no token is good that is not there: it may have been ended by somebody who was told so. A guest's, with
        // which a LOGIN was called, is a guest's again.
        case (.ended, _), (.live, .absent), (.live, .ended), (.absent, _): return nil
        }
    }
}
