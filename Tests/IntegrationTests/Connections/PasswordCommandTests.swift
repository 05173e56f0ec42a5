import Foundation
import Synchronization
import TestSupport
import Testing

/// Passwords that a program writes, and that change while the daemon runs.
@Suite("redis.password-command", .parallel)
struct PasswordCommandTests {
    /// A user of Redis whose password changes, and the program that writes it.
    private struct Account {
        let redis: RESPClient
        let command: String
        private let file: String
        private let world: World

        /// - Parameter body: of the program, a shell script; its first argument is the file with the password.
        init(_ world: World, _ body: String = "cat \"$1\"") throws {
            self.world = world
            redis = try world.requireServer().client()
            // Not looked through for secrets, as it is where they come from.
            let folder = try world.stage.clientFolder()
            file = "\(folder)/password"
            let program = "\(folder)/give"
            try "#!/bin/sh\n\(body)\n".write(toFile: program, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: program)
            command = "\(program) \(file)"
        }

        /// The old one is not good any more, as soon as this has returned.
        func change(to password: String) throws {
            let rule = try RedisRights.rule(">\(password)", prefix: world.stage.prefix)
            #expect(try redis.call(["ACL", "SETUSER", "tokencached", "resetpass"] + rule) == .simple("OK"))
            try write(password)
        }

        func write(_ password: String) throws {
            try "\(password)\n".write(toFile: file, atomically: true, encoding: .utf8)
        }

        func url() throws -> String { "unix://tokencached@\(try world.requireServer().socket)" }

        /// How often Redis was told a password with AUTH.
        func authentications() throws -> Int {
            let text = try redis.call("INFO", "commandstats").text ?? ""
            let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_auth:calls=") } ?? ""
            return Int(line.dropFirst("cmdstat_auth:calls=".count).prefix { $0 != "," }) ?? 0
        }

        /// The numbers of the daemon's connections, by name.
        func connections() throws -> [String: String] {
            let lines = (try redis.call("CLIENT", "LIST").text ?? "").split(whereSeparator: \.isNewline)
            return Dictionary(
                lines.filter { $0.contains(" user=tokencached ") }.map { line in
                    let fields = line.split(separator: " ")
                    func value(_ name: String) -> String {
                        fields.first { $0.hasPrefix(name) }.map { String($0.dropFirst(name.count)) } ?? ""
                    }
                    return (value("name="), value("id="))
                }, uniquingKeysWith: { "\($0),\($1)" })
        }
    }

    private static func word() -> String { "pw\(UInt64.random(in: 0 ... .max))secret" }

    @Test("a password that changes all the time: no request is refused, and no connection is made anew")
    func rotation() throws {
        try withWorld(isRestricted: false) { world in
            let account = try Account(world)
            let first = Self.word()
            try account.change(to: first)
            let daemon = try world.stage.addDaemon(
                .url(account.url()),
                settings: ["redis.password-command": account.command, "redis.password-lifetime": "2s"])
            let client = try daemon.client()
            if Stage.hasNearCache { try NearCacheFacts.awaitArmed(daemon) }
            let connections = try account.connections()
            #expect(connections.count == (Stage.hasNearCache ? 2 : 1), "\(connections)")
            let refusals = Mutex<[String]>([])
            let asking = try (0..<2).map { _ in
                let client = try daemon.client()
                return Background {
                    let token = try client.issue("SUBJECT", "ann")
                    for command in [["TOKEN.VALIDATE", token], ["TOKEN.ROTATE", token], ["TOKEN.REVOKE", token]] {
                        let answer = try client.call(command)
                        if let text = answer.errorText { refusals.withLock { $0.append(text) } }
                    }
                }
            }
            var words = [first]
            for _ in 0..<3 {
                let before = try account.authentications()
                words.append(Self.word())
                try account.change(to: words.last ?? "")
                try awaitThat("every connection authenticates with the new password") {
                    try account.authentications() >= before + connections.count
                }
                if Stage.hasNearCache { #expect(try NearCacheFacts(client).isArmed) }
            }
            for task in asking { try task.stop() }
            #expect(refusals.withLock { $0 } == [])
            #expect(try account.connections() == connections)
            let facts = try DaemonFacts(client, "upstream")
            #expect(facts.number("upstream_connects") == 1 && facts.number("upstream_failures") == 0)
            #expect(facts["upstream_password_fault"] == "")
            #expect(try account.redis.call("ACL", "LOG") == .array([]))
            for word in words { #expect(!daemon.log.contains(word)) }
        }
    }

    @Test("a password that Redis refuses is asked for again, at once")
    func refused() throws {
        try withWorld(isRestricted: false) { world in
            let account = try Account(world)
            try account.change(to: Self.word())
            let daemon = try world.stage.addDaemon(
                .url(account.url()), settings: ["redis.password-command": account.command])
            let client = try daemon.client()
            let token = try client.issue()
            try account.change(to: Self.word())
            _ = try account.redis.call("CLIENT", "KILL", "USER", "tokencached")
            let start = ContinuousClock.now
            try client.awaitService()
            #expect(ContinuousClock.now - start < .seconds(3))
            #expect(try client.validate(token).isAccepted)
        }
    }

    @Test("in a cluster: every connection to every master, and to those that are asked for the map")
    func cluster() throws {
        let stage = try Stage(isRestricted: false)
        let site = try ClusterSite(in: stage.folder.folder("site"))
        defer { site.stop() }
        let folder = try stage.clientFolder()
        let file = "\(folder)/password"
        func change() throws {
            let word = Self.word()
            for member in site.members {
                let rule = ["ACL", "SETUSER", "tokencached", "on", "resetpass", ">\(word)", "~*", "&*", "+@all"]
                #expect(try site.ask(member, rule) == ["OK"])
            }
            try "\(word)\n".write(toFile: file, atomically: true, encoding: .utf8)
        }
        func connections() throws -> [String] {
            try site.members.flatMap { member in
                try site.ask(member, ["CLIENT", "LIST"]).filter { $0.contains(" user=tokencached ") }.map { line in
                    "\(member.port) \(line.prefix { $0 != " " })"
                }
            }.sorted()
        }
        func authentications() throws -> Int {
            try site.members.map { member in
                let line = try site.ask(member, ["INFO", "commandstats"]).first { $0.hasPrefix("cmdstat_auth:calls=") }
                return Int((line ?? "").dropFirst("cmdstat_auth:calls=".count).prefix { $0 != "," }) ?? 0
            }.reduce(0, +)
        }
        try change()
        let daemon = try stage.addDaemon(
            .url(site.url.replacingOccurrences(of: "//", with: "//tokencached@")),
            settings: ["redis.password-command": "/bin/cat \(file)", "redis.password-lifetime": "2s"])
        defer { daemon.kill9() }
        let client = try daemon.client()
        if Stage.hasNearCache { try NearCacheFacts.awaitArmed(daemon) }
        let before = try connections()
        #expect(before.count == (Stage.hasNearCache ? 8 : 5), "three masters, and two that are asked first: \(before)")
        let refusals = Mutex<[String]>([])
        let asking = Background {
            for command in [["TOKEN.ISSUE", "SUBJECT", "ann"], ["TOKEN.COUNT", "ann"]] {
                if let text = try client.call(command).errorText { refusals.withLock { $0.append(text) } }
            }
        }
        for _ in 0..<2 {
            let told = try authentications()
            try change()
            try awaitThat("every connection authenticates with the new password") {
                try authentications() >= told + before.count
            }
        }
        try asking.stop()
        #expect(refusals.withLock { $0 } == [])
        #expect(try connections() == before)
    }

    /// A program that gives no password, and what is said of it.
    struct Failure: Sendable, CustomTestStringConvertible {
        let body: String
        let told: String
        let testDescription: String

        static let all = [
            Failure(body: "echo s3cret-part; exit 3", told: "exit status 3", testDescription: "fails"),
            Failure(body: "echo", told: "its first line is empty", testDescription: "writes an empty line"),
            Failure(body: ":", told: "its first line is empty", testDescription: "writes nothing"),
            Failure(body: "cat /dev/zero", told: "it wrote more than 16384 bytes", testDescription: "writes too much"),
            Failure(body: "sleep 100", told: "it has not ended yet", testDescription: "hangs"),
        ]
    }

    @Test(
        "one that gives no password is said in answers, log, INFO and doctor, without a word of what it wrote",
        arguments: Failure.all)
    func failing(_ failure: Failure) throws {
        try withWorld(isRestricted: false) { world in
            let account = try Account(world, "test -e \"$1\" && exec cat \"$1\"; \(failure.body)")
            let daemon = try world.stage.addDaemon(
                .url(account.url()), settings: ["redis.password-command": account.command], readiness: .answers)
            let client = try daemon.client()
            let words = "redis.password-command gives no password: \(failure.told)"
            _ = try eventually("it is told") {
                try client.call("TOKEN.ISSUE").errorText == "UNAVAILABLE \(words)" ? true : nil
            }
            #expect(daemon.log.contains(words) && daemon.log.contains("run it by hand"), "\(daemon.log)")
            #expect(!daemon.log.contains("s3cret-part"))
            let page = try Tool.run(
                world.stage, PackageFolder.program("tokencachectl"), ["--socket", daemon.socket, "doctor"])
            #expect(page.output.contains(words), "\(page.output)")
            guard failure.body != "sleep 100" else { return }
            #expect(try DaemonFacts(client, "upstream")["upstream_password_fault"] == words)
            try account.change(to: Self.word())
            try client.awaitService(within: .seconds(40))
            #expect(try DaemonFacts(client, "upstream")["upstream_password_fault"] == "")
        }
    }

    @Test("one that fails later: the password before it stays in use, and doctor says so")
    func failingLater() throws {
        try withWorld(isRestricted: false) { world in
            let account = try Account(world)
            let word = Self.word()
            try account.change(to: word)
            let daemon = try world.stage.addDaemon(
                .url(account.url()),
                settings: ["redis.password-command": account.command, "redis.password-lifetime": "1500ms"])
            let client = try daemon.client()
            try account.write("")
            let words = "redis.password-command gives no password: its first line is empty"
            try awaitThat("it is told") { try DaemonFacts(client, "upstream")["upstream_password_fault"] == words }
            #expect(try client.call("TOKEN.ISSUE").errorText == nil)
            _ = try account.redis.call("CLIENT", "KILL", "USER", "tokencached")
            try client.awaitService()
            let page = try Tool.run(
                world.stage, PackageFolder.program("tokencachectl"), ["--socket", daemon.socket, "doctor"])
            #expect(page.output.contains("fail  redis password"), "\(page.output)")
            #expect(!daemon.log.contains(word))
        }
    }
}
