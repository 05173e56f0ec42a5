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

    private let sessions = Mutex<[Session]>([])
    private let workers = Mutex<[Background]>([])

    /// Begins, with two workers at each daemon.
    init(at daemons: [Daemon]) throws {
        for (number, daemon) in (daemons + daemons).enumerated() {
            let client = try daemon.client()
            let count = Mutex(0)
            let worker = Background { [self] in
                let round = count.withLock { count in
                    count += 1
                    return count
                }
                if let session = try Self.change(client, round, "user-\(number)-\(round % 50)") {
                    sessions.withLock { $0.append(session) }
                }
                letPass(.milliseconds(1))
            }
            workers.withLock { $0.append(worker) }
        }
    }

    /// One session more, and what became of it; nil where its last change was not acknowledged: then nobody knows.
    private static func change(_ client: RESPClient, _ round: Int, _ subject: String) throws -> Session? {
        guard let token = try acknowledged(client, "TOKEN.ISSUE", "SUBJECT", subject)?.newToken() else { return nil }
        let change = Change.allCases[round % Change.allCases.count]
        switch change {
        case .issued: return Session(change: change, token: token, former: nil, subject: subject)
        case .ended:
            guard try acknowledged(client, "TOKEN.REVOKE", token) != nil else { return nil }
            return Session(change: change, token: token, former: nil, subject: subject)
        case .loggedIn, .rotated:
            let next = change == .rotated ? subject : "\(subject)-again"
            let command = change == .rotated ? ["TOKEN.ROTATE", token] : ["TOKEN.LOGIN", token, next]
            guard let successor = try acknowledged(client, command)?.newToken() else { return nil }
            return Session(change: change, token: successor, former: token, subject: next)
        }
    }

    private static func acknowledged(_ client: RESPClient, _ command: String...) throws -> Fields? {
        try acknowledged(client, command)
    }

    private static func acknowledged(_ client: RESPClient, _ command: [String]) throws -> Fields? {
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
        for session in sessions {
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
