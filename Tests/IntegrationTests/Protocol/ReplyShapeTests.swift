import TestSupport
import Testing

/// protocol.md's field lists, in both protocols: a map in RESP3, the same fields flat in RESP2.
@Suite("Replies: these fields, in this order, of this kind", .parallel)
struct ReplyShapeTests {
    private func client(_ world: World, _ resp3: Bool) throws -> RESPClient {
        let client = try world.client()
        if resp3 { _ = try client.call("HELLO", "3") }
        return client
    }

    @Test("ISSUE, VALIDATE, INSPECT, GET, SET, REVOKE", arguments: [false, true])
    func commands(_ resp3: Bool) throws {
        try withWorld { world in
            let client = try client(world, resp3)
            let issued = try client.call("TOKEN.ISSUE", "SUBJECT", "ann", "DATA", "a", "1")
            try expectShape(issued, acceptedFields + ["sessiontoken"], resp3: resp3)
            let fields = try Fields(issued)
            #expect(fields.status == "issued" && fields.isAccepted && fields.text("kind") == "session")
            #expect(fields.text("subject") == "ann" && fields.generation == 1)
            #expect(fields.integer("created") == fields.integer("modified"))
            #expect((7198...7200).contains(fields.integer("expires_in") ?? 0), "2h by default, rounded down")
            #expect((86398...86400).contains(fields.integer("absolute_in") ?? 0), "24h by default")

            let token = try fields.newToken()
            let valid = try client.call("TOKEN.VALIDATE", token)
            try expectShape(valid, acceptedFields, resp3: resp3)
            #expect(try Fields(valid).integer("created") == fields.integer("created"))

            let inspected = try client.call("TOKEN.INSPECT", token)
            try expectShape(inspected, acceptedFields + ["successor", "data_fields"], resp3: resp3)
            #expect(try Fields(inspected).text("successor") == "none")
            #expect(try Fields(inspected).integer("data_fields") == 1)
            let bySID = try client.call("TOKEN.INSPECT", "SID", TokenText.sid(token))
            try expectShape(bySID, acceptedFields + ["successor", "data_fields"], resp3: resp3)

            try expectShape(try client.call("TOKEN.GET", token), ["status", "accepted", "sid", "data"], resp3: resp3)
            let set = try client.call("TOKEN.SET", token, "DATA", "a", "2")
            try expectShape(set, ["status", "accepted", "sid", "changed"], resp3: resp3)
            let revoked = try client.call("TOKEN.REVOKE", token)
            try expectShape(revoked, ["status", "accepted", "reason"], resp3: resp3)
            try expectShape(try client.call("TOKEN.VALIDATE", token), ["status", "accepted", "reason"], resp3: resp3)
        }
    }

    @Test("LOGIN, ROTATE, REVOKEALL, LIST", arguments: [false, true])
    func others(_ resp3: Bool) throws {
        try withWorld { world in
            let client = try client(world, resp3)
            let login = try client.call("TOKEN.LOGIN", "", "ann", "DATA", "a", "1")
            try expectShape(login, acceptedFields + ["sessiontoken"], resp3: resp3)
            #expect(try Fields(login).status == "issued")
            let rotated = try client.call("TOKEN.ROTATE", try Fields(login).newToken())
            try expectShape(rotated, acceptedFields + ["sessiontoken"], resp3: resp3)
            #expect(try Fields(rotated).status == "rotated")

            let listed = ["sid", "created", "modified", "auth_time", "expires_in", "absolute_in", "generation"]
            for (command, names) in [
                (["TOKEN.LIST", "ann"], listed), (["TOKEN.LIST", "ann", "LIMIT", "3", "DATA", "a"], listed + ["data"]),
            ] {
                guard case .array(let sessions) = try client.call(command) else {
                    throw HarnessFailure("LIST is not an array")
                }
                #expect(sessions.count == 1)
                for session in sessions { try expectShape(session, names, resp3: resp3) }
            }
            let all = try client.call("TOKEN.REVOKEALL", "ann")
            try expectShape(all, ["status", "accepted", "count"], resp3: resp3)
            #expect(try Fields(all).status == "revoked" && Fields(all).integer("count") == 1)
        }
    }

    @Test("VALIDATE at a rotation ends with sessiontoken", arguments: [false, true])
    func rotation(_ resp3: Bool) throws {
        try withWorld(settings: ["rotation.after": "150ms"]) { world in
            let client = try client(world, resp3)
            let token = try client.issue()
            letPass(.milliseconds(400))
            let reply = try client.call("TOKEN.VALIDATE", token)
            try expectShape(reply, acceptedFields + ["sessiontoken"], resp3: resp3)
            #expect(try Fields(reply).status == "rotated" && Fields(reply).generation == 2)
        }
    }

    @Test("VISIT: the status of the token presented, then the holder's fields", arguments: [false, true])
    func visit(_ resp3: Bool) throws {
        try withWorld(settings: ["rotation.after": "300ms"]) { world in
            let client = try client(world, resp3)
            let fresh = try client.call("TOKEN.VISIT", "")
            try expectShape(fresh, acceptedFields + ["sessiontoken"], resp3: resp3)
            let holder = try Fields(fresh)
            #expect(holder.status == "none" && !holder.isAccepted)
            let token = try holder.newToken()
            #expect(holder.text("kind") == "guest" && holder.generation == 0)
            try expectShape(try client.call("TOKEN.VISIT", token), acceptedFields, resp3: resp3)
            let set = try client.call("TOKEN.SET", token, "DATA", "a", "1")
            try expectShape(set, ["status", "accepted", "sid", "changed", "sessiontoken"], resp3: resp3)
            let promoted = try Fields(set).newToken()
            #expect(promoted.hasPrefix(holder.sid ?? "?"), "the session is the guest's")
            let withData = try client.call("TOKEN.VISIT", promoted, "DATA", "a")
            try expectShape(withData, acceptedFields + ["data"], resp3: resp3)
            #expect(try Fields(withData).data() == ["a": "1"])
            letPass(.milliseconds(400))
            let rotated = try client.call("TOKEN.VISIT", promoted, "DATA", "a")
            try expectShape(rotated, acceptedFields + ["sessiontoken", "data"], resp3: resp3)
            #expect(try Fields(rotated).status == "rotated")
        }
    }

    @Test("what is not accepted has a status and nothing that would tell more", arguments: [false, true])
    func refused(_ resp3: Bool) throws {
        try withWorld { world in
            let client = try client(world, resp3)
            let forged = TokenText.forged(try client.issue())
            for command in ["VALIDATE", "INSPECT", "GET", "ROTATE", "REVOKE"] {
                for token in [forged, TokenText.random(), "", "nonsense"] {
                    let reply = try client.call("TOKEN.\(command)", token)
                    try expectShape(reply, ["status", "accepted"], resp3: resp3)
                    #expect(try Fields(reply).status == "unknown")
                }
            }
            let set = try client.call("TOKEN.SET", forged, "DATA", "a", "1")
            try expectShape(set, ["status", "accepted"], resp3: resp3)
            let except = try client.call("TOKEN.REVOKEALL", "ann", "EXCEPT", forged)
            try expectShape(except, ["status", "accepted"], resp3: resp3)
        }
    }

    @Test("times are whole seconds by Redis's clock")
    func times() throws {
        try withWorld { world in
            let client = try world.client()
            let token = try client.issue("IDLE", "90s", "ABSOLUTE", "1h")
            let now = try world.daemon.redis().call("TIME").elements?.first?.text.flatMap { Int($0) }
            let reply = try client.validate(token)
            let created = try #require(reply.integer("created"))
            #expect(((now ?? 0) - 2...(now ?? 0) + 1).contains(created))
            #expect((88...90).contains(reply.integer("expires_in") ?? 0))
            #expect((3598...3600).contains(reply.integer("absolute_in") ?? 0))
        }
    }
}
