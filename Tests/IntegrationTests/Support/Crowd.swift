import Foundation
import TestSupport

/// A process of another user that makes connections, says what each was answered, and holds them until it is let go of.
/// Needs root, as a CI container has it.
struct Crowd {
    /// The user's number; without any right of its own.
    static let nobody = "65534"

    private let process: ChildProcess
    let served: Int
    let overloaded: Int
    let unanswered: Int
    /// From a connection's begin to its answer, milliseconds.
    let slowest: Int

    private static let script = """
        import socket, sys, time
        path, count = sys.argv[1], int(sys.argv[2])
        held, served, overloaded, unanswered, slowest = [], 0, 0, 0, 0.0
        for _ in range(count):
            begun = time.monotonic()
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(15)
            held.append(client)
            answer = b""
            try:
                client.connect(path)
                try: client.sendall(b"PING\\r\\n")
                except OSError: pass
                answer = client.recv(200)
            except OSError: pass
            slowest = max(slowest, time.monotonic() - begun)
            if answer == b"+PONG\\r\\n": served += 1
            elif answer.startswith(b"-OVERLOADED "): overloaded += 1
            else: unanswered += 1
        print(served, overloaded, unanswered, int(slowest * 1000), flush=True)
        time.sleep(600)
        """

    init(_ count: Int, in world: World) throws {
        try world.openTheWay()
        process = try .ofNobody(
            Self.script, [world.daemon.socket, "\(count)"], name: "crowd\(UInt32.random(in: 0 ... .max))", in: world)
        let process = process
        let figures = try eventually(within: .seconds(60), "the crowd") { () -> [Int]? in
            let output = process.output
            if let end = process.ended { throw HarnessFailure("the crowd ended with \(end): \(process.errors)") }
            return output.hasSuffix("\n") ? output.split(whereSeparator: \.isWhitespace).compactMap { Int($0) } : nil
        }
        guard figures.count == 4 else { throw HarnessFailure("the crowd said \(process.output) \(process.errors)") }
        (served, overloaded, unanswered, slowest) = (figures[0], figures[1], figures[2], figures[3])
    }

    func leave() { process.kill9() }
}

extension ChildProcess {
    /// Runs a Python script as the user who has no right of its own.
    static func ofNobody(_ script: String, _ arguments: [String], name: String, in world: World) throws -> ChildProcess
    {
        let nobody = ["--reuid", Crowd.nobody, "--regid", Crowd.nobody, "--clear-groups"]
        return try ChildProcess(
            "setpriv", nobody + ["/usr/bin/python3", "-c", script] + arguments, name: name,
            folder: world.stage.clientFolder())
    }
}

extension World {
    func openTheWay() throws { try IntegrationTests.openTheWay(to: daemon.folder) }
}

/// The test's folders are closed to others; the way to a socket must not be what stops them.
func openTheWay(to folder: String) throws {
    let parts = folder.split(separator: "/")
    for depth in 2...parts.count {
        let path = "/" + parts.prefix(depth).joined(separator: "/")
        try FileManager.default.setAttributes([.posixPermissions: 0o711], ofItemAtPath: path)
    }
}
