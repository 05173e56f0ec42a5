import Host
import Testing

@testable import TokenCacheClient

@Suite("Token")
struct TokenTests {
    static let hex = String(repeating: "0123456789abcdef", count: 8)
    // The same 64 bytes in base64url.
    static let base64 =
        "ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8BI0VniavN7w"

    @Test("the sid is read from every accepted form", arguments: [hex, hex.uppercased(), "0x" + hex, base64])
    func selector(text: String) throws {
        let token = try #require(SessionToken(text))
        #expect(token.sid?.text == "0123456789abcdef0123456789abcdef")
        #expect(token.revealedBytes == Array(text.utf8))
    }

    @Test("a guest's token has its sid in it")
    func guestSelector() throws {
        // {"jti":"0123456789abcdef0123456789abcdef","iat":1}
        let claims = "eyJqdGkiOiIwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZiIsImlhdCI6MX0"
        let token = try #require(SessionToken("eyJhbGciOiJIUzI1NiJ9.\(claims).c2ln"))
        #expect(token.sid?.text == "0123456789abcdef0123456789abcdef")
    }

    @Test(
        "other text may be a token but has no sid",
        arguments: [
            "x", "eyJh.b.c", "0x", String(hex.dropLast()), "..", "a.eyJqdGkiOiIw.c", "a.eyJzdWIiOiIwMTIzNDU2.c",
            "a.!.c",
        ])
    func withoutSelector(text: String) throws {
        #expect(try #require(SessionToken(text)).sid == nil)
    }

    @Test("what can be no token is none", arguments: ["", " ", "a b", "a\n", "é", "a\u{0}"])
    func noToken(text: String) {
        #expect(SessionToken(text) == nil)
    }

    @Test("length is bounded")
    func bounded() {
        #expect(SessionToken(String(repeating: "a", count: SessionToken.maximumLength)) != nil)
        #expect(SessionToken(String(repeating: "a", count: SessionToken.maximumLength + 1)) == nil)
    }

    @Test("S7 a token never prints")
    func secret() throws {
        let token = try #require(SessionToken(Self.hex))
        var dumped = ""
        dump(token, to: &dumped)
        struct Holder { let token: SessionToken? }
        for text in ["\(token)", String(reflecting: token), dumped, "\(Holder(token: token))", "\([token])"] {
            #expect(!text.contains("0123456789"))
            #expect(text.contains("<token>") || text == dumped)
        }
    }

    @Test("S7 a reply prints its shape only")
    func secretReply() {
        let reply = ReplyValue.array([.text(Array("sessiontoken".utf8)), .text(Array(Self.hex.utf8))])
        var dumped = ""
        dump(reply, to: &dumped)
        dump(reply.fields, to: &dumped)
        for text in ["\(reply)", String(reflecting: reply), "\([reply])", dumped] {
            #expect(!text.contains("0123456789"))
        }
    }
}

@Suite("Default socket")
struct SocketPathTests {
    private func standard(_ environment: [String: String], existing: Set<String> = [], writable: Bool = false) -> String
    {
        SocketPath.standard(
            environment: { environment[$0] }, exists: { existing.contains($0) },
            isWritable: { $0 == SocketPath.systemFolder && writable })
    }
    private let system = "/run/tokencached/tokencached.sock"

    @Test("the client looks where the daemon listens")
    func sameAsDaemon() {
        #expect(SocketPath.systemFolder == Product.socketFolder && SocketPath.fileName == Product.socketName)
    }

    private let user = "/run/user/7/tokencached.sock"

    @Test("nothing known: the system daemon's path")
    func nothing() {
        #expect(standard([:]) == system)
        #expect(standard([:], writable: true) == system)
    }

    @Test("a daemon of the user is found where the system folder is not writable")
    func userDaemon() {
        let environment = ["XDG_RUNTIME_DIR": "/run/user/7"]
        #expect(standard(environment) == user)
        #expect(standard(environment, existing: [user, SocketPath.systemFolder]) == user)
        #expect(standard(environment, existing: [user], writable: true) == system)
    }

    @Test("a member of the socket's group, who cannot write to the folder, finds the system daemon")
    func groupMember() {
        #expect(standard(["XDG_RUNTIME_DIR": "/run/user/7"], existing: [SocketPath.systemFolder]) == system)
    }

    @Test("the runtime folder of another service is not ours")
    func otherService() {
        let environment = ["RUNTIME_DIRECTORY": "/run/php:/run/more"]
        #expect(standard(environment) == system)
        #expect(standard(environment, existing: ["/run/php/tokencached.sock"]) == "/run/php/tokencached.sock")
    }
}
