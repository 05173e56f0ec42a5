import Synchronization
import TestSupport

/// Workers that change sessions until they are stopped, each on a connection of its own, and what they were told stands.
/// Meanwhile each asks for what it has ended.
final class AcknowledgedChanges: Sendable {
    /// What was acknowledged last of a session.
    enum Change: String, CaseIterable {
        case issued
        /// By its own subject: the same session under a new token.
        case loggedIn
        /// By a login of another subject, which has a session of its own.
        case replaced
        case rotated, ended
    }

    private struct Session {
        let change: Change
        let token: String
        /// What is over since the change: its own token where it is ended.
        let former: String?
        let subject: String
        /// The number of the daemon that acknowledged it.
        let daemon: Int
    }

    /// Where one worker is.
    private struct Work: Sendable {
        let client: RESPClient
        let number: Int
        let daemon: Int
        var round = 0
        /// Tokens of sessions that are yet to be changed.
        var waiting: [String] = []
        /// Tokens that this daemon acknowledged to be over.
        var over: [String] = []
    }

    private enum Verdict {
        case stands, isLost
        /// The token that was over is accepted.
        case isUndone
    }

    /// How many sessions, and of how many the last change was lost: one that is gone, a login or a rotation that was
    /// undone, an end after which the token is accepted.
    struct Outcome: CustomStringConvertible {
        var sessions = 0
        var lost: [Change: Int] = [:]
        /// Tokens that were over, and those of them that are accepted.
        var over = 0
        var accepted = 0

        var allLost: Int { lost.values.reduce(0, +) }

        static func += (left: inout Self, right: Self) {
            left.sessions += right.sessions
            left.lost.merge(right.lost, uniquingKeysWith: +)
            left.over += right.over
            left.accepted += right.accepted
        }

        var description: String {
            let parts = Change.allCases.compactMap { change in lost[change].map { "\($0) \(change)" } }
            return "\(allLost) of \(sessions)" + (parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))")
                + ", \(accepted) of \(over) tokens accepted that were over"
        }
    }

    /// So many sessions of a worker are left alone: a change is of one that was made well before it, and that replicas
    /// may have when they do not get the change.
    private static let reserve = 150

    /// The token of issue → what became of the session. Absent where nobody knows.
    private let sessions = Mutex<[String: Session]>([:])
    private let workers = Mutex<[Background]>([])
    private let acceptances = Mutex(0)

    /// How often a daemon accepted a token that it had acknowledged to be over, while there was load.
    var acceptedAgain: Int { acceptances.withLock { $0 } }

    /// Begins, with two workers at each daemon.
    init(at daemons: [Daemon]) throws {
        for number in 0..<2 * daemons.count {
            let daemon = number % daemons.count
            let work = Mutex(Work(client: try daemons[daemon].client(), number: number, daemon: daemon))
            let worker = Background { [self] in
                try work.withLock { try step(&$0) }
                letPass(.milliseconds(1))
            }
            workers.withLock { $0.append(worker) }
        }
    }

    private func step(_ work: inout Work) throws {
        work.round += 1
        let subject = "user-\(work.number)-\(work.round % 50)"
        if let token = try acknowledged(work.client, ["TOKEN.ISSUE", "SUBJECT", subject])?.newToken() {
            sessions.withLock {
                $0[token] = Session(change: .issued, token: token, former: nil, subject: subject, daemon: work.daemon)
            }
            work.waiting.append(token)
        }
        if work.waiting.count > Self.reserve { try change(work.waiting.removeFirst(), &work) }
        if let token = work.over.randomElement(),
            try acknowledged(work.client, ["TOKEN.VALIDATE", token])?.isAccepted == true
        {
            acceptances.withLock { $0 += 1 }
        }
    }

    /// A login, a rotation or an end, in turn.
    private func change(_ token: String, _ work: inout Work) throws {
        guard let session = sessions.withLock({ $0.removeValue(forKey: token) }) else { return }
        let change = [Change.loggedIn, .rotated, .ended, .replaced, .rotated, .ended][work.round % 6]
        let next = change == .replaced ? "\(session.subject)-again" : session.subject
        let command: [String] =
            switch change {
            case .loggedIn, .replaced: ["TOKEN.LOGIN", token, next]
            case .rotated: ["TOKEN.ROTATE", token]
            case .issued, .ended: ["TOKEN.REVOKE", token]
            }
        guard let reply = try acknowledged(work.client, command) else { return }
        let successor = change == .ended ? token : reply.sessionToken
        // A failover has lost that session: so it is counted.
        guard let successor else { return sessions.withLock { $0[token] = session } }
        let changed = Session(change: change, token: successor, former: token, subject: next, daemon: work.daemon)
        sessions.withLock { $0[token] = changed }
        work.over.append(token)
    }

    private func acknowledged(_ client: RESPClient, _ command: [String]) throws -> Fields? {
        let reply = try client.call(command)
        if reply.errorCode == "UNAVAILABLE" { return nil }
        return try Fields(reply)
    }

    /// Ends it, and throws what a worker met: that its daemon is gone, too.
    func stop() throws {
        let ends = workers.withLock { $0 }.map { worker in Result { try worker.stop() } }
        for end in ends { try end.get() }
    }

    /// What stands of it now.
    /// - Parameter clients: of one daemon, or of all in order: then a change must stand at each, and the one that
    ///   acknowledged it is asked first.
    func outcome(_ clients: [RESPClient]) throws -> Outcome {
        let sessions = sessions.withLock { $0 }
        var outcome = Outcome(sessions: sessions.count)
        for session in sessions.values {
            if session.former != nil { outcome.over += 1 }
            for place in clients.indices {
                let verdict = try verdict(session, clients[(session.daemon + place) % clients.count])
                guard verdict != .stands else { continue }
                outcome.lost[session.change, default: 0] += 1
                if verdict == .isUndone { outcome.accepted += 1 }
                break
            }
        }
        return outcome
    }

    private func verdict(_ session: Session, _ client: RESPClient) throws -> Verdict {
        if let former = session.former, try client.answered("TOKEN.VALIDATE", former).isAccepted { return .isUndone }
        if session.change == .ended { return .stands }
        let answer = try client.answered("TOKEN.VALIDATE", session.token)
        return answer.isAccepted && answer.text("subject") == session.subject ? .stands : .isLost
    }
}
