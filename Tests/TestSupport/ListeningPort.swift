import Foundation
import Synchronization

/// A TCP port at 127.0.0.1 behind which a test says what happens: a script, or another port with the test in between.
///
/// A thread a connection. It leaves nothing behind when it is released.
public final class ListeningPort: Sendable {
    /// The client's end of one connection.
    public struct Peer: Sendable {
        let descriptor: Int32

        /// What comes next; empty at the end.
        public func receive() -> [UInt8] {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            return Array(buffer.prefix(max(0, count)))
        }

        public func send(_ bytes: [UInt8]) {
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes {
                    Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// What becomes of bytes on their way to the client: pieces, each sent by itself.
    /// - Parameter seen: how many there were before on this connection.
    public typealias Passage = @Sendable (_ bytes: [UInt8], _ seen: Int) -> [[UInt8]]

    private struct State {
        var connections: Set<Int32> = []
        var isStopped = false
    }

    public let port: Int
    private let listener: Int32
    private let state: Shared

    private final class Shared: Sendable {
        let state = Mutex(State())

        /// - Returns: whether it is to be served.
        func enter(_ descriptor: Int32) -> Bool {
            state.withLock { state in
                guard !state.isStopped else { return false }
                state.connections.insert(descriptor)
                return true
            }
        }

        func leave(_ descriptor: Int32) {
            _ = state.withLock { $0.connections.remove(descriptor) }
            shutdown(descriptor, Int32(SHUT_RDWR))
            close(descriptor)
        }

        func endAll() { state.withLock { $0.connections.forEach { _ = shutdown($0, Int32(SHUT_RDWR)) } } }
    }

    /// - Parameter script: what is done with each connection; it ends with it.
    public init(script: @escaping @Sendable (Peer) -> Void) throws {
        let listener = try Self.listen()
        let state = Shared()
        (self.listener, self.state) = (listener, state)
        port = try Self.port(of: listener)
        Thread.detachNewThread {
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0 else { break }
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
                guard state.enter(descriptor) else {
                    close(descriptor)
                    continue
                }
                Thread.detachNewThread {
                    script(Peer(descriptor: descriptor))
                    state.leave(descriptor)
                }
            }
            close(listener)
        }
    }

    /// In front of another port of this host.
    public convenience init(to port: Int, passage: @escaping Passage = { bytes, _ in [bytes] }) throws {
        try self.init { client in
            guard let server = try? Peer(descriptor: Self.connect(to: port)) else { return }
            let done = DispatchSemaphore(value: 0)
            Thread.detachNewThread {
                var seen = 0
                while true {
                    let bytes = server.receive()
                    if bytes.isEmpty { break }
                    for piece in passage(bytes, seen) { client.send(piece) }
                    seen += bytes.count
                }
                shutdown(client.descriptor, Int32(SHUT_RDWR))
                done.signal()
            }
            while true {
                let bytes = client.receive()
                if bytes.isEmpty { break }
                server.send(bytes)
            }
            shutdown(server.descriptor, Int32(SHUT_RDWR))
            done.wait()
            close(server.descriptor)
        }
    }

    deinit {
        state.state.withLock { $0.isStopped = true }
        state.endAll()
        // Wakes the accepting thread, which closes the listener.
        shutdown(listener, Int32(SHUT_RDWR))
    }

    /// Ends every connection there is; new ones are served.
    public func dropConnections() { state.endAll() }

    private static func listen() throws -> Int32 {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard listener >= 0 else { throw HarnessFailure.system("socket") }
        var address = loopback(0)
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, Glibc.listen(listener, 64) == 0 else { throw HarnessFailure.system("listen") }
        return listener
    }

    private static func port(of listener: Int32) throws -> Int {
        var address = loopback(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &size) }
        }
        guard result == 0 else { throw HarnessFailure.system("getsockname") }
        return Int(in_port_t(bigEndian: address.sin_port))
    }

    private static func connect(to port: Int) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessFailure.system("socket") }
        var address = loopback(port)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            close(descriptor)
            throw HarnessFailure.system("connect")
        }
        return descriptor
    }

    private static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        return address
    }
}
