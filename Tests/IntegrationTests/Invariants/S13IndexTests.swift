import Synchronization
import TestSupport
import Testing

/// Who is killed in the middle of everything.
private enum Killed: CaseIterable, CustomTestStringConvertible {
    case daemon, redis, both

    var testDescription: String { "\(self)" }
}

@Suite("S13: a living session is in its subject's index, whatever is killed with kill -9", .parallel)
struct S13IndexTests {
    private static let subjects = ["ann", "bob", "limited", "longer"]

    @Test(
        "logins, limits, later ends, logouts: LIST shows every session that lives, REVOKEALL ends it",
        arguments: Killed.allCases)
    private func killed(_ killed: Killed) throws {
        // Every write waits for a disk that others use, too.
        let settings = ["redis.timeout": "10s"]
        try withWorld(daemons: 2, settings: settings, redis: ["--appendfsync", "always"]) { world in
            let acknowledged = Mutex<[String: String]>([:])
            for round in 1...3 {
                let workers = try Self.subjects.enumerated().flatMap { index, subject in
                    try (0..<2).map { worker in
                        let client = try world.client(ofDaemon: index + worker)
                        return Background { try Self.step(client, subject, acknowledged) }
                    }
                }
                _ = try eventually(within: .seconds(60), "enough work") {
                    acknowledged.withLock { $0.count } >= round * 60 ? true : nil
                }
                if killed != .daemon { try world.requireServer().kill9() }
                if killed != .redis { for daemon in world.daemons { daemon.kill9() } }
                if killed != .daemon { try world.requireServer().start() }
                // Each ends with the connection it lost, or with the answer that nobody knows.
                for worker in workers { try? worker.stop() }
                if killed != .redis { for daemon in world.daemons { try daemon.start() } }
                try world.client().awaitService()
                try Self.verify(world, acknowledged.withLock { $0 })
            }
            try Self.endAll(world)
        }
    }

    /// A visitor comes, and perhaps logs in again, stays longer or leaves. What is acknowledged and lives stands in the
    /// journal: `sid` → subject.
    private static func step(
        _ client: RESPClient, _ subject: String, _ journal: borrowing Mutex<[String: String]>
    ) throws {
        func note(_ token: String, lives: Bool) {
            journal.withLock { $0[TokenText.sid(token)] = lives ? subject : nil }
        }
        if subject == "limited" {
            // Which of them lives is not known here.
            _ = try client.fields("TOKEN.LOGIN", "", subject, "MAX", "3")
            return
        }
        var token = try client.fields("TOKEN.LOGIN", "", subject, "ABSOLUTE", "1h").newToken()
        note(token, lives: true)
        if subject == "longer" {
            // Its place in the index is put off, too.
            _ = try client.fields("TOKEN.EXPIRE", token, "ABSOLUTE", "\(Int.random(in: 2...20))h")
            token = try client.fields("TOKEN.LOGIN", token, subject, "ABSOLUTE", "\(Int.random(in: 20...90))h")
                .newToken()
        }
        guard Bool.random() else { return }
        note(token, lives: false)
        guard try client.fields("TOKEN.REVOKE", token).status == "revoked" else {
            throw HarnessFailure("REVOKE of a living session")
        }
    }

    /// Every living session of the store: `sid` → subject.
    private static func living(_ client: RESPClient) throws -> [String: String] {
        var living: [String: String] = [:]
        var cursor = "0"
        repeat {
            // Of several masters the last may be back a moment later.
            let page = try eventually("every master is asked") {
                let page = try client.call("TOKEN.SCAN", cursor, "COUNT", "500")
                return page.errorCode == "UNAVAILABLE" ? nil : page
            }
            let parts = page.elements ?? []
            guard parts.count == 2, let next = parts[0].text else { throw HarnessFailure("no page of SCAN") }
            for session in try (parts[1].elements ?? []).map(Fields.init) {
                living[session.sid ?? "?"] = session.text("subject") ?? "?"
            }
            cursor = next
        } while cursor != "0"
        return living
    }

    private static func listed(_ subject: String, _ client: RESPClient) throws -> Set<String> {
        let sessions = try client.call("TOKEN.LIST", subject, "LIMIT", "1000").elements ?? []
        return Set(try sessions.map { try Fields($0).sid ?? "?" })
    }

    private static func verify(_ world: World, _ acknowledged: [String: String]) throws {
        for daemon in world.daemons {
            let client = try daemon.client()
            try client.awaitService()
            let living = try Self.living(client).filter { !$0.value.isEmpty }
            #expect(Set(acknowledged.keys).isSubset(of: living.keys), "an acknowledged login is lost")
            for subject in Self.subjects {
                let own = Set(living.filter { $0.value == subject }.keys)
                #expect(!own.isEmpty)
                #expect(try listed(subject, client) == own, "LIST of \(subject) is not what lives")
                #expect(try client.call("TOKEN.COUNT", subject) == .integer(own.count))
            }
        }
    }

    private static func endAll(_ world: World) throws {
        let client = try world.client()
        for subject in Self.subjects {
            let count = try listed(subject, client).count
            #expect(try client.fields("TOKEN.REVOKEALL", subject).integer("count") == count)
            #expect(try client.call("TOKEN.COUNT", subject) == .integer(0))
        }
        #expect(try living(client).allSatisfy { $0.value.isEmpty }, "a session outlived REVOKEALL")
    }
}
