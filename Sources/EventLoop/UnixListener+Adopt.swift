internal import Glibc

/// Why a descriptor that another process opened cannot be listened on.
public enum InheritedSocketError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The number stands for no open file.
    case notOpen(descriptor: Int32)
    /// It is something else than a listening stream socket of the family that is wanted.
    case wrongKind(descriptor: Int32)

    public var description: String {
        switch self {
        case .notOpen(let descriptor): "descriptor \(descriptor) is not open"
        case .wrongKind(let descriptor):
            "descriptor \(descriptor) is not a listening stream socket that can be served here"
        }
    }
}

/// A descriptor that another process opened.
enum InheritedSocket {
    /// Sees to it that it is a listening stream socket of one of these families, and makes it one of this process.
    static func take(_ descriptor: Int32, of families: [Int32]) throws(InheritedSocketError) {
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0 else { throw .notOpen(descriptor: descriptor) }
        guard let family = option(SO_DOMAIN, of: descriptor), families.contains(family),
            option(SO_TYPE, of: descriptor) == Int32(SOCK_STREAM.rawValue),
            option(SO_ACCEPTCONN, of: descriptor) == 1
        else { throw .wrongKind(descriptor: descriptor) }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    }

    private static func option(_ name: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }
}

extension TCPListener {
    /// Takes over a listening socket that another process has made and keeps, as systemd does.
    public static func adopt(_ descriptor: Int32) throws(InheritedSocketError) -> TCPListener {
        try InheritedSocket.take(descriptor, of: [AF_INET, AF_INET6])
        return TCPListener(descriptor: descriptor)
    }
}

extension UnixListener {
    /// Takes over a listening socket that another process has made and keeps, as systemd does.
    ///
    /// Its path is that process's: `removePath` leaves it alone. Closing the descriptor ends nothing, connections go
    /// on to wait in the backlog for the next process that is given the socket.
    public static func adopt(_ descriptor: Int32) throws(InheritedSocketError) -> UnixListener {
        try InheritedSocket.take(descriptor, of: [AF_UNIX])
        return UnixListener(descriptor: descriptor, path: boundPath(of: descriptor), file: nil)
    }

    /// Where the socket was bound; an abstract name after an `@`, empty where the kernel does not tell.
    private static func boundPath(of descriptor: Int32) -> String {
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        let offset = MemoryLayout.offset(of: \sockaddr_un.sun_path) ?? 2
        guard result == 0, Int(length) > offset else { return "" }
        return withUnsafeBytes(of: address.sun_path) { bytes in
            let name = bytes.prefix(Int(length) - offset)
            guard name.first == 0 else { return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self) }
            return "@" + String(decoding: name.dropFirst(), as: UTF8.self)
        }
    }
}
