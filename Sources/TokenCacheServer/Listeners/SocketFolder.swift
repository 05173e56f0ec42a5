internal import Glibc

/// The folder a socket is made in.
enum SocketFolder {
    /// Makes the last level of it where it is missing (`/run` is empty after a boot). The socket's own errors say
    /// what else is wrong.
    static func makeIfMissing(for path: String) {
        guard let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return }
        _ = mkdir(String(path[..<slash]), 0o755)
    }
}
