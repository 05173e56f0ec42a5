internal import EventLoop
internal import RedisLink
internal import Tokens
internal import UnixTime

/// When everyone was logged out last: sessions and guests that were made until then are ended, whatever stands in Redis.
///
/// Every server has it under a key of its own, beside the sessions, so its feed tells of it as of any session. It is known
/// for certain while one of the servers tells of every change and it was read there since that began: nobody is told that
/// everyone is logged out before all servers have it. While it is not certain, what is read of a session is answered only
/// when the epoch was read at the session's server, too. A server that knows of an earlier one, or of none, because it
/// came later or has lost it, is told.
final class RevocationEpoch {
    /// What was asked of a server.
    private final class Reading {
        /// What makes what was read before worth nothing.
        struct Basis: Equatable {
            let armings: Int
            let tag: [UInt8]
            let doubts: Int
        }

        let node: RedisNode
        /// What was read last, and on what that rests.
        var found: UnixMilliseconds?
        var basis: Basis?
        /// On what the answer will rest to the question that is under way.
        var asking: Basis?
        /// Questions that were sent, and the last that was answered.
        var asked: UInt64 = 0
        var answered: UInt64 = 0
        /// The last that was not.
        var failed: (question: UInt64, fault: Unavailable)?
        var waiting: [(question: UInt64, body: (Unavailable?) -> Void)] = []
        var isTelling = false

        init(_ node: RedisNode) { self.node = node }
    }

    typealias Question = (
        RedisNode, _ isRequest: Bool, @escaping (Result<UnixMilliseconds?, Unavailable>, _ tag: [UInt8]) -> Void
    ) -> Void

    /// Nil where none was ever read.
    private(set) var moment: UnixMilliseconds?
    /// Called when a later one was learned: everything known of sessions from before is over.
    var onChange: (UnixMilliseconds) -> Void = { _ in }
    /// Called when a server that knew of less was told.
    var onTold: (RedisNode) -> Void = { _ in }
    /// Whether a server tells of every change at the moment.
    var isTold: (RedisNode) -> Bool = { _ in false }

    private let router: RedisRouter
    private let read: Question
    private let tell: (RedisNode, UnixMilliseconds, @escaping (Bool) -> Void) -> Void
    private var readings: [Reading] = []
    private var doubts = 0

    /// - Parameters:
    ///   - read: asks a server, behind what was sent to it before.
    ///   - tell: has a server know of an epoch.
    init(
        _ router: RedisRouter, read: @escaping Question,
        tell: @escaping (RedisNode, UnixMilliseconds, @escaping (Bool) -> Void) -> Void
    ) {
        self.router = router
        self.read = read
        self.tell = tell
    }

    var isCertain: Bool { readings.contains(where: isCertain) && (!router.isCluster || isAskedOfAll) }

    /// Whether every server that can be asked was: one that has lost it, or is new, may have been the first to answer.
    private var isAskedOfAll: Bool {
        router.servers.allSatisfy { node in
            node.state != .ready || readings.contains { $0.node === node && $0.answered > 0 }
        }
    }

    func ends(made: UnixMilliseconds) -> Bool {
        guard let moment else { return false }
        return made <= moment
    }

    /// It may have changed.
    func doubt() {
        doubts += 1
        askWhereUnread()
    }

    /// Asks the servers that were not asked since they tell of every change.
    func askWhereUnread() {
        for node in router.servers {
            let reading = self.reading(at: node)
            let basis = basis(of: node)
            if reading.basis != basis, reading.asking != basis { ask(reading, isRequest: false) }
        }
    }

    /// Has servers know of it that know of less.
    func tellOthers() {
        guard let moment else { return }
        for reading in readings where reading.answered > 0 && !reading.isTelling && isServer(reading.node) {
            guard reading.found ?? UnixMilliseconds(0) < moment else { continue }
            reading.isTelling = true
            tell(reading.node, moment) { [self] isTold in
                reading.isTelling = false
                guard isTold else { return }
                reading.found = max(reading.found ?? moment, moment)
                onTold(reading.node)
            }
        }
    }

    /// Asks Redis with `send`, and holds its answer back until an epoch is known that is at least as new.
    /// - Parameter owner: the server that is asked; nil where nobody owns the key.
    func accompany<Value>(
        by owner: @escaping () -> RedisNode?, _ done: @escaping SessionStore.Completion<Value>,
        _ send: (@escaping SessionStore.Completion<Value>) -> Void
    ) {
        if isCertain {
            return send { [self] result in
                guard !isCertain, let node = owner() else { return done(result) }
                let reading = self.reading(at: node)
                let question = ask(reading)
                hold(until: question, reading) { [self] in settle($0, of: node, result, done) }
            }
        }
        // So it is answered.
        guard let node = owner() else { return send(done) }
        let reading = self.reading(at: node)
        let question = reading.asked + 1
        send { [self] result in
            hold(until: question, reading) { [self] in settle($0, of: node, result, done) }
        }
        // Behind it: no older than what was read.
        ask(reading)
    }

    /// Takes in what was read or written; only ever later.
    func learn(_ moment: UnixMilliseconds?) {
        guard let moment, moment > self.moment ?? UnixMilliseconds(0) else { return }
        self.moment = moment
        onChange(moment)
    }

    /// - Parameter fault: of the question for the epoch; nil: it is known.
    private func settle<Value>(
        _ fault: Unavailable?, of node: RedisNode, _ result: Result<Value, Unavailable>,
        _ done: @escaping SessionStore.Completion<Value>
    ) {
        guard let fault, case .success = result else { return done(result) }
        // A server without slots has no key of its own; any other one knows as well.
        guard !fault.isSilence, let other = router.servers.first(where: { $0 !== node && $0.state == .ready }) else {
            return done(.failure(fault))
        }
        let reading = self.reading(at: other)
        let question = ask(reading)
        hold(until: question, reading) { fault in done(fault.map(Result.failure) ?? result) }
    }

    // MARK: One server

    private func isServer(_ node: RedisNode) -> Bool {
        router.isCluster ? router.servers.contains { $0 === node } : node === router.first
    }

    private func isCertain(_ reading: Reading) -> Bool {
        guard let basis = reading.basis, isServer(reading.node) else { return false }
        return isTold(reading.node) && basis == self.basis(of: reading.node)
    }

    private func basis(of node: RedisNode) -> Reading.Basis {
        Reading.Basis(armings: node.armings, tag: node.tag, doubts: doubts)
    }

    private func reading(at node: RedisNode) -> Reading {
        if let known = readings.first(where: { $0.node === node }) { return known }
        readings.removeAll { left in left.waiting.isEmpty && !router.nodes.contains { $0 === left.node } }
        let reading = Reading(node)
        readings.append(reading)
        return reading
    }

    /// - Returns: which question it is.
    @discardableResult
    private func ask(_ reading: Reading, isRequest: Bool = true) -> UInt64 {
        reading.asked += 1
        let question = reading.asked
        let (armings, doubts) = (reading.node.armings, doubts)
        reading.asking = basis(of: reading.node)
        read(reading.node, isRequest) { [self] result, tag in
            var fault: Unavailable?
            if question == reading.asked { reading.asking = nil }
            switch result {
            case .success(let found):
                reading.answered = max(reading.answered, question)
                reading.basis = Reading.Basis(armings: armings, tag: tag, doubts: doubts)
                reading.found = found
                learn(found)
                tellOthers()
            case .failure(let unavailable):
                fault = unavailable
                if question > reading.failed?.question ?? 0 { reading.failed = (question, unavailable) }
            }
            let ready = reading.waiting.filter { $0.question <= question }
            reading.waiting.removeAll { $0.question <= question }
            for waiter in ready { waiter.body(fault) }
        }
        return question
    }

    /// Calls back when a question, or a later one, was answered.
    private func hold(until question: UInt64, _ reading: Reading, _ body: @escaping (Unavailable?) -> Void) {
        if reading.answered >= question { return body(nil) }
        if let failed = reading.failed, failed.question >= question { return body(failed.fault) }
        reading.waiting.append((question, body))
    }
}
