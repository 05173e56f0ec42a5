import Synchronization
import TestSupport

/// Workers that change sessions until they are stopped, each on a connection of its own, and what they were told stands.
final class AcknowledgedChanges: Sendable {
    /// What was acknowledged last of a session.
    enum Change: String, CaseIterable {
        case issued, loggedIn, rotated, ended
    }

    private struct Session {
        let change: Change
        let token: String
        /// What the token took the place of.
        let former: String?
        let subject: String
    }

    /// How many sessions, and of how many the last change was lost: one that is gone, a login or a rotation that was
    /// undone, an end after which the token is accepted.
    struct Outcome: CustomStringConvertible {
        var sessions = 0
        var lost: [Change: Int] = [:]

        var allLost: Int { lost.values.reduce(0, +) }

        static func += (left: inout Self, right: Self) {
            left.sessions += right.sessions
            left.lost.merge(right.lost, uniquingKeysWith: +)
        }

        var description: String {
            let parts = Change.allCases.compactMap { change in lost[change].map { "\($0) \(change)" } }
            return "\(allLost) of \(sessions)" + (parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))")
        }
    }

    /// So many sessions of a worker are left alone: a change is of one that was made well before it, and that replicas
    /// may have when they do not get the change.
    private static let reserve = 150

    /// The token of issue → what became of the session. Absent where nobody knows.
    private let sessions = Mutex<[String: Session]>([:])
    private let workers = Mutex<[Background]>([])

    /// Begins, with two workers at each daemon.
    init(at daemons: [Daemon]) throws {
        for (number, daemon) in (daemons + daemons).enumerated() {
            let client = try daemon.client()
            let waiting = Mutex<(tokens: [String], round: Int)>(([], 0))
            let worker = Background { [self] in
                try waiting.withLock { waiting in
                    waiting.round += 1
                    let subject = "user-\(number)-\(waiting.round % 50)"
                    if let token = try issue(client, subject) { waiting.tokens.append(token) }
                    if waiting.tokens.count > Self.reserve {
                        try change(client, waiting.tokens.removeFirst(), waiting.round)
                    }
                }
                letPass(.milliseconds(1))
            }
            workers.withLock { $0.append(worker) }
        }
    }

    private func issue(_ client: RESPClient, _ subject: String) throws -> String? {
        guard let token = try acknowledged(client, "TOKEN.ISSUE", "SUBJECT", subject)?.newToken() else { return nil }
        sessions.withLock { $0[token] = Session(change: .issued, token: token, former: nil, subject: subject) }
        return token
    }

    /// A login, a rotation or an end, in turn.
    private func change(_ client: RESPClient, _ token: String, _ round: Int) throws {
        guard let session = sessions.withLock({ $0.removeValue(forKey: token) }) else { return }
        let change = [Change.loggedIn, .rotated, .ended][round % 3]
        let next = change == .loggedIn ? "\(session.subject)-again" : session.subject
        let command: [String] =
            switch change {
            case .loggedIn: ["TOKEN.LOGIN", token, next]
            case .rotated: ["TOKEN.ROTATE", token]
            case .issued, .ended: ["TOKEN.REVOKE", token]
            }
        guard let reply = try acknowledged(client, command) else { return }
        let isEnded = change == .ended
        let changed = Session(
            change: change, token: isEnded ? token : try reply.newToken(), former: isEnded ? nil : token, subject: next)
        sessions.withLock { $0[token] = changed }
    }

    private func acknowledged(_ client: RESPClient, _ command: String...) throws -> Fields? {
        try acknowledged(client, command)
    }

    private func acknowledged(_ client: RESPClient, _ command: [String]) throws -> Fields? {
        let reply = try client.call(command)
        if reply.errorCode == "UNAVAILABLE" { return nil }
        return try Fields(reply)
    }

    /// Ends it. A worker whose daemon is gone has ended before.
    func stop() { for worker in workers.withLock({ $0 }) { try? worker.stop() } }

    /// What stands of it now.
    func outcome(_ client: RESPClient) throws -> Outcome {
        let sessions = sessions.withLock { $0 }
        var outcome = Outcome(sessions: sessions.count)
        for session in sessions.values {
            let answer = try client.answered("TOKEN.VALIDATE", session.token)
            let formerIsAccepted = try session.former.map { try client.answered("TOKEN.VALIDATE", $0).isAccepted }
            let stands =
                session.change == .ended
                ? !answer.isAccepted
                : answer.isAccepted && answer.text("subject") == session.subject && formerIsAccepted != true
            if !stands { outcome.lost[session.change, default: 0] += 1 }
        }
        return outcome
    }
}
