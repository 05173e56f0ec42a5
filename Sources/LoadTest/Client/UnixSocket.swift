internal import CLinux
internal import Glibc

/// Descriptors of Unix-domain stream sockets.
enum UnixSocket {
    /// The longest path in bytes, by `sun_path`.
    static let longestPath = 107

    /// A path as the kernel takes it; nil if it is empty or too long.
    static func address(_ path: String) -> sockaddr_un? {
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count <= longestPath, !bytes.contains(0) else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }

    /// A connected descriptor, or minus the error number. Waits where the server's backlog is full.
    static func connect(_ address: inout sockaddr_un) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return -errno }
        while true {
            let result = withGeneric(&address) { Glibc.connect(descriptor, $0, $1) }
            if result == 0 { return descriptor }
            let number = errno
            if number == EINTR, Interruption.received == nil { continue }
            close(descriptor)
            return -number
        }
    }

    /// A listening descriptor that does not block, or minus the error number.
    static func listen(_ address: inout sockaddr_un, backlog: Int32) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { return -errno }
        guard withGeneric(&address, { Glibc.bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, backlog) == 0
        else {
            let number = errno
            close(descriptor)
            return -number
        }
        return descriptor
    }

    /// The process that listens at the other end, where the kernel tells.
    static func peer(of descriptor: Int32) -> Int32? {
        var credentials = peer_credentials()
        var size = socklen_t(MemoryLayout<peer_credentials>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0, credentials.pid > 0 else {
            return nil
        }
        return credentials.pid
    }

    /// Room for this many descriptors, as far as it is allowed; answers what there is.
    @discardableResult
    static func allowDescriptors(_ needed: Int) -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return 0 }
        if limit.rlim_cur < UInt(clamping: needed) {
            var wanted = rlimit(
                rlim_cur: UInt(clamping: needed), rlim_max: max(limit.rlim_max, UInt(clamping: needed)))
            if setrlimit(resource, &wanted) != 0 {
                wanted = rlimit(rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max)
                _ = setrlimit(resource, &wanted)
            }
            getrlimit(resource, &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }

    private static func withGeneric(
        _ address: inout sockaddr_un, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
