import TestSupport

/// A daemon that speaks HTTP at a Unix socket of its own, with all that is served, and perhaps at a port.
struct HTTPWorld {
    let world: World
    let socket: String
    let port: Int

    /// A new connection to the Unix socket.
    func http() throws -> HTTPClient { try HTTPClient(path: socket, book: world.stage.book) }

    /// A new connection over TCP.
    func tcp() throws -> HTTPClient { try HTTPClient(port: port, book: world.stage.book) }

    func login(_ subject: String = "alice", _ options: String...) throws -> String {
        try world.client().answered(["TOKEN.ISSUE", "SUBJECT", subject] + options).newToken()
    }
}

/// - Parameter tcp: what is served at the port; nil: nothing is.
func withHTTP(
    settings: [String: String] = [:], tcp: String? = nil, readiness: Daemon.Readiness = .serves,
    launcher: [String] = [],
    _ body: (HTTPWorld) throws -> Void
) throws {
    let folder = try TemporaryFolder()
    let socket = "\(folder.path)/http.sock"
    let port = try FreePort.find()
    var all = settings
    let overTCP = tcp.map { ", {tcp: '127.0.0.1:\(port)'\($0.isEmpty ? "" : ", serve: [\($0)]")}" } ?? ""
    all["http.listen"] = "[{unix: \(socket), mode: '0666'}\(overTCP)]"
    try withWorld(settings: all, readiness: readiness, launcher: launcher) { world in
        try body(HTTPWorld(world: world, socket: socket, port: port))
    }
}

func cookie(_ token: String, _ name: String = "__Host-tc") -> String { "Cookie: \(name)=\(token)" }
