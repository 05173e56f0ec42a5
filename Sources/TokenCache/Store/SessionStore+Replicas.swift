internal import EventLoop
internal import RedisLink
internal import Tokens
internal import UnixTime

/// Waiting for replicas, `redis.wait-replicas`: what was written is acknowledged when so many have it.
extension SessionStore {
    /// A server, and the connections to it from before something was asked of it: what the answer tells can be waited for.
    struct ReplicaMark {
        fileprivate let node: RedisNode
        fileprivate let mark: ReplicaWait.Mark
    }

    /// Of the server of a key; nil where no replica is waited for.
    func replicaMark(of key: [UInt8]) -> ReplicaMark? {
        guard isWaitingForReplicas, let node = router.node(of: key) else { return nil }
        return node.replicas.map { ReplicaMark(node: node, mark: $0.mark) }
    }

    func replicaMark(of sid: SessionID) -> ReplicaMark? {
        isWaitingForReplicas ? replicaMark(of: keys.session(sid)) : nil
    }

    /// Whether the server of a mark is still that of the session.
    func isOwner(_ mark: ReplicaMark, of sid: SessionID) -> Bool { router.node(of: keys.session(sid)) === mark.node }

    /// Of all servers, as any may come to answer; none where no replica is waited for.
    func replicaMarks() -> [ReplicaMark] {
        guard isWaitingForReplicas else { return [] }
        return router.nodes.compactMap { node in node.replicas.map { ReplicaMark(node: node, mark: $0.mark) } }
    }

    /// Waits until the replicas have all that stood under a key when the answer that has just come was given.
    func awaitReplicas(
        _ mark: ReplicaMark, of key: [UInt8], arrival: MonotonicInstant, _ done: @escaping Completion<Void>
    ) {
        // Another server may have answered meanwhile.
        guard let node = router.node(of: key), node === mark.node else {
            return later { done(.failure(Unavailable(RedisFault.unacknowledged))) }
        }
        awaitReplicasOfAll(at: node, [mark], by: deadline(arrival)) { done($0.map(Result.failure) ?? .success(())) }
    }

    /// Waits until a server's replicas have what it has just answered.
    /// - Parameter marks: from when it was sent. A server that was not known then has made its connections since.
    func awaitReplicasOfAll(
        at node: RedisNode, _ marks: [ReplicaMark], by deadline: MonotonicInstant,
        _ done: @escaping (Unavailable?) -> Void
    ) {
        guard let replicas = node.replicas else { return later { done(nil) } }
        let mark = marks.first { $0.node === node }?.mark ?? replicas.mark
        replicas.awaitReplicas(mark, by: deadline) { done($0.map { Unavailable($0) }) }
    }

    /// Waits until the replicas of all servers have what those have by now.
    /// - Parameter marks: from before that was read of which an answer tells.
    func awaitReplicasEverywhere(
        _ marks: [ReplicaMark], arrival: MonotonicInstant, _ done: @escaping Completion<Void>
    ) {
        let servers = router.servers
        guard !servers.isEmpty else { return later { [outage] in done(.failure(outage)) } }
        var (left, first): (Int, Unavailable?) = (servers.count, nil)
        for node in servers {
            awaitReplicasOfAll(at: node, marks, by: deadline(arrival)) { fault in
                first = first ?? fault
                left -= 1
                if left == 0 { done(first.map(Result.failure) ?? .success(())) }
            }
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
