internal import EventLoop
internal import RedisLink
internal import Tokens
internal import UnixTime

/// Waiting for replicas, `redis.wait-replicas`: what was written is acknowledged when so many have it.
extension SessionStore {
    /// A place for a question that is asked before anything is read: what is read behind it can be waited for.
    struct ReplicaMark {
        fileprivate let replicas: ReplicaWait
        fileprivate let mark: ReplicaWait.Mark
    }

    /// - Returns: nil where no replica is waited for.
    func replicaMark(of key: [UInt8]) -> ReplicaMark? {
        router.node(of: key).replicas.map { ReplicaMark(replicas: $0, mark: $0.mark) }
    }

    func replicaMark(of sid: SessionID) -> ReplicaMark? {
        isWaitingForReplicas ? replicaMark(of: keys.session(sid)) : nil
    }

    /// Waits until the replicas have all that stood there when the answer that has just come was given.
    func keep(_ mark: ReplicaMark, arrival: MonotonicInstant, _ done: @escaping Completion<Void>) {
        mark.replicas.keep(mark.mark, by: deadline(arrival)) { fault in
            done(fault.map { .failure(Unavailable($0)) } ?? .success(()))
        }
    }

    /// When a request is answered, whatever Redis does.
    func deadline(_ arrival: MonotonicInstant) -> MonotonicInstant { arrival + .milliseconds(timeout) }

    /// Whether an index stands on another server than its session: the wait for one says nothing of the other then.
    func isElsewhere(_ index: [UInt8], than sid: SessionID) -> Bool {
        isWaitingForReplicas && router.node(of: index) !== router.node(of: keys.session(sid))
    }

    private var isWaitingForReplicas: Bool { router.first.replicas != nil }
}
