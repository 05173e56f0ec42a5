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

    /// What gives the user the rights back that it has now, a command for each server that has others.
    func undoing() throws(MigrationFault) -> [String] {
        var commands: [String] = []
        for server in try servers() {
            let command = "ACL SETUSER \(user) \(try rules(at: server))"
            if !commands.contains(command) { commands.append(command) }
        }
        return commands
    }

    /// No writing from now on; reading goes on.
    func raise() throws(MigrationFault) { try take(Self.writing) }
    /// Nothing at all from now on: whoever is left here has no answers, instead of old ones.
    func close() throws(MigrationFault) { try take(Self.reading) }

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

    private func take(_ rights: [String]) throws(MigrationFault) {
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
