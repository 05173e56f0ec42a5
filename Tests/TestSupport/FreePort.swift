import Glibc

/// A TCP port for a server that a test starts.
public enum FreePort {
    /// Below those that the kernel gives to connections that go out, one of which could take it before the server does.
    private static let range = 20_000..<32_000
    private static let attempts = 50

    /// One that nobody listens on at 127.0.0.1.
    public static func find() throws -> Int {
        for _ in 0..<attempts {
            let port = Int.random(in: range)
            if try isFree(port) { return port }
        }
        throw HarnessFailure("no free port in \(range)")
    }

    private static func isFree(_ port: Int) throws -> Bool {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { throw HarnessFailure.system("socket") }
        defer { close(probe) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
