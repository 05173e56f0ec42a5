import Synchronization
import TestSupport
import Testing

@Suite("A limit of sessions over three daemons", .demanding)
struct SessionLimitTests {
    /// One login of a race.
    private struct Login {
        let begun: ContinuousClock.Instant
        let answered: ContinuousClock.Instant
        let reply: Fields
        /// The token that it was called with; empty for none.
        let token: String

        var sid: String { reply.sessionToken.map(TokenText.sid) ?? "" }
    }

    private static func race(_ world: World, _ tokens: [String], max: Int) throws -> [Login] {
        try concurrently(tokens.count) { index in
            try world.client(ofDaemon: index)
        } work: { index, client in
            let begun = ContinuousClock.now
            let reply = try client.fields("TOKEN.LOGIN", tokens[index], "ann", "MAX", "\(max)")
            return Login(begun: begun, answered: .now, reply: reply, token: tokens[index])
        }
    }

    private static func listed(_ client: RESPClient) throws -> Set<String> {
        Set(try (client.call("TOKEN.LIST", "ann").elements ?? []).map { try Fields($0).sid ?? "?" })
    }

    @Test("end-oldest: of racing logins, new ones and such that renew a session, exactly the last remain")
    func endOldest() throws {
        try withWorld(daemons: 3) { world in
            let (racers, limit) = (9, 3)
            let clients = try (0..<3).map { try world.client(ofDaemon: $0) }
            var kept: [String] = []
            for round in 0..<25 {
                // Those that there are renew theirs, in every other round.
                let tokens = Array((round % 2 == 0 ? [] : kept) + Array(repeating: "", count: racers)).prefix(racers)
                let logins = try Self.race(world, Array(tokens), max: limit)
                for client in clients { #expect(try Self.listed(client).count == limit) }
                let living = try Self.listed(clients[0])
                kept = []
                for login in logins {
                    switch login.reply.status {
                    case "issued" where living.contains(login.sid):
                        // A daemon that was overtaken is told of it as Redis tells.
                        let token = try login.reply.newToken()
                        kept.append(token)
                        for client in clients { #expect(try client.awaitStatus("valid", of: token).isAccepted) }
                    case "issued":
                        let ended = try clients[round % 3].awaitStatus("revoked", of: try login.reply.newToken())
                        #expect(ended.reason == "limit")
                    default: expectOvertaken(login.reply)
                    }
                }
                #expect(
                    living == Set(kept.map(TokenText.sid)), "they are of this round: each login is later than the last")
                // Who had been answered before another one began is not kept in its place.
                for winner in logins where living.contains(winner.sid) {
                    for loser in logins where !living.contains(loser.sid) {
                        #expect(winner.answered >= loser.begun, "an earlier login stayed in the place of a later one")
                    }
                }
            }
            #expect(try Self.told("sessions_ended_by_limit", clients) > 0)
        }
    }

    /// What all daemons count together.
    private static func told(_ figure: String, _ clients: [RESPClient]) throws -> Int {
        try clients.reduce(0) { sum, client in sum + (try DaemonFacts(client, "tokens").number(figure)) }
    }

    private func expectOvertaken(_ reply: Fields) {
        #expect(reply.status == "refused" && reply.reason == "limit" && !reply.isAccepted, "\(reply)")
        #expect(reply.sessionToken == nil)
    }

    @Test("refuse: of racing logins exactly as many as there are places get one; what ends makes room")
    func refuse() throws {
        try withWorld(daemons: 3, settings: ["session.on-limit": "refuse"]) { world in
            let client = try world.client()
            for _ in 0..<15 {
                let logins = try Self.race(world, Array(repeating: "", count: 9), max: 3)
                let issued = logins.filter { $0.reply.status == "issued" }
                #expect(issued.count == 3)
                for login in logins where login.reply.status != "issued" {
                    expectOvertaken(login.reply)
                    #expect(login.reply.integer("count") == 3)
                }
                #expect(try Self.listed(client) == Set(issued.map(\.sid)))
                // Renewing one's own needs no place.
                let again = try Self.race(world, try issued.map { try $0.reply.newToken() }, max: 3)
                #expect(again.allSatisfy { $0.reply.status == "issued" } && again.count == 3)
                #expect(try client.fields("TOKEN.REVOKEALL", "ann").integer("count") == 3)
            }
            let clients = try (0..<3).map { try world.client(ofDaemon: $0) }
            #expect(try Self.told("logins_refused_by_limit", clients) == 15 * 6)
        }
    }
}
