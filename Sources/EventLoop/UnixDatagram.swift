internal import Glibc

/// One message to a datagram socket that somebody else listens on. Source: unix(7).
public enum UnixDatagram {
    /// How long a receiver whose queue is full is waited for.
    public static let sendLimit: Duration = .milliseconds(250)

    /// Sends `text` to `address`: an absolute path, or a name in the abstract namespace after an `@`.
    ///
    /// Any thread. Blocks only where the receiver's queue is full, and then no longer than ``sendLimit``.
    /// - Returns: whether the kernel took it.
    public static func send(_ text: String, to address: String) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { _ = close(descriptor) }
        var limit = sendLimit.timeval
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let bytes = Array(text.utf8)
        return withNamedAddress(address) { address, length in
            sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), address, length) == bytes.count
        }
    }

    /// False without a call of `body` where the address has a form that does not exist.
    private static func withNamedAddress(
        _ text: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Bool
    ) -> Bool {
        var name = Array(text.utf8)
        guard name.count > 1, name.count <= UnixListener.longestPath, !name.contains(0) else { return false }
        switch name[0] {
        case UInt8(ascii: "/"): name.append(0)
        // An abstract name begins with a zero and has no end but the address's length.
        case UInt8(ascii: "@"): name[0] = 0
        default: return false
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = (MemoryLayout.offset(of: \sockaddr_un.sun_path) ?? 2) + name.count
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
        }
    }
}
