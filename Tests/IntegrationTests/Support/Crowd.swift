import Foundation
import TestSupport

/// A process of another user that makes connections, says what each was answered, and holds them until it is let go of.
/// Needs root, as a CI container has it.
struct Crowd {
    /// Without any right of its own.
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
        process = try ChildProcess(
            "setpriv",
            [
                "--reuid", Self.nobody, "--regid", Self.nobody, "--clear-groups", "/usr/bin/python3", "-c", Self.script,
                world.daemon.socket, "\(count)",
            ], name: "crowd\(UInt32.random(in: 0 ... .max))", folder: world.stage.clientFolder())
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

extension World {
    /// The test's folders are closed to others; the way to the socket must not be what stops them.
    func openTheWay() throws {
        let parts = daemon.folder.split(separator: "/")
        for depth in 2...parts.count {
            let path = "/" + parts.prefix(depth).joined(separator: "/")
            try FileManager.default.setAttributes([.posixPermissions: 0o711], ofItemAtPath: path)
        }
    }
}
