import Foundation
import TestSupport

/// A proxy with a process of its own for each connection, so that one connection can be stopped by SIGSTOP.
final class ProxyProcess {
    private let parent: ChildProcess
    private let feedFile: String
    let url: String

    /// Forwards bytes both ways; the process in which the invalidation connection names itself writes down its number.
    private static let script = """
        import os, select, signal, socket, sys
        own, target, feed = sys.argv[1:]
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(own)
        listener.listen(64)
        while True:
            client = listener.accept()[0]
            if os.fork():
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(target)
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        os._exit(0)
                    if b"tokencached-invalidation" in data:
                        with open(feed + ".new", "w") as file:
                            file.write(str(os.getpid()))
                        os.rename(feed + ".new", feed)
                    (server if source is client else client).sendall(data)
        """

    init(_ stage: Stage, to server: RedisServer) throws {
        let folder = try stage.clientFolder()
        let socket = "\(folder)/proxy.sock"
        feedFile = "\(folder)/feed"
        url = "unix://\(socket)"
        parent = try ChildProcess(
            "/usr/bin/python3", ["-c", Self.script, socket, server.socket, feedFile], name: "proxy", folder: folder)
        _ = try eventually("the proxy listens") { FileManager.default.fileExists(atPath: socket) ? true : nil }
    }

    /// Sends SIGSTOP to the process of the invalidation connection there is; the next one has a process of its own.
    func stopFeed() throws {
        let pid = try eventually("the invalidation connection") {
            (try? String(contentsOfFile: feedFile, encoding: .utf8)).flatMap { Int32($0) }
        }
        try FileManager.default.removeItem(atPath: feedFile)
        Processes.signal(pid, .stop)
    }

    func end() { parent.kill9() }
}
