import Foundation
import TestSupport

/// `tokencachectl migrate`, run as an operator would.
struct Move {
    let stage: Stage
    let arguments: [String]

    /// - Parameters:
    ///   - from: URLs, with whatever user may do it.
    ///   - options: besides.
    init(_ stage: Stage, from: String, to: String, _ options: [String] = []) {
        self.init(stage, ["--from", from, "--to", to, "--prefix", stage.prefix] + options)
    }

    init(_ stage: Stage, _ options: [String]) {
        self.stage = stage
        arguments = ["migrate", "--json"] + options
    }

    func run(_ more: String...) throws -> Tool {
        try Tool.run(stage, PackageFolder.program("tokencachectl"), arguments + more, limit: .seconds(120))
    }

    /// Gives back at the source what was taken there, as it says itself.
    func undo(_ report: NSDictionary, at source: RESPClient) throws {
        for command in report["undo"] as? [String] ?? [] {
            let reply = try source.call(command.split(separator: " ").map(String.init))
            guard reply == .simple("OK") else { throw HarnessFailure("\(command): \(reply)") }
        }
        for command in report["unmark"] as? [String] ?? [] {
            let reply = try source.call(command.split(separator: " ").map(String.init))
            // A replica is told by its master.
            guard reply.integer != nil || reply.errorCode == "READONLY" else {
                throw HarnessFailure("\(command): \(reply)")
            }
        }
    }

    /// Begins it, and says when it has ended.
    func begin(_ more: String...) throws -> ChildProcess {
        try ChildProcess(
            PackageFolder.program("tokencachectl"), arguments + more, name: "move\(UInt32.random(in: 0...UInt32.max))",
            folder: stage.clientFolder())
    }

    /// Begins it, and kills it as soon as it has told of a step.
    @discardableResult
    func kill(at step: String) throws -> (process: ChildProcess, end: ProcessEnd) {
        let moving = try begin()
        _ = try eventually(every: .milliseconds(1), "it has \(step)") {
            moving.errors.contains("\n\(step) ") ? true : nil
        }
        moving.kill9()
        return (moving, try moving.wait())
    }
}

extension Tool {
    /// The object that it printed.
    func report() throws -> NSDictionary {
        guard let object = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? NSDictionary else {
            throw HarnessFailure("no report: \(output) \(errors)")
        }
        return object
    }

    /// Where all went, as the report has it: without a password.
    func destination() throws -> String { try report()["target"] as? String ?? "" }
}

extension RedisServer {
    /// With all rights, where daemons have theirs only.
    var adminURL: String { "unix://test:test@\(socket)" }
}

/// Sessions of every shape, made through a daemon, and what each of them must answer wherever it is asked.
struct Residents {
    var living: [String] = []
    var ended: [String] = []
    var retired: [String] = []
    let subject: String

    /// - Parameter count: of those that live.
    init(_ client: RESPClient, count: Int = 12, subject: String = "ann") throws {
        self.subject = subject
        living = try (0..<count).map { number in
            try client.issue("SUBJECT", subject, "IDLE", "\(600 + number)s", "DATA", "n", "\(number)")
        }
        for _ in 0..<3 {
            let token = try client.issue()
            _ = try client.answered("TOKEN.REVOKE", token)
            ended.append(token)
            let old = try client.issue()
            living.append(try client.answered("TOKEN.ROTATE", old).newToken())
            retired.append(old)
        }
        let visitor = try client.issue("DATA", "cart", "apple")
        retired.append(visitor)
        living.append(try client.answered("TOKEN.LOGIN", visitor, subject, "IDLE", "30d", "ABSOLUTE", "90d").newToken())
    }

    /// What is not as it must be at a daemon.
    func complaints(_ client: RESPClient) throws -> [String] {
        var complaints: [String] = []
        for (tokens, status) in [(living, "valid"), (ended, "revoked"), (retired, "replayed")] {
            for token in tokens {
                let answer = try client.validate(token).status
                if answer != status { complaints.append("\(TokenText.sid(token)): \(answer), not \(status)") }
            }
        }
        return complaints
    }
}

/// Every key of a site with what Redis says of it, for a comparison: type, contents, and its end.
struct KeySnapshot {
    var keys: [String: (contents: [RESPValue], end: Int)] = [:]

    init(_ redis: RESPClient, prefix: String) throws { try add(redis, prefix: prefix) }

    private mutating func add(_ redis: RESPClient, prefix: String) throws {
        for name in try KeyAudit.allKeys(redis) where name.hasPrefix(prefix) {
            let rest = name.dropFirst(prefix.count)
            guard !rest.hasPrefix("d:"), !rest.hasPrefix("w:"), !rest.hasPrefix("s:~") || rest == "s:~epoch" else {
                continue
            }
            let read: [String] =
                switch rest.first {
                case "u": ["ZRANGE", name, "0", "-1", "WITHSCORES"]
                case "x": ["GET", name]
                default: rest == "s:~epoch" ? ["GET", name] : ["HGETALL", name]
                }
            let replies = try redis.pipeline([read, ["PEXPIRETIME", name]])
            guard case .integer(let end) = replies[1] else { continue }
            let parts = replies[0].elements ?? [replies[0]]
            // The order of a hash is nobody's.
            keys[name] = (parts.sorted { "\($0)" < "\($1)" }, end)
        }
    }

    /// - Parameter tolerance: of the end, ms: both have one clock.
    func differences(from other: KeySnapshot, tolerance: Int = 1_000) -> [String] {
        Set(keys.keys).union(other.keys.keys).compactMap { name in
            guard let here = keys[name], let there = other.keys[name] else { return "\(name) is on one side only" }
            if here.contents != there.contents { return "\(name): \(here.contents) and \(there.contents)" }
            return abs(here.end - there.end) > tolerance ? "\(name): \(here.end - there.end) ms apart" : nil
        }
    }
}
