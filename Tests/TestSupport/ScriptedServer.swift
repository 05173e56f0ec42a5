import Foundation
import Synchronization

/// A server on a Unix socket that answers each command as its script says, right or wrong.
///
/// It lives in a folder of its own and leaves nothing behind when it is released.
public final class ScriptedServer: Sendable {
    /// What happens upon one command.
    public enum Step: Sendable {
        /// These bytes.
        case reply(String)
        /// These bytes, one at a time.
        case drip(String)
        /// These bytes, then the end of the connection.
        case replyAndClose(String)
        /// Nothing, ever.
        case silence
    }

    private final class Shared: Sendable {
        struct State {
            var commands: [[String]] = []
            var connections: Set<Int32> = []
            var accepted = 0
            var isStopped = false
        }
        let state = Mutex(State())
        let script: @Sendable ([String]) -> Step

        init(script: @escaping @Sendable ([String]) -> Step) {
            self.script = script
        }
    }

    /// Where it listens.
    public let path: String
    private let folder: TemporaryFolder
    private let listener: Int32
    private let isAccepting: Bool
    private let shared: Shared

    /// Every command that came, over all connections.
    public var commands: [[String]] { shared.state.withLock { $0.commands } }

    /// How many connections were ever served.
    public var connectionCount: Int { shared.state.withLock { $0.accepted } }

    /// How many connections there are now.
    public var openConnections: Int { shared.state.withLock { $0.connections.count } }

    /// Ends every connection there is; new ones are served.
    public func dropConnections() {
        shared.state.withLock { $0.connections.forEach { _ = shutdown($0, Int32(SHUT_RDWR)) } }
    }

    /// - Parameter farewell: What is said to every connection before it is closed, instead of serving it.
    public init(
        backlog: Int32 = 16, isAccepting: Bool = true, farewell: String? = nil,
        script: @escaping @Sendable ([String]) -> Step
    ) throws {
        folder = try TemporaryFolder()
        let (path, listener) = (
            folder.file("s"), socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        )
        (self.path, self.listener) = (path, listener)
        self.isAccepting = isAccepting
        shared = Shared(script: script)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(listener, backlog) == 0 else { throw HarnessFailure.system("listen at \(path)") }
        if isAccepting {
            let shared = shared
            Thread.detachNewThread { Self.accept(on: listener, farewell: farewell, shared) }
        }
    }

    deinit {
        shared.state.withLock { state in
            state.isStopped = true
            state.connections.forEach { _ = shutdown($0, Int32(SHUT_RDWR)) }
        }
        // Wakes the accepting thread, which closes the listener: closed here, its number could be another server's by
        // the time that thread asks for the next connection.
        shutdown(listener, Int32(SHUT_RDWR))
        if !isAccepting { close(listener) }
    }

    private static func accept(on listener: Int32, farewell: String?, _ shared: Shared) {
        while true {
            let connection = Glibc.accept(listener, nil, nil)
            guard connection >= 0 else {
                close(listener)
                return
            }
            _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
            if let farewell {
                write(Array(farewell.utf8), to: connection)
                shutdown(connection, Int32(SHUT_RDWR))
                close(connection)
                continue
            }
            let isStopped = shared.state.withLock { state in
                state.connections.insert(connection)
                state.accepted += 1
                return state.isStopped
            }
            if isStopped { shutdown(connection, Int32(SHUT_RDWR)) }
            Thread.detachNewThread { serve(connection, shared) }
        }
    }

    private static func serve(_ connection: Int32, _ shared: Shared) {
        var input: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        serving: while true {
            while let command = takeCommand(from: &input) {
                shared.state.withLock { $0.commands.append(command) }
                switch shared.script(command) {
                case .reply(let text): write(Array(text.utf8), to: connection)
                case .drip(let text): text.utf8.forEach { write([$0], to: connection) }
                case .replyAndClose(let text):
                    write(Array(text.utf8), to: connection)
                    break serving
                case .silence: break
                }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            input += buffer.prefix(count)
        }
        _ = shared.state.withLock { $0.connections.remove(connection) }
        // A program started by another test may have got a copy: ending the connection takes more than a close.
        shutdown(connection, Int32(SHUT_RDWR))
        close(connection)
    }

    private static func write(_ bytes: [UInt8], to connection: Int32) {
        _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// One `*n\r\n$l\r\n…` command, if it is there as a whole. What the client under test sends is well-formed.
    private static func takeCommand(from input: inout [UInt8]) -> [String]? {
        var rest = input[...]
        func line() -> Int? {
            guard let end = rest.firstIndex(of: 0x0a) else { return nil }
            let number = Int(String(decoding: rest[rest.startIndex..<end].dropFirst().dropLast(), as: UTF8.self))
            rest = rest[(end + 1)...]
            return number
        }
        guard let count = line() else { return nil }
        var command: [String] = []
        for _ in 0..<count {
            guard let length = line(), rest.count >= length + 2 else { return nil }
            command.append(String(decoding: rest.prefix(length), as: UTF8.self))
            rest = rest.dropFirst(length + 2)
        }
        input = Array(rest)
        return command
    }
}
