internal import Tokens

/// The ends and forced rotations that this daemon is carrying out. Whoever brings a token of such a session while one is
/// under way waits until its fate is known.
///
/// One waits only for the changes that were under way when it came, so that a stream of them holds nobody up for ever.
/// Bounded by the requests that clients may have under way.
struct ForcedChanges {
    /// Told the fault where the fate of the change that it waited for last is not known.
    typealias Waiter = (ServiceFault?) -> Void
    /// Of one change, in the order of their beginning.
    typealias Number = UInt64

    private struct Session {
        var open: [Number]
        var waiting: [(last: Number, resume: Waiter)] = []
    }

    private var sessions: [SessionID: Session] = [:]
    private var latest: Number = 0

    func contains(_ sid: SessionID) -> Bool { !sessions.isEmpty && sessions[sid] != nil }

    mutating func begin(_ sid: SessionID) -> Number {
        latest += 1
        sessions[sid, default: Session(open: [])].open.append(latest)
        return latest
    }

    /// - Returns: those who waited for this change and for no other.
    mutating func end(_ number: Number, of sid: SessionID) -> [Waiter] {
        guard var session = sessions.removeValue(forKey: sid) else { return [] }
        session.open.removeAll { $0 == number }
        guard let first = session.open.first else { return session.waiting.map(\.resume) }
        let released = session.waiting.filter { $0.last < first }
        session.waiting.removeAll { $0.last < first }
        sessions[sid] = session
        return released.map(\.resume)
    }

    /// Keeps a waiter until what is under way now has ended.
    /// - Returns: whether anything is; else the waiter is not kept.
    mutating func wait(for sid: SessionID, _ resume: @escaping Waiter) -> Bool {
        guard !sessions.isEmpty, sessions[sid] != nil else { return false }
        sessions[sid]?.waiting.append((latest, resume))
        return true
    }
}

extension TokenService {
    /// The end or the forced rotation of a session begins: nothing known of it answers any more, and who brings its
    /// token waits for its fate.
    /// - Returns: the completion to end it with.
    func forcing<Answer>(_ sid: SessionID, _ done: @escaping Completion<Answer>) -> Completion<Answer> {
        forget(sid)
        let number = forced.begin(sid)
        return { [self] result in
            let released = forced.end(number, of: sid)
            done(result)
            var unknown: ServiceFault?
            if case .failure(let fault) = result, case .unavailable = fault { unknown = fault }
            for resume in released { resume(unknown) }
        }
    }

    /// The same for who names a session by its token. A made-up verifier must not end anybody's session: where the
    /// session is known here, its own tokens only.
    func forcing<Answer>(
        _ sid: SessionID, _ claim: Claim?, _ done: @escaping Completion<Answer>
    ) throws -> Completion<Answer> {
        if let claim, let cache = sessions?.cache, let index = cache.find(sid), let now = store.clock {
            let record = try cache[index].record(
                presented: claim.token.verifier, digest: claim.digest, crypto: crypto)
            guard record?.standing(of: claim.digest, policy: policy, now: now).isOwn == true else { return done }
        }
        return forcing(sid, done)
    }

    /// Goes on at once, or, where the session's end or forced rotation is under way, when its fate is known.
    func settled<Answer>(_ sid: SessionID, _ done: @escaping Completion<Answer>, then: @escaping () throws -> Void) {
        let mustWait = forced.wait(for: sid) { [self] fault in
            attempt(done) {
                if let fault { throw fault }
                try then()
            }
        }
        if !mustWait { attempt(done, then) }
    }
}
