internal import EventLoop
internal import RedisLink
internal import Tokens

/// A read of Redis, as it reaches one who asked.
struct SessionRead {
    var copy: StoredCopy
    /// The read had begun before this one asked: good for accepting, not for refusing.
    var beganEarlier: Bool
    /// Nothing contradicted it since it was sent: the near cache may keep it.
    var mayBeKept: Bool
}

/// Reads sessions for the near cache: concurrent misses of one session share one read.
///
/// Each read has an identity and a mark of its own. An invalidation, an own write on the session, a flush or the loss
/// of a link marks it; one that is sent while invalidations are not told is born marked. A marked read is neither
/// kept nor joined, and those who wait for it are served by a fresh one.
final class SessionReader {
    typealias Completion = (Result<SessionRead, Unavailable>) -> Void

    private final class Fetch {
        var isMarked: Bool
        let sentAt: MonotonicInstant
        var waiters: [(completion: Completion, joined: Bool)] = []

        init(isMarked: Bool, sentAt: MonotonicInstant) {
            self.isMarked = isMarked
            self.sentAt = sentAt
        }
    }

    private let store: SessionStore
    /// Whether every change of a session is being told at the moment.
    private let isArmed: (SessionID) -> Bool
    /// Reads that may be joined, at most one a session.
    private var joinable: [SessionID: Fetch] = [:]

    init(store: SessionStore, isArmed: @escaping (SessionID) -> Bool) {
        self.store = store
        self.isArmed = isArmed
    }

    /// Reads a session, together with others who want the same one.
    func read(_ sid: SessionID, _ done: @escaping Completion) {
        // What a daemon that was stopped finds may be old, and what was told meanwhile not read yet.
        if let fetch = joinable[sid], fetch.sentAt.duration(to: store.instant) <= RedisNode.proofLimit {
            fetch.waiters.append((done, true))
        } else {
            send(Fetch(isMarked: !isArmed(sid), sentAt: store.instant), sid, [(done, false)])
        }
    }

    /// Reads a session anew, whatever is under way; for an answer that is not kept.
    func readAnew(_ sid: SessionID, _ done: @escaping Completion) {
        send(Fetch(isMarked: true, sentAt: store.instant), sid, [(done, false)])
    }

    /// Something happened to the session: what is being read of it is not to be kept.
    func mark(_ sid: SessionID) { joinable.removeValue(forKey: sid)?.isMarked = true }

    func markAll() {
        for fetch in joinable.values { fetch.isMarked = true }
        joinable.removeAll()
    }

    private func send(_ fetch: Fetch, _ sid: SessionID, _ waiters: [(completion: Completion, joined: Bool)]) {
        fetch.waiters = waiters
        // A mark reaches the read that may be joined, and no other: what is not that one is not kept.
        if !fetch.isMarked {
            if joinable[sid] == nil { joinable[sid] = fetch } else { fetch.isMarked = true }
        }
        store.load(sid) { [self] result in
            if joinable[sid] === fetch { joinable[sid] = nil }
            complete(fetch, sid, result)
        }
    }

    private func complete(_ fetch: Fetch, _ sid: SessionID, _ result: Result<StoredCopy, Unavailable>) {
        let waiters = fetch.waiters
        fetch.waiters = []
        switch result {
        case .failure(let unavailable):
            for waiter in waiters { waiter.completion(.failure(unavailable)) }
        case .success(let copy):
            let mayBeKept = !fetch.isMarked && isArmed(sid)
            // Who joined may have asked after the change that marked the read; who began it asked before it was sent.
            let late = fetch.isMarked ? waiters.filter(\.joined) : []
            for waiter in waiters where late.isEmpty || !waiter.joined {
                waiter.completion(
                    .success(SessionRead(copy: copy, beganEarlier: waiter.joined, mayBeKept: mayBeKept)))
            }
            guard !late.isEmpty else { return }
            // Begun after all of them had asked.
            send(Fetch(isMarked: !isArmed(sid), sentAt: store.instant), sid, late.map { ($0.completion, false) })
        }
    }
}
