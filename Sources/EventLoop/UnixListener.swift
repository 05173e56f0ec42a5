internal import CLibevent
internal import Glibc
public import Host

/// Why a Unix-domain socket could not be bound.
public enum UnixListenerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another process answers at this path.
    case inUse(path: String)
    /// Something that is not a socket stands at this path; it is left alone.
    case notASocket(path: String)
    /// The path has more than 107 bytes (`sun_path` holds 108 with its end), or is empty or holds a NUL.
    case invalidPath(path: String)
    /// The socket's folder is another user's, or others may write to it.
    case untrustedFolder(path: String, Distrust)
    /// A system call failed: what was tried, and the error number.
    case system(path: String, operation: String, number: Int32)

    public var description: String {
        switch self {
        case .inUse(let path):
            "\(path): another process is listening on this socket"
        case .notASocket(let path):
            "\(path): exists and is not a socket; it is left as it is"
        case .invalidPath(let path):
            "\(path): a socket path has 1 to \(UnixListener.longestPath) bytes, this one has \(path.utf8.count)"
        case .untrustedFolder(let path, let distrust):
            "\(path): its folder is not used: \(distrust)"
        case .system(let path, let operation, let number):
            "\(path): \(operation): \(describe(errno: number))"
        }
    }
}

/// A listening Unix-domain stream socket at a path.
///
/// A live process's socket is never taken over: it is probed by connecting to it first, and only what refuses a
/// connection is replaced. The new socket is bound under another name in the same folder, gets its owner and mode,
/// starts listening, and is then renamed over the path: nobody ever meets it half made or with a wider mode.
///
/// Source: unix(7).
public struct UnixListener: Sendable {
    /// The longest path in bytes, by `sun_path`.
    public static let longestPath = 107

    /// The listening descriptor: non-blocking, close-on-exec; whoever gets it closes it.
    public let descriptor: Int32
    public let path: String
    /// The file that was made at the path; nil where another process made it.
    let file: (device: UInt64, inode: UInt64)?

    /// Binds and listens at `path`.
    ///
    /// - Parameters:
    ///   - mode: permission bits of the socket (connecting needs write).
    ///   - group: numeric id of the group that shall own it; nil leaves the process's own.
    ///   - backlog: connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
    public static func bind(
        path: String, mode: UInt32 = 0o660, group: UInt32? = nil, backlog: Int32 = 4096
    ) throws(UnixListenerError) -> UnixListener {
        let folder = try holdFolder(of: path)
        defer { _ = close(folder) }
        try probe(path)
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .system(path: path, operation: "socket", number: errno) }
        do throws(UnixListenerError) {
            return try place(descriptor, path: path, folder: folder, mode: mode, group: group, backlog: backlog)
        } catch {
            _ = close(descriptor)
            throw error
        }
    }

    /// Removes the path if it still leads to the socket that was made here, and not to a successor's. Call it before
    /// closing.
    public func removePath() {
        var status = stat()
        guard let file, lstat(path, &status) == 0 else { return }
        guard UInt64(status.st_dev) == file.device, UInt64(status.st_ino) == file.inode else { return }
        _ = unlink(path)
    }

    /// Opens the socket's folder and locks it, so that of two processes started together one sees the other.
    private static func holdFolder(of path: String) throws(UnixListenerError) -> Int32 {
        guard !path.isEmpty, path.utf8.count <= longestPath, !path.utf8.contains(0) else {
            throw .invalidPath(path: path)
        }
        let slash = path.lastIndex(of: "/")
        let name = slash.map { path[path.index(after: $0)...] } ?? path[...]
        guard !name.isEmpty else { throw .notASocket(path: path) }
        let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let folder: Int32
        // The socket is made there under a new name, so a folder like /tmp will do.
        do throws(FileFault) { folder = try FileTrust.openFolder(parent, allowsSticky: true) } catch {
            switch error {
            case .system(_, let number): throw .system(path: path, operation: "open its folder", number: number)
            case .untrusted(let distrust): throw .untrustedFolder(path: path, distrust)
            }
        }
        // Advisory and best effort: whoever may read the folder may hold this lock, and must not be able to stop us.
        for _ in 0..<20 where flock(folder, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK else { break }
            usleep(50_000)
        }
        return folder
    }

    /// Throws unless the path is free or holds a socket that nobody serves any more.
    private static func probe(_ path: String) throws(UnixListenerError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw .system(path: path, operation: "stat", number: errno)
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
        let prober = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard prober >= 0 else { throw .system(path: path, operation: "socket", number: errno) }
        defer { _ = close(prober) }
        guard withUnixAddress(path, { connect(prober, $0, $1) }) != 0 else { throw .inUse(path: path) }
        switch errno {
        case ECONNREFUSED, ENOENT: return
        // A full backlog is a live process too, and so is a socket of another type.
        case EAGAIN, EINPROGRESS, EPROTOTYPE: throw .inUse(path: path)
        default: throw .system(path: path, operation: "probe", number: errno)
        }
    }

    private static func place(
        _ descriptor: Int32, path: String, folder: Int32, mode: UInt32, group: UInt32?, backlog: Int32
    ) throws(UnixListenerError) -> UnixListener {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let temporary = ".\(getpid()).\(UInt32.random(in: 0 ... .max))"
        // Through the open folder: short whatever the folder is called, and the same folder even if it is renamed.
        let address = "/proc/self/fd/\(folder)/\(temporary)"
        guard withUnixAddress(address, { Glibc.bind(descriptor, $0, $1) }) == 0 else {
            throw .system(path: path, operation: "bind", number: errno)
        }
        var status = stat()
        var failed: String?
        if let group, fchownat(folder, temporary, uid_t.max, group, AT_SYMLINK_NOFOLLOW) != 0 {
            failed = "give it to group \(group)"
        } else if fchmodat(folder, temporary, mode_t(mode & 0o777), 0) != 0 {
            failed = "set its mode"
        } else if Glibc.listen(descriptor, backlog) != 0 {
            failed = "listen"
        } else if fstatat(folder, temporary, &status, AT_SYMLINK_NOFOLLOW) != 0 {
            failed = "stat"
        } else if renameat(folder, temporary, folder, name) != 0 {
            failed = "rename it into place"
        }
        if let failed {
            let number = errno
            _ = unlinkat(folder, temporary, 0)
            throw .system(path: path, operation: failed, number: number)
        }
        return UnixListener(
            descriptor: descriptor, path: path, file: (UInt64(status.st_dev), UInt64(status.st_ino)))
    }
}

/// Calls `body` with the socket address of `path`; answers -1 with `ENAMETOOLONG` if it does not fit.
func withUnixAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard !bytes.isEmpty, bytes.count <= UnixListener.longestPath else {
        errno = ENAMETOOLONG
        return -1
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
