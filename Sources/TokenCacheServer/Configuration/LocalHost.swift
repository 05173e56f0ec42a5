internal import Glibc
internal import Host

/// What the loader asks of the host. A value of closures, so that tests bring a host of their own.
struct LocalHost: Sendable {
    /// The uid of a user's name or number.
    var userID: @Sendable (String) -> Result<UInt32, ValueFault>
    /// The gid of a group's name or number.
    var groupID: @Sendable (String) -> Result<UInt32, ValueFault>
    /// True if the folder can be written to, or does not exist and can be made.
    var isUsableFolder: @Sendable (String) -> Bool
    /// A text file of at most so many bytes.
    var readFile: @Sendable (_ path: String, _ maxBytes: Int) -> Result<String, ValueFault>
    /// Whether this process can read the file.
    var isReadable: @Sendable (String) -> Bool
    /// Whether a program is fit to be run.
    var judgeProgram: @Sendable (_ path: String) -> Result<Void, ValueFault>
    /// Whether a file with a secret is fit to be used.
    var judgeSecret: @Sendable (_ path: String, _ isCredential: Bool) -> Result<Void, ValueFault>

    static let real = LocalHost(
        userID: HostNames.userID, groupID: HostNames.groupID, isUsableFolder: HostFiles.isUsableFolder,
        readFile: HostFiles.read, isReadable: { access($0, R_OK) == 0 },
        judgeProgram: HostFiles.judgeProgram,
        judgeSecret: { path, isCredential in PasswordFile.read(path, isCredential: isCredential).map { _ in } })
}

/// Names of users and groups, from whatever the host's nsswitch.conf asks.
enum HostNames {
    /// Fit to be looked up and to stand in a list `name=role,name=role`.
    static func isName(_ text: String) -> Bool {
        (1...256).contains(text.utf8.count)
            && text.unicodeScalars.allSatisfy { scalar in
                !scalar.isTerminalControl && !",=:/ ".unicodeScalars.contains(scalar)
            }
    }

    static func userID(_ name: String) -> Result<UInt32, ValueFault> {
        resolve(name, kind: "user") { size in
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            var buffer = [CChar](repeating: 0, count: size)
            let code = getpwnam_r(name, &entry, &buffer, size, &found)
            return (code, found == nil ? nil : entry.pw_uid)
        }
    }

    static func groupID(_ name: String) -> Result<UInt32, ValueFault> {
        resolve(name, kind: "group") { size in
            var entry = group()
            var found: UnsafeMutablePointer<group>?
            var buffer = [CChar](repeating: 0, count: size)
            let code = getgrnam_r(name, &entry, &buffer, size, &found)
            return (code, found == nil ? nil : entry.gr_gid)
        }
    }

    /// Bytes of a directory entry: a group lists its members in it.
    private static let maxEntryBytes = 1 << 20

    private static func resolve(
        _ name: String, kind: String, _ look: (_ bufferBytes: Int) -> (code: Int32, id: UInt32?)
    ) -> Result<UInt32, ValueFault> {
        if name.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            // The largest number means "no change" to chown(2) and is nobody's.
            guard let number = UInt32(name), number < UInt32.max else {
                return .failure(ValueFault("is not a number of a \(kind)"))
            }
            return .success(number)
        }
        var size = 16 << 10
        var answer = look(size)
        while answer.code == ERANGE, size < maxEntryBytes {
            size *= 4
            answer = look(size)
        }
        if let id = answer.id { return .success(id) }
        // getpwnam(3) lists what the various sources answer for an unknown name.
        if [0, ENOENT, ESRCH, EBADF, EPERM].contains(answer.code) {
            return .failure(ValueFault("is no \(kind) of this host"))
        }
        return .failure(ValueFault("cannot be looked up: \(HostFiles.text(answer.code))"))
    }
}

/// Files and folders.
enum HostFiles {
    static func isUsableFolder(_ path: String) -> Bool {
        var status = stat()
        if stat(path, &status) == 0 {
            return status.st_mode & S_IFMT == S_IFDIR && access(path, W_OK | X_OK) == 0
        }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/") else { return false }
        return access(slash == path.startIndex ? "/" : String(path[..<slash]), W_OK | X_OK) == 0
    }

    static func judgeProgram(_ path: String) -> Result<Void, ValueFault> {
        do throws(FileFault) {
            try FileTrust.judgeProgram(path)
            return .success(())
        } catch {
            switch error {
            case .system(_, let number): return .failure(ValueFault("cannot be run: \(text(number))"))
            case .untrusted(let distrust): return .failure(ValueFault("is not used: \(distrust)"))
            }
        }
    }

    static func read(_ path: String, maxBytes: Int) -> Result<String, ValueFault> {
        readBytes(path, maxBytes: maxBytes).flatMap { bytes in
            String(validating: bytes, as: UTF8.self).map(Result.success) ?? .failure(ValueFault("is not UTF-8 text"))
        }
    }

    static func readBytes(_ path: String, maxBytes: Int) -> Result<[UInt8], ValueFault> {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return .failure(ValueFault("cannot be read: \(text(errno))")) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                return .failure(ValueFault("cannot be read: \(text(errno))"))
            }
            if count == 0 { break }
            bytes += chunk[..<count]
            if bytes.count > maxBytes {
                return .failure(ValueFault("is longer than \(ByteSizeText.text(maxBytes))"))
            }
        }
        return .success(bytes)
    }

    /// `No such file or directory`.
    static func text(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
