import TokenCrypto
import Tokens

@testable import TokenCache

/// What `redis.wait-replicas` promises where all replicas are waited for, held against what a new master has: nothing that
/// was acknowledged is lost with the one before.
extension Checker {
    /// What masters took with them, and what of it was acknowledged.
    struct Replicated {
        /// The last change of a session that was acknowledged, by when it was written.
        var acknowledged: [SessionID: SimulatedTime] = [:]
        /// What a new master stood at, and since when it is the one.
        var losses: [SessionID: [(to: SimulatedTime, at: SimulatedTime)]] = [:]
    }

    private var isPromised: Bool {
        setup.number("wait-replicas") >= (fleet.map { $0.servers.count - 1 } ?? 1) && (fleet != nil || cluster != nil)
    }

    // MARK: Acknowledged

    /// A request was told that something of sessions is so.
    func acknowledgeReplicated(_ request: Request, _ outcome: Outcome) {
        guard isPromised else { return }
        switch outcome {
        case .accepted(let view):
            if case .session(let token)? = view.newToken, let digest = try? crypto.digest(token.verifier) {
                let written = truth.timelines[token.sid]?.first { $0.session.current == digest }
                acknowledge(token.sid, written, by: request)
            }
            guard request.operation == .expire, let sid = request.sid else { return }
            let written = truth.timelines[sid]?.last { moment in
                guard moment.at >= request.began, case .live(let record) = moment.session else { return false }
                return hasLimits(record, of: request)
            }
            if written != nil { acknowledge(sid, written, by: request) }
        case .ended: if let sid = request.sid { acknowledgeEnd(of: sid, by: request) }
        case .allEnded where request.operation == .revokeAll:
            guard let index = try? SubjectIndex(subject: request.subject, crypto: crypto) else { return }
            for sid in sessionsOfIndex[key(of: index)] ?? [] { acknowledgeEnd(of: sid, by: request) }
        default: break
        }
    }

    private func acknowledgeEnd(of sid: SessionID, by request: Request) {
        let timeline = truth.timelines[sid] ?? []
        guard case .ended? = timeline.last?.session else { return }
        let living = timeline.lastIndex { if case .ended = $0.session { false } else { true } }
        acknowledge(sid, timeline[(living.map { $0 + 1 } ?? 0)...].first, by: request)
    }

    /// - Parameter written: nil: nowhere that counts.
    private func acknowledge(_ sid: SessionID, _ written: Truth.Moment?, by request: Request) {
        guard let written else {
            return fail("S11", "#\(request.number) was acknowledged by a master without its replicas")
        }
        let last = masters.replicated.acknowledged[sid] ?? 0
        masters.replicated.acknowledged[sid] = max(last, written.at)
        let isLost = masters.replicated.losses[sid]?.contains { $0.at >= written.at && $0.to < written.at } == true
        if isLost { fail("S11", "#\(request.number) was told of a change that is lost with its master") }
    }

    // MARK: Lost

    /// Another server is the master of a session.
    /// - Parameter held: what that one has of it.
    func lostWithMaster(_ sid: SessionID, _ held: StoredSession) {
        guard isPromised, let timeline = truth.timelines[sid] else { return }
        // What has run out is gone or not.
        let clock = truth.clock(at: agenda.now)
        let known = timeline.last { $0.session == held || $0.session(at: clock) == held }?.at ?? 0
        masters.replicated.losses[sid, default: []].append((known, agenda.now))
        guard let acknowledged = masters.replicated.acknowledged[sid], known < acknowledged else { return }
        fail("S11", "a change of \(sid.description.prefix(8)) was acknowledged, and is lost with its master")
    }

    /// S13: a place in an index is acknowledged with its session.
    func lostWithMaster(_ index: String, _ held: ModelEntry?) {
        guard isPromised else { return }
        for sid in sessionsOfIndex[index] ?? [] where masters.replicated.acknowledged[sid] != nil {
            guard case .live(let record)? = truth.last(sid)?.session(at: truth.clock(at: agenda.now)),
                let own = try? SubjectIndex(subject: record.subject, crypto: crypto), key(of: own) == index,
                held?.members.contains(where: { $0.member == sid.hex }) != true
            else { continue }
            fail("S13", "the place of \(sid.description.prefix(8)) in its index is lost with its master")
        }
    }

    /// It came from another master, whose replicas had what was acknowledged; those of this one will.
    func moved(_ key: String) {
        guard let sid = Self.sid(of: key) else { return }
        masters.replicated.acknowledged[sid] = nil
    }
}

extension StoredSession {
    fileprivate var current: Digest? { if case .live(let record) = self { record.current } else { nil } }
}
