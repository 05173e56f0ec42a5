import TestSupport
import Testing

@Suite("S5 for guests: once a guest is somebody, its token is never taken for a guest's again", .parallel)
struct GuestEndingTests {
    /// What kills a guest's token.
    enum End: String, CaseIterable, CustomTestStringConvertible {
        case login, rotate, revoke, revokeSID

        var testDescription: String { rawValue }

        func carryOut(_ client: RESPClient, _ guest: String, _ round: String) throws {
            switch self {
            case .login: _ = try client.fields("TOKEN.LOGIN", guest, "ann-\(round)").newToken()
            case .rotate: _ = try client.fields("TOKEN.ROTATE", guest).newToken()
            case .revoke, .revokeSID:
                let session = try client.fields("TOKEN.SET", guest, "DATA", "a", "1").newToken()
                let target = self == .revoke ? [guest] : ["SID", TokenText.sid(session)]
                _ = try client.fields(["TOKEN.REVOKE"] + target)
            }
        }

        var statusAfter: String { self == .login || self == .rotate ? "replayed" : "revoked" }
    }

    private static let commands: [[String]] = [
        ["VALIDATE"], ["VISIT"], ["GET"], ["INSPECT"], ["SET", "DATA", "x", "y"],
    ]

    @Test("by the daemon that acknowledged: at once, by every command", arguments: End.allCases, Backend.allCases)
    func oneDaemon(_ end: End, _ backend: Backend) throws {
        try withWorld(backend) { world in
            _ = try concurrently(3) { _ in
                (try world.client(), try world.client())
            } work: { thread, clients in
                for index in 0..<15 {
                    let guest = try clients.0.guest()
                    let csrf = try clients.0.csrf(guest)
                    #expect(try clients.1.validateGuest(guest).status == "valid")
                    try end.carryOut(clients.0, guest, "\(thread)-\(index)")
                    for command in Self.commands {
                        let reply = try clients.1.fields(["TOKEN.\(command[0])", guest] + command.dropFirst())
                        #expect(!reply.isAccepted && reply.status == end.statusAfter, "\(command[0]): \(reply)")
                    }
                    // LOGIN's form is good while it may be repeated.
                    let wanted = [End.login: "passed", .rotate: "failed"][end] ?? end.statusAfter
                    #expect(try clients.1.verify(guest, csrf) == wanted)
                }
            }
        }
    }

    @Test(
        "by the daemon that acknowledged, though another made the session and Redis tells it nothing",
        arguments: End.allCases)
    func withoutInvalidations(_ end: End) throws {
        try withWorld(daemons: 2, settings: ["near-cache.max-memory": "0"]) { world in
            let maker = try world.client(ofDaemon: 0)
            let ender = try world.client(ofDaemon: 1)
            for index in 0..<10 {
                let guest = try maker.guest()
                #expect(try maker.fields("TOKEN.SET", guest, "DATA", "a", "1").isAccepted)
                try end.carryOut(ender, guest, "none-\(index)")
                let reply = try ender.validateGuest(guest)
                #expect(!reply.isAccepted && reply.status == end.statusAfter, "\(reply)")
            }
        }
    }

    @Test(
        "by another daemon: within 50 ms while its invalidation link is healthy", .needsNearCache,
        arguments: End.allCases)
    func twoDaemons(_ end: End) throws {
        try withWorld(daemons: 2) { world in
            for daemon in world.daemons { try NearCacheFacts.awaitArmed(daemon) }
            let here = try world.client(ofDaemon: 0)
            let there = try world.client(ofDaemon: 1)
            for batch in 0..<4 {
                let guests = try here.pipeline(Array(repeating: ["GUEST.ISSUE"], count: 25)).map {
                    try Fields($0).newToken()
                }
                for reply in try there.pipeline(guests.map { ["TOKEN.VALIDATE", $0] }) {
                    #expect(try Fields(reply).status == "valid")
                }
                for (index, guest) in guests.enumerated() { try end.carryOut(here, guest, "\(batch)-\(index)") }
                try there.letInvalidationsCome()
                for command in Self.commands {
                    let requests = guests.map { ["TOKEN.\(command[0])", $0] + command.dropFirst() }
                    for reply in try there.pipeline(requests).map({ try Fields($0) }) {
                        #expect(!reply.isAccepted && reply.status == end.statusAfter, "\(command[0]): \(reply)")
                    }
                }
            }
        }
    }

    @Test("every command that asks Redis refuses it, whatever the daemon knows: after its restart, too")
    func restarted() throws {
        try withWorld { world in
            let client = try world.client()
            let guest = try client.guest()
            _ = try client.fields("TOKEN.LOGIN", guest, "ann")
            try world.daemon.stop()
            try world.daemon.start()
            let again = try world.client()
            for command in Self.commands.filter({ !["VALIDATE", "VISIT"].contains($0[0]) }) {
                expectRefused("replayed", try again.fields(["TOKEN.\(command[0])", guest] + command.dropFirst()))
            }
            // Nor does it ever reach what the session holds: without a near cache a guest without a name at most.
            let reply = try again.validateGuest(guest)
            let isNobody = !Stage.hasNearCache && reply.text("kind") == "guest" && reply.text("subject") == ""
            #expect(reply.status == "replayed" || isNobody, "\(reply)")
        }
    }
}
