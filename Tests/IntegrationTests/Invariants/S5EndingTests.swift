import TestSupport
import Testing

/// A way to kill a token, and what VALIDATE says of it afterwards.
enum Ending: String, CaseIterable, CustomTestStringConvertible {
    case revoke, revokeSID, revokeAll, rotate, loginAnonymous, loginSame, loginOther

    var testDescription: String { rawValue }

    /// The subject of the sessions that are ended; each round has its own.
    func subject(_ round: String) -> String { self == .loginAnonymous ? "" : "user-\(round)" }

    func issue(_ round: String) -> [String] {
        let subject = subject(round)
        return subject.isEmpty ? ["TOKEN.ISSUE"] : ["TOKEN.ISSUE", "SUBJECT", subject]
    }

    func command(_ token: String, _ round: String) -> [String] {
        switch self {
        case .revoke: ["TOKEN.REVOKE", token]
        case .revokeSID: ["TOKEN.REVOKE", "SID", TokenText.sid(token)]
        case .revokeAll: ["TOKEN.REVOKEALL", subject(round)]
        case .rotate: ["TOKEN.ROTATE", token]
        case .loginAnonymous, .loginSame: ["TOKEN.LOGIN", token, "user-\(round)"]
        case .loginOther: ["TOKEN.LOGIN", token, "other-\(round)"]
        }
    }

    var statusAfter: String {
        switch self {
        case .revoke, .revokeSID, .revokeAll, .loginOther: "revoked"
        case .rotate, .loginAnonymous, .loginSame: "replayed"
        }
    }

    var reasonAfter: String? {
        switch self {
        case .revoke, .revokeSID: "logout"
        case .revokeAll: "logout-all"
        case .loginOther: "login"
        case .rotate, .loginAnonymous, .loginSame: nil
        }
    }
}

@Suite("S5: once an end is acknowledged, the old token is never accepted", .parallel)
struct S5EndingTests {
    @Test("by the daemon that acknowledged: at once, on any connection", arguments: Ending.allCases, Backend.allCases)
    func oneDaemon(_ ending: Ending, _ backend: Backend) throws {
        try withWorld(backend) { world in
            _ = try concurrently(4) { thread in
                (try world.client(), try world.client())
            } work: { thread, clients in
                for index in 0..<40 {
                    let round = "\(thread)-\(index)"
                    let token = try clients.0.fields(ending.issue(round)).newToken()
                    #expect(try clients.1.validate(token).status == "valid")
                    let acknowledged = try clients.0.fields(ending.command(token, round))
                    #expect(["revoked", "rotated", "issued"].contains(acknowledged.status))
                    expectRefused(ending.statusAfter, reason: ending.reasonAfter, try clients.1.validate(token))
                }
            }
        }
    }

    @Test("by another daemon of the same Redis: within 50 ms", arguments: Ending.allCases)
    func twoDaemons(_ ending: Ending) throws {
        try withWorld(daemons: 2) { world in
            let here = try world.client(ofDaemon: 0)
            let there = try world.client(ofDaemon: 1)
            for batch in 0..<6 {
                let rounds = (0..<50).map { "\(batch)-\($0)" }
                let tokens = try here.pipeline(rounds.map(ending.issue)).map { try Fields($0).newToken() }
                // Both daemons have seen the session before it ends.
                for reply in try there.pipeline(tokens.map { ["TOKEN.VALIDATE", $0] }) {
                    #expect(try Fields(reply).status == "valid")
                }
                _ = try here.pipeline(zip(tokens, rounds).map { ending.command($0, $1) })
                try there.letInvalidationsCome()
                for reply in try there.pipeline(tokens.map { ["TOKEN.VALIDATE", $0] }) {
                    expectRefused(ending.statusAfter, reason: ending.reasonAfter, try Fields(reply))
                }
            }
        }
    }

    @Test("while others keep presenting the token", arguments: [Ending.revoke, .rotate, .loginSame])
    func underLoad(_ ending: Ending) throws {
        try withWorld { world in
            let client = try world.client()
            for index in 0..<30 {
                let token = try client.fields(ending.issue("\(index)")).newToken()
                let presenters = try (0..<3).map { _ in
                    let presenter = try world.client()
                    return Background { _ = try presenter.validate(token) }
                }
                _ = try client.fields(ending.command(token, "\(index)"))
                for _ in 0..<5 { #expect(try !client.validate(token).isAccepted) }
                for presenter in presenters { try presenter.stop() }
                #expect(try !client.validate(token).isAccepted, "a late write brought the token back")
            }
        }
    }

    @Test("REVOKEALL ends every session that was acknowledged before it began")
    func revokeAllAndIssue() throws {
        try withWorld(daemons: 2) { world in
            for round in 0..<20 {
                let subject = "user-\(round)"
                let issued = try concurrently(4) { thread in
                    try world.client(ofDaemon: thread)
                } work: { _, client in
                    try (0..<5).map { _ in try client.issue("SUBJECT", subject) }
                }.flatMap(\.self)
                let client = try world.client(ofDaemon: round)
                #expect(try client.fields("TOKEN.REVOKEALL", subject).integer("count") == issued.count)
                for reply in try client.pipeline(issued.map { ["TOKEN.VALIDATE", $0] }) {
                    expectRefused("revoked", reason: "logout-all", try Fields(reply))
                }
                #expect(try client.call("TOKEN.LIST", subject) == .array([]))
            }
        }
    }
}
