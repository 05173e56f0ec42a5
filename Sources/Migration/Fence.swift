internal import RedisLink
internal import TokenCacheServer

/// Takes a user's rights at every server of the source and at their replicas, which may be promoted, so that no daemon
/// writes there any more; and knows how to give them back.
///
/// Redis forgets single rights that a category takes: what they were is read before, and kept at the target for whoever
/// goes on later. Source: redis.io/docs/management/security/acl.
struct Fence {
    let user: String
    let side: MigrationSide

    /// Those that can be written to last: where a replica refuses, nothing has changed for the daemons.
    func servers() throws(MigrationFault) -> [RedisNode] { try side.replicas() + side.servers }

    private static let writing = ["-@write", "-@scripting"]
    private static let reading = ["-@read", "-@connection"]
    /// What a daemon needs that connects and asks for the mark.
    private static let asking = ["+select", "+get"]
    /// What whoever moves needs to leave the mark. It is of no use to daemons, which write by scripts alone.
    private static let marking = ["+set"]

    /// Whether it is who moves that is fenced.
    var isOurs: Bool { user == side.place.user ?? "default" }

    /// What gives the user the rights back that it has now, a command for each server that has others; and what keeps them
    /// there, where something does.
    func undoing() throws(MigrationFault) -> [String] {
        var commands: [String] = []
        var keeping: [String] = []
        for server in try servers() {
            let command = "ACL SETUSER \(user) \(try rules(at: server))"
            if !commands.contains(command) { commands.append(command) }
            if let keeper = try keeper(of: server), !keeping.contains(keeper.text) { keeping.append(keeper.text) }
        }
        return commands + keeping
    }

    /// No writing from now on; reading goes on.
    func raise() throws(MigrationFault) { try change(Self.writing) }

    /// Gives the right back to leave the mark, until `close`.
    func allowMark() throws(MigrationFault) { try change(Self.marking) }

    /// Nothing at all from now on but why: whoever is left here has no answers, instead of old ones. Those that are
    /// connected are to look for the mark, as all do that connect.
    func close() throws(MigrationFault) {
        let servers = try servers()
        for server in servers {
            // It may not be allowed: then they are told that they lack a right.
            _ = try side.answer(RedisCommand("CLIENT", "KILL", "USER", user), of: server, orNull: true)
        }
        try change(Self.writing + Self.reading + Self.asking)
    }

    /// Has the servers keep the rights as they are now, for when they start anew.
    /// - Returns: those that do; and those that do not, each with why.
    func keep() throws(MigrationFault) -> (kept: [String], lost: [String]) {
        var (kept, lost): ([String], [String]) = ([], [])
        for server in try servers() {
            guard let keeper = try keeper(of: server) else {
                lost.append("\(server.endpoint) (it has neither ACL file nor configuration file)")
                continue
            }
            do throws(MigrationFault) {
                _ = try side.answer(keeper.command, of: server)
                kept.append("\(server.endpoint) (\(keeper.text))")
            } catch {
                guard case .server(let text) = error else { throw error }
                lost.append("\(server.endpoint) (\(keeper.text): \(text))")
            }
        }
        return (kept, lost)
    }

    /// What makes a server keep its users: Redis keeps them in the file of users, or, where there is none, in that of its
    /// configuration. Nil where it has neither, or does not say.
    private func keeper(of server: RedisNode) throws(MigrationFault) -> (text: String, command: RedisCommand)? {
        let file = try side.answer(RedisCommand("CONFIG", "GET", "aclfile"), of: server, orNull: true)
        if case .array(let pair) = file, pair.count == 2, case .bulk(let path) = pair[1], !path.isEmpty {
            return ("ACL SAVE", RedisCommand("ACL", "SAVE"))
        }
        guard case .bulk(let text) = try side.answer(RedisCommand("INFO", "server"), of: server, orNull: true),
            text.split(whereSeparator: { $0 == 0x0d || $0 == 0x0a }).contains(where: { line in
                line.starts(with: "config_file:".utf8) && line.count > "config_file:".utf8.count
            })
        else { return nil }
        return ("CONFIG REWRITE", RedisCommand("CONFIG", "REWRITE"))
    }

    /// Whether Redis refuses the user a write, at every server.
    func stands() throws(MigrationFault) -> Bool {
        let key = side.place.prefix + Array("s:~fence".utf8)
        let trials = [
            RedisCommand("ACL", "DRYRUN", user, "SET", key, "1"),
            RedisCommand("ACL", "DRYRUN", user, "EVALSHA", String(repeating: "0", count: 40), "1", key),
        ]
        for server in try servers() {
            for trial in trials {
                if case .status("OK") = try asked(trial, at: server) { return false }
            }
        }
        return true
    }

    private func change(_ rights: [String]) throws(MigrationFault) {
        for server in try servers() {
            let words = ["ACL", "SETUSER", user] + rights
            _ = try asked(RedisCommand(words.map(\.redisArgument)), at: server)
        }
    }

    private func rules(at server: RedisNode) throws(MigrationFault) -> String {
        guard case .array(let fields) = try asked(RedisCommand("ACL", "GETUSER", user), at: server) else {
            throw .refused(
                "the source \(server.endpoint) has no user \(user): which one are the daemons? --fence-user NAME")
        }
        for at in stride(from: 0, to: fields.count - 1, by: 2) {
            guard fields[at] == .bulk(Array("commands".utf8)), case .bulk(let text) = fields[at + 1] else { continue }
            return String(decoding: text.prefix(16_384), as: UTF8.self)
        }
        throw .server("the source does not tell the rights of \(user)")
    }

    private func asked(_ command: RedisCommand, at server: RedisNode) throws(MigrationFault) -> RedisReply {
        do throws(MigrationFault) { return try side.answer(command, of: server) } catch {
            guard case .server(let text) = error else { throw error }
            throw .refused(
                "the source \(server.endpoint) does not let \(side.place.user ?? "default") take rights from \(user) (ACL): \(text). Give --from a user "
                    + "that may; or take the daemons' rights to write yourself, or stop all of them, and say --fenced")
        }
    }
}
