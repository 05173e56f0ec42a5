import TestSupport
import Testing

@Suite("S3: a lost response costs the client nothing", .parallel)
struct S3LostResponseTests {
    /// Sends a command and hangs up before the answer.
    private func lose(_ daemon: Daemon, _ command: String, _ arguments: String...) throws {
        let client = try daemon.client()
        try client.sendRaw(RESPClient.encode(([command] + arguments).map { Array($0.utf8) }))
        client.endSending()
    }

    @Test("the old token leads to the successor whose response was lost", arguments: Backend.allCases)
    func rotation(_ backend: Backend) throws {
        try withWorld(backend, settings: ["rotation.after": "1s"]) { world in
            let client = try world.client()
            let old = try client.issue()
            letPass(.milliseconds(1_100))
            for _ in 0..<20 { try lose(world.daemon, "TOKEN.VALIDATE", old) }
            _ = try eventually("the rotation nobody heard of") {
                // Once more: by the daemon's estimate of Redis's clock it may not have been due before.
                try lose(world.daemon, "TOKEN.VALIDATE", old)
                return try client.inspect(old).text("successor") == "pending" ? true : nil
            }
            let answer = try client.validate(old)
            #expect(answer.status == "rotated" && answer.generation == 2)
            let successor = try answer.newToken()
            for _ in 0..<5 { #expect(try client.validate(old).sessionToken == successor) }
            #expect(try client.validate(successor).status == "valid")
            #expect(try client.inspect(successor).generation == 2)
        }
    }

    @Test("another daemon gives out the same successor")
    func rotationElsewhere() throws {
        try withWorld(daemons: 2, settings: ["rotation.after": "200ms"]) { world in
            let client = try world.client()
            let old = try client.issue()
            let successor = try client.rotateWhenDue(old)
            let elsewhere = try world.client(ofDaemon: 1)
            #expect(try elsewhere.validate(old).sessionToken == successor)
            #expect(try elsewhere.fields("TOKEN.VISIT", old).sessionToken == successor)
        }
    }

    @Test("a confirmation whose response was lost has happened all the same")
    func confirmation() throws {
        try withWorld(settings: ["rotation.after": "200ms"]) { world in
            let client = try world.client()
            let old = try client.issue()
            let successor = try client.rotateWhenDue(old)
            try lose(world.daemon, "TOKEN.VALIDATE", successor)
            _ = try eventually("the confirmation") {
                try client.inspect(successor).text("successor") == "confirmed" ? true : nil
            }
            #expect(try client.validate(successor).isAccepted)
        }
    }

    @Test("a repeated LOGIN leads to the same token, on another daemon too", arguments: ["", "bob"])
    func login(_ subjectBefore: String) throws {
        try withWorld(daemons: 2) { world in
            let client = try world.client()
            let old = try subjectBefore.isEmpty ? client.issue() : client.issue("SUBJECT", subjectBefore)
            try lose(world.daemon, "TOKEN.LOGIN", old, "ann")
            _ = try eventually("the login nobody heard of") {
                try client.inspect(old).isAccepted ? nil : true
            }
            let first = try client.fields("TOKEN.LOGIN", old, "ann")
            #expect(first.status == "issued" && first.text("subject") == "ann")
            let second = try world.client(ofDaemon: 1).fields("TOKEN.LOGIN", old, "ann")
            #expect(second.sessionToken == first.sessionToken)
            #expect(second.generation == first.generation)
            #expect(try client.validate(first.newToken()).status == "valid")
            guard case .array(let sessions) = try client.call("TOKEN.LIST", "ann") else {
                throw HarnessFailure("LIST is not an array")
            }
            #expect(sessions.count == 1, "the repetition made a session more")
        }
    }

    @Test("only LOGIN opens what LOGIN has sealed, and only for the same subject")
    func loginMemoIsPrivate() throws {
        try withWorld { world in
            let client = try world.client()
            let old = try client.issue()
            let new = try client.fields("TOKEN.LOGIN", old, "ann").newToken()
            #expect(try client.validate(old).sessionToken == nil)
            #expect(try client.fields("TOKEN.VISIT", old).sid != TokenText.sid(new))
            let thief = try client.fields("TOKEN.LOGIN", old, "eve")
            #expect(thief.sid != TokenText.sid(new))
            #expect(try client.validate(new).status == "valid", "somebody's repeated LOGIN ended the session")
        }
    }
}
