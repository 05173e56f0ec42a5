import Glibc
import Synchronization

/// TCP ports for servers that tests start.
///
/// A port that was free when it was looked at can be another test's by the time that the server listens. So every process has
/// ports of its own, and it gives out each in turn.
public enum FreePort {
    /// Below those that the kernel gives to connections that go out, one of which could take it before the server does.
    private static let range = 20_000..<32_000
    /// How many a process has to itself: more than it uses, so that one comes again long after its server has ended.
    private static let share = 500

    private static let own = Mutex<Share?>(nil)

    /// One that nobody listens on at 127.0.0.1, and that no other call gives out meanwhile, of whichever process.
    public static func find() throws -> Int {
        try own.withLock { own in
            var share = try own ?? Share.claim()
            defer { own = share }
            return try share.next()
        }
    }

    /// The ports of a process: the first is a socket that says whose they are, and that is closed by the end of the process.
    private struct Share {
        private let ports: Range<Int>
        private var position = 0

        static func claim() throws -> Share {
            for first in stride(from: range.lowerBound, to: range.upperBound, by: FreePort.share).shuffled() {
                if try bound(first) != nil { return Share(ports: first + 1..<first + FreePort.share) }
            }
            throw HarnessFailure("every share of the ports \(range) is another process's")
        }

        private init(ports: Range<Int>) { self.ports = ports }

        mutating func next() throws -> Int {
            for _ in ports {
                let port = ports.lowerBound + position
                position = (position + 1) % ports.count
                if let probe = try bound(port) {
                    close(probe)
                    return port
                }
            }
            throw HarnessFailure("no free port in \(ports)")
        }
    }

    /// A socket at the port, nil if it is taken.
    private static func bound(_ port: Int) throws -> Int32? {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { throw HarnessFailure.system("socket") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if isBound { return probe }
        close(probe)
        return nil
    }
}
