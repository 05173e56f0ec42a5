internal import Glibc

/// Why a TCP address could not be listened on.
public enum TCPListenerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// It is no IPv4 or IPv6 address.
    case invalidAddress(String)
    /// A system call failed: what was tried, and the error number.
    case system(address: String, operation: String, number: Int32)

    public var description: String {
        switch self {
        case .invalidAddress(let address): "\(address): is no IPv4 or IPv6 address"
        case .system(let address, let operation, let number):
            "\(address): \(operation): \(describe(errno: number))"
        }
    }
}

/// A listening TCP socket at a numeric address.
public struct TCPListener: Sendable {
    /// Non-blocking, close-on-exec; whoever gets it closes it.
    public let descriptor: Int32

    /// Binds and listens. An IPv6 address is for IPv6 alone.
    /// - Parameters:
    ///   - host: an IPv4 or IPv6 address, without brackets.
    ///   - backlog: connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
    public static func bind(host: String, port: UInt16, backlog: Int32 = 4096) throws(TCPListenerError) -> TCPListener {
        let shown = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        guard let address = NumericAddress(host: host, port: port) else { throw .invalidAddress(shown) }
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else { throw .system(address: shown, operation: "socket", number: errno) }
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
        if address.family == AF_INET6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, size) }
        var failed: String?
        if address.withSocketAddress({ Glibc.bind(descriptor, $0, $1) }) != 0 {
            failed = "bind"
        } else if Glibc.listen(descriptor, backlog) != 0 {
            failed = "listen"
        }
        guard let failed else { return TCPListener(descriptor: descriptor) }
        let number = errno
        close(descriptor)
        throw .system(address: shown, operation: failed, number: number)
    }

    /// What a connection that was accepted over TCP needs: small answers leave at once, and who is gone without a word is
    /// found out.
    public static func prepare(connection: Int32) {
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &on, size)
        setsockopt(connection, SOL_SOCKET, SO_KEEPALIVE, &on, size)
    }
}

/// An IPv4 or IPv6 address, perhaps with a port.
public struct NumericAddress: Equatable, Sendable {
    private let bytes: [UInt8]
    /// `AF_INET` or `AF_INET6`.
    public let family: Int32
    public let port: UInt16

    /// Nil for what is no numeric address.
    public init?(host: String, port: UInt16 = 0) {
        var four = sockaddr_in()
        var six = sockaddr_in6()
        if inet_pton(AF_INET, host, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            (bytes, family) = (withUnsafeBytes(of: four) { Array($0) }, AF_INET)
        } else if inet_pton(AF_INET6, host, &six.sin6_addr) == 1 {
            six.sin6_family = sa_family_t(AF_INET6)
            six.sin6_port = port.bigEndian
            (bytes, family) = (withUnsafeBytes(of: six) { Array($0) }, AF_INET6)
        } else {
            return nil
        }
        self.port = port
    }

    /// Where a socket is bound; nil where that is no address of the internet.
    public init?(boundBy descriptor: Int32) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        family = Int32(storage.ss_family)
        let size =
            switch family {
            case AF_INET: MemoryLayout<sockaddr_in>.size
            case AF_INET6: MemoryLayout<sockaddr_in6>.size
            default: 0
            }
        guard result == 0, size > 0, Int(length) >= size else { return nil }
        bytes = withUnsafeBytes(of: storage) { Array($0.prefix(size)) }
        // Where both kinds of address have it.
        port = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
    }

    /// Of this host alone: 127.0.0.0/8, ::1.
    public var isLoopback: Bool {
        if family == AF_INET { return bytes.dropFirst(4).first == 127 }
        return bytes.dropFirst(8).prefix(16).elementsEqual([UInt8](repeating: 0, count: 15) + [1])
    }

    func withSocketAddress(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return -1 }
            return body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
    }

    /// Whether it is the same address and port.
    public func isSame(as other: NumericAddress) -> Bool {
        // sin6_flowinfo and sin6_scope_id aside, which nobody gives.
        family == other.family && bytes.dropFirst(2) == other.bytes.dropFirst(2)
    }
}
