internal import Glibc

/// Where results go. A measurement takes minutes: whether they can be written is looked at before it.
public enum Output {
    /// Throws if a file could not be written here now. Makes and changes nothing.
    public static func check(file path: String) throws(LoadTestError) {
        var facts = stat()
        if stat(path, &facts) == 0 {
            guard facts.st_mode & S_IFMT != S_IFDIR else { throw .file(path: path, number: EISDIR) }
            guard access(path, W_OK) == 0 else { throw .file(path: path, number: errno) }
            return
        }
        guard errno == ENOENT, !path.isEmpty else { throw .file(path: path, number: errno) }
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        guard access(folder, W_OK | X_OK) == 0 else { throw .file(path: path, number: errno) }
    }

    /// Makes a folder, and those it is in, where they are missing. Throws if files could not be made in it.
    public static func prepare(folder: String) throws(LoadTestError) {
        for end in folder.indices.dropFirst() where folder[end] == "/" { mkdir(String(folder[..<end]), 0o755) }
        guard mkdir(folder, 0o755) == 0 || errno == EEXIST else { throw .file(path: folder, number: errno) }
        var facts = stat()
        guard stat(folder, &facts) == 0 else { throw .file(path: folder, number: errno) }
        guard facts.st_mode & S_IFMT == S_IFDIR else { throw .file(path: folder, number: ENOTDIR) }
        guard access(folder, W_OK | X_OK) == 0 else { throw .file(path: folder, number: errno) }
    }

    /// Writes all of a text to a descriptor, standard output as a rule.
    public static func write(_ text: String, to descriptor: Int32 = 1) throws(LoadTestError) {
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, $0.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .output(number: errno) }
            written += count
        }
    }
}
