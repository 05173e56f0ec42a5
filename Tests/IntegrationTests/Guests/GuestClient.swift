import Foundation
import TestSupport
import Testing

/// Visitors of whom nothing is stored, in a test's words.
extension RESPClient {
    /// A new guest's token.
    func guest(_ options: String...) throws -> String { try fields(["GUEST.ISSUE"] + options).newToken() }

    func csrf(_ holder: String, _ options: String...) throws -> String {
        try text("csrf", ["CSRF.ISSUE", holder] + options)
    }

    func verify(_ holder: String, _ csrf: String, _ options: String...) throws -> String {
        try fields(["CSRF.VERIFY", holder, csrf] + options).status
    }

    /// A captcha and its solution.
    func captcha(_ options: String...) throws -> (text: String, solution: String) {
        let reply = try fields(["CAPTCHA.ISSUE"] + options)
        guard let text = reply.text("captcha"), let solution = reply.text("solution") else {
            throw HarnessFailure("no captcha in \(reply)")
        }
        return (text, solution)
    }

    func answer(_ captcha: String, _ answer: String, _ options: String...) throws -> String {
        try fields(["CAPTCHA.VERIFY", captcha, answer] + options).status
    }

    private func text(_ name: String, _ command: [String]) throws -> String {
        let reply = try fields(command)
        guard let text = reply.text(name) else { throw HarnessFailure("no \(name) in \(reply)") }
        return text
    }

    /// The sid that stands in a guest's token.
    func sid(ofGuest token: String) throws -> String {
        guard let sid = try inspect(token).sid else { throw HarnessFailure("no sid") }
        return sid
    }

    /// A guest's token presented, without the comparison of sids that a session's own token allows.
    func validateGuest(_ token: String, _ options: String...) throws -> Fields {
        try fields(["TOKEN.VALIDATE", token] + options)
    }
}

/// What a Redis was told to write, by its own account: `COMMAND` says which commands write.
struct WriteCount {
    private let redis: RESPClient
    private let writing: Set<String>
    private var before: [String: Int] = [:]
    private(set) var keys = 0

    init(_ server: RedisServer) throws {
        redis = try server.client()
        let names = try redis.call("COMMAND").elements ?? []
        writing = Set(
            names.compactMap { command in
                guard let facts = command.elements, facts.count > 2,
                    facts[2].elements?.contains(.simple("write")) == true
                else { return nil }
                return facts[0].text
            })
        guard writing.contains("hset"), writing.contains("set") else { throw HarnessFailure("COMMAND names no writes") }
        // The daemon's own write; a cluster that has just been made refuses it for a while.
        let redis = redis
        _ = try eventually("the daemon's mark") {
            try KeyAudit.allKeys(redis).contains { $0.hasSuffix("d:marks") } ? true : nil
        }
        try restart()
    }

    /// Counts from now on.
    mutating func restart() throws {
        before = try calls()
        keys = try size()
    }

    /// Command → calls since then, those within scripts included.
    func writes() throws -> [String: Int] {
        try calls().map { ($0.key, $0.value - before[$0.key, default: 0]) }
            .reduce(into: [:]) { writes, call in if call.1 > 0 { writes[call.0] = call.1 } }
    }

    /// Keys, but for the beats.
    func size() throws -> Int {
        try KeyAudit.keysOfUsers(redis).count
    }

    private func calls() throws -> [String: Int] {
        var calls = try redis.commandCalls().filter { writing.contains($0.key) }
        // Beats are SETs, too: those of captchas leave a mark each.
        calls["set"] = try KeyAudit.allKeys(redis).count { $0.contains("x:") }
        return calls
    }
}

/// What INFO tells of a daemon, by name.
struct DaemonFacts {
    private let values: [String: String]

    init(_ client: RESPClient, _ section: String) throws {
        let text = try client.call("INFO", section).text ?? ""
        values = Dictionary(
            text.split(whereSeparator: \.isNewline).compactMap { line in
                guard let colon = line.firstIndex(of: ":") else { return nil }
                return (String(line[..<colon]), String(line[line.index(after: colon)...]))
            }, uniquingKeysWith: { first, _ in first })
    }

    subscript(_ name: String) -> String? { values[name] }
    func number(_ name: String) -> Int { values[name].flatMap { Int($0) } ?? -1 }
}

/// Asks again and again until it is so.
func awaitThat(_ what: String, every pause: Duration = .milliseconds(20), _ isSo: () throws -> Bool) throws {
    _ = try eventually(every: pause, what) { try isSo() ? true : nil }
}
