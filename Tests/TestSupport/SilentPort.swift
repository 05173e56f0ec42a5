import Glibc

/// An address at which packets arrive and nothing comes back.
public struct SilentPort: Sendable {
    private let descriptors: [Int32]

    public func close() { for descriptor in descriptors { Glibc.close(descriptor) } }

    private static func address(_ host: String, _ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr(host)
        return address
    }

    private static func use(
        _ type: __socket_type, _ host: String, _ port: Int,
        _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(type.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessFailure.system("socket") }
        var address = address(host, port)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 || errno == EINPROGRESS else { throw HarnessFailure.system("\(host):\(port)") }
        return descriptor
    }

    public static func udp(_ host: String, _ port: Int) throws -> SilentPort {
        SilentPort(descriptors: [try use(SOCK_DGRAM, host, port, bind)])
    }

    /// Its queue is full: the kernel drops what would open another connection.
    public static func tcp(_ host: String, _ port: Int) throws -> SilentPort {
        let listening = try use(SOCK_STREAM, host, port, bind)
        guard listen(listening, 0) == 0 else { throw HarnessFailure.system("listen") }
        let filling = try (0..<4).map { _ in try use(SOCK_STREAM, host, port, connect) }
        letPass(.milliseconds(100))
        return SilentPort(descriptors: [listening] + filling)
    }
}
