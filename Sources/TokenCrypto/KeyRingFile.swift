internal import Glibc
internal import Host

/// The file that holds a key ring.
public enum KeyRingFile {
    /// Reads a key ring, through whatever links lead to it.
    /// - Parameters:
    ///   - isCredential: the service manager gave the file (systemd's `LoadCredential=`): it sees to who may read it.
    ///     Otherwise a file is refused that is not this user's or root's, that others have rights to, or a group that
    ///     this process is not in.
    ///   - byAdministrator: root looks after the ring of a daemon that runs as somebody else, who may own it.
    public static func load(
        path: String, isCredential: Bool, byAdministrator: Bool = false
    ) throws(KeyRingError) -> KeyRing {
        // A pipe would otherwise keep the caller waiting for somebody who writes.
        let descriptor = try retrying(path, "open") { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) }
        defer { close(descriptor) }
        let facts = try facts(of: descriptor, path: path)
        guard facts.st_mode & S_IFMT == S_IFREG else { throw .notRegular(path: path) }
        if !isCredential { try judge(descriptor, path, byAdministrator: byAdministrator) }
        // One byte more than allowed tells a file that is too long, whatever it says about itself.
        var length = 0
        let text = try SecretBytes(count: KeyRing.maxEncodedCount + 1) { buffer throws(KeyRingError) in
            while length < buffer.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[length...])
                let count = try retrying(path, "read") { read(descriptor, rest.baseAddress, rest.count) }
                guard count > 0 else { return }
                length += count
            }
        }
        return try text.withUnsafeBytes { view throws(KeyRingError) in
            try KeyRing.parse(UnsafeRawBufferPointer(rebasing: view[..<length]))
        }
    }

    private static func judge(_ descriptor: Int32, _ path: String, byAdministrator: Bool) throws(KeyRingError) {
        do throws(FileFault) {
            try FileTrust.judgeSecret(descriptor, byAdministrator: byAdministrator)
        } catch {
            switch error {
            case .untrusted(.foreign(let user)), .untrusted(.foreignLink(let user)):
                throw .foreign(path: path, user: user)
            case .untrusted(.exposed(let mode)): throw .exposed(path: path, mode: mode)
            case .untrusted(.wrongKind): throw .notRegular(path: path)
            case .system: throw .system(path: path, operation: "stat", reason: "\(error)")
            }
        }
    }

    /// Writes a key ring, whole or not at all: a new file beside it, mode 0600, on disk before it takes the name. It
    /// keeps the owner of the file that it replaces, and its group's right to read. A link in its place is refused.
    /// - Parameter mustBeNew: throw `exists` rather than replace a file.
    public static func write(_ ring: KeyRing, path: String, mustBeNew: Bool) throws(KeyRingError) {
        var encoded = ring.encoded()
        let text = SecretBytes(encoded)
        wipe(&encoded)
        var random = SystemRandom()
        let name: SecretBytes
        do throws(CryptoError) { name = try .random(count: 9, from: &random) } catch { throw .cryptography(error) }
        let suffix = String(decoding: name.withUnsafeBytes { Base64URL.encode($0) }, as: UTF8.self)
        let temporary = "\(path).\(suffix)"
        try judgeFolder(of: path)
        let descriptor = try retrying(path, "create a file beside it") {
            open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        }
        var isLeft = true
        defer {
            close(descriptor)
            if isLeft { unlink(temporary) }
        }
        // The mode does not depend on the caller's umask.
        _ = try retrying(path, "chmod") { fchmod(descriptor, 0o600) }
        var replaced = stat()
        if !mustBeNew, lstat(path, &replaced) == 0 {
            guard replaced.st_mode & S_IFMT == S_IFREG else { throw .notRegular(path: path) }
            // Root changes the ring of a daemon that runs as another user.
            let own = try facts(of: descriptor, path: path)
            if own.st_uid != replaced.st_uid || own.st_gid != replaced.st_gid {
                _ = try retrying(path, "keep its owner") { fchown(descriptor, replaced.st_uid, replaced.st_gid) }
            }
            if replaced.st_mode & 0o040 != 0 { _ = try retrying(path, "chmod") { fchmod(descriptor, 0o640) } }
        }
        var written = 0
        while written < text.count {
            let count = try text.withUnsafeBytes { view throws(KeyRingError) in
                let rest = UnsafeRawBufferPointer(rebasing: view[written...])
                return try retrying(path, "write") { Glibc.write(descriptor, rest.baseAddress, rest.count) }
            }
            written += count
        }
        _ = try retrying(path, "fsync") { fsync(descriptor) }
        if mustBeNew {
            // A link, unlike a rename, replaces nothing.
            _ = try retrying(path, "link") { link(temporary, path) }
        } else {
            _ = try retrying(path, "rename") { rename(temporary, path) }
            isLeft = false
        }
        try syncFolder(of: path)
    }

    private static func openFolder(of path: String) throws(KeyRingError) -> Int32 {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        return try retrying(path, "open its folder") { open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    }

    /// Whoever may write to the folder could put another ring in the place of this one.
    private static func judgeFolder(of path: String) throws(KeyRingError) {
        let descriptor = try openFolder(of: path)
        defer { close(descriptor) }
        do throws(FileFault) { try FileTrust.judgeFolder(descriptor) } catch {
            throw .system(path: path, operation: "its folder is not used", reason: "\(error)")
        }
    }

    /// The name itself must be on disk, too.
    private static func syncFolder(of path: String) throws(KeyRingError) {
        let descriptor = try openFolder(of: path)
        defer { close(descriptor) }
        _ = try retrying(path, "fsync of its folder") { fsync(descriptor) }
    }

    private static func facts(of descriptor: Int32, path: String) throws(KeyRingError) -> stat {
        var facts = stat()
        _ = try retrying(path, "stat") { fstat(descriptor, &facts) }
        return facts
    }

    /// Calls again what a signal interrupted; turns a failure into an error.
    private static func retrying<Value: SignedInteger>(
        _ path: String, _ operation: String, _ call: () -> Value
    ) throws(KeyRingError) -> Value {
        while true {
            let result = call()
            if result >= 0 { return result }
            switch errno {
            case EINTR: continue
            case ENOENT where operation == "open": throw .missing(path: path)
            case EEXIST where operation == "link": throw .exists(path: path)
            case let code:
                let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
                throw .system(path: path, operation: operation, reason: reason)
            }
        }
    }
}
