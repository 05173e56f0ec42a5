import TestSupport
import Testing

@Suite("S2: concurrent presenters of one old token get one successor", .demanding)
struct S2ConcurrentPresentersTests {
    @Test("200 presenters over 3 daemons: one successor, one generation step, 200 accepted answers")
    func threeDaemons() throws {
        try withWorld(daemons: 3, settings: ["rotation.after": "1500ms"]) { world in
            try presenters(world)
        }
    }

    @Test("200 presenters of one daemon with its own Redis")
    func embedded() throws {
        try withWorld(.embedded, settings: ["rotation.after": "1500ms"]) { world in
            try presenters(world)
        }
    }

    private func presenters(_ world: World) throws {
        let client = try world.client()
        let old = try client.issue()
        let generation = try #require(try client.inspect(old).generation)
        letPass(.milliseconds(1_800))
        let answers = try concurrently(200) { index in
            try world.client(ofDaemon: index)
        } work: { index, client in
            // A page and an API call look the same to the rule.
            try client.fields(index.isMultiple(of: 2) ? "TOKEN.VALIDATE" : "TOKEN.VISIT", old)
        }
        #expect(answers.allSatisfy { $0.status == "rotated" && $0.isAccepted })
        #expect(Set(answers.map(\.sessionToken)).count == 1, "more than one successor")
        #expect(Set(answers.map(\.generation)) == [generation + 1])

        let successor = try answers[0].newToken()
        let before = try client.inspect(successor)
        #expect(before.generation == generation + 1)
        #expect(before.text("successor") == "pending")
        for daemon in world.daemons {
            #expect(try daemon.client().validate(successor).status == "valid")
        }
        let after = try client.inspect(successor)
        #expect(after.generation == generation + 1)
        #expect(after.text("successor") == "confirmed")
    }

    @Test("round after round: every rotation has one successor, whoever asks")
    func rounds() throws {
        try withWorld(daemons: 3, settings: ["rotation.after": "30ms", "rotation.overlap": "10ms"]) { world in
            let clients = try (0..<9).map { try world.client(ofDaemon: $0) }
            var token = try clients[0].issue()
            var generation = try #require(try clients[0].inspect(token).generation)
            for _ in 0..<40 {
                // Well past `rotation.after`: on a loaded machine daemons estimate the clock to within some milliseconds.
                letPass(.milliseconds(130))
                let presented = token
                let answers = try concurrently(clients.count) { try clients[$0].validate(presented) }
                #expect(answers.allSatisfy { $0.status == "rotated" })
                #expect(Set(answers.map(\.sessionToken)).count == 1)
                generation += 1
                #expect(answers.allSatisfy { $0.generation == generation })
                token = try answers[0].newToken()
                #expect(try clients[generation % clients.count].validate(token).status == "valid")
            }
        }
    }

    @Test("200 concurrent LOGINs with one old token make one session with one token")
    func login() throws {
        try withWorld(daemons: 3) { world in
            let old = try world.client().issue("DATA", "cart", "7")
            let answers = try concurrently(200) { index in
                try world.client(ofDaemon: index)
            } work: { _, client in
                try client.fields("TOKEN.LOGIN", old, "ann")
            }
            #expect(Set(answers.map(\.sessionToken)).count == 1)
            #expect(Set(answers.map(\.sid)).count == 1)
            #expect(Set(answers.map(\.generation)).count == 1)
            let client = try world.client()
            guard case .array(let sessions) = try client.call("TOKEN.LIST", "ann") else {
                throw HarnessFailure("LIST is not an array")
            }
            #expect(sessions.count == 1)
            expectRefused("replayed", try client.validate(old))
        }
    }
}
