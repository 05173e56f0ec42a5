internal import CLinux
internal import Glibc

/// Why a file or folder is not used.
public enum FileFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The system refused what was tried, with this error number.
    case system(operation: String, number: Int32)
    /// Another user could have made it, or could change it.
    case untrusted(Distrust)

    public var description: String {
        switch self {
        case .system(let operation, let number): "\(operation): \(Self.text(number))"
        case .untrusted(let distrust): "\(distrust)"
        }
    }

    /// `No such file or directory`.
    static func text(_ number: Int32) -> String { strerror(number).map { String(cString: $0) } ?? "error \(number)" }
}

/// What about a file or folder cannot be trusted.
public enum Distrust: Equatable, Sendable, CustomStringConvertible {
    /// A link that neither this process's user nor root made: it may lead anywhere.
    case foreignLink(user: UInt32)
    /// It belongs to neither this process's user nor root.
    case foreign(user: UInt32)
    /// It is no file, or no folder, as is expected.
    case wrongKind
    /// The lower twelve bits give others rights that they must not have.
    case exposed(mode: UInt32)

    public var description: String {
        switch self {
        case .foreignLink(let user): "it is a symbolic link of user \(user), who may lead it anywhere"
        case .foreign(let user): "it belongs to user \(user), not to the user of this process or root"
        case .wrongKind: "it is of another kind than is expected there"
        case .exposed(let mode): "its mode 0\(String(mode, radix: 8)) gives rights to others"
        }
    }
}

/// What this process may trust of a file: judged by what was opened, never by a name that may mean another file by then.
///
/// A process that runs as root, or beside other users, must not write where somebody else says: a link that was planted
/// would make it write a file of that user's choice (CWE-59). And a secret that others can read is none.
public enum FileTrust {
    // MARK: What is written

    /// Opens a folder for what this process writes: its own or root's, not to be written by others.
    ///
    /// Its last component may be a link if it is this user's or root's (as systemd makes for `DynamicUser=`).
    /// - Parameters:
    ///   - parent: an open folder that `path` is relative to; nil is the working folder.
    ///   - allowsSticky: also one like `/tmp`, where everybody may make files and nobody can replace another's: for what
    ///     is made there under a new name only.
    public static func openFolder(
        _ path: String, in parent: Int32? = nil, allowsSticky: Bool = false
    ) throws(FileFault) -> Int32 {
        let base = parent ?? AT_FDCWD
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        var descriptor = openat(base, path, flags | O_NOFOLLOW)
        if descriptor < 0, errno == ELOOP || errno == ENOTDIR {
            var link = stat()
            if fstatat(base, path, &link, AT_SYMLINK_NOFOLLOW) == 0, link.st_mode & S_IFMT == S_IFLNK {
                guard isOwn(link) else { throw .untrusted(.foreignLink(user: link.st_uid)) }
                descriptor = openat(base, path, flags)
            } else {
                errno = ENOTDIR
            }
        }
        guard descriptor >= 0 else { throw .system(operation: "open", number: errno) }
        do throws(FileFault) {
            let facts = try facts(of: descriptor)
            guard isOwn(facts) else { throw .untrusted(.foreign(user: facts.st_uid)) }
            try refuseWriters(facts, allowsSticky: allowsSticky)
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Opens a file to write, made with mode 0600 if it is not there: never through a link, only a regular one of this
    /// user or root that others may not write.
    /// - Parameters:
    ///   - folder: an open folder that `path` is relative to; nil is the working folder.
    ///   - flags: `O_APPEND` and the like, besides.
    public static func openToWrite(
        _ path: String, in folder: Int32? = nil, flags: Int32
    ) throws(FileFault) -> Int32 {
        // A pipe without a reader would otherwise hold us up.
        let all = O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags
        let descriptor = openat_with_mode(folder ?? AT_FDCWD, path, all, 0o600)
        guard descriptor >= 0 else {
            if errno == ELOOP { throw .untrusted(.wrongKind) }
            throw .system(operation: "open", number: errno)
        }
        do throws(FileFault) {
            let facts = try facts(of: descriptor)
            guard facts.st_mode & S_IFMT == S_IFREG else { throw .untrusted(.wrongKind) }
            guard isOwn(facts) else { throw .untrusted(.foreign(user: facts.st_uid)) }
            try refuseWriters(facts, allowsSticky: false)
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Throws where others may write to the folder that is open, whoever owns it.
    public static func judgeFolder(_ descriptor: Int32) throws(FileFault) {
        try refuseWriters(try facts(of: descriptor), allowsSticky: false)
    }

    // MARK: Secrets that are read

    /// Judges an open file that holds a secret. Links were followed, as orchestrators hand secrets over by links.
    ///
    /// It must be a regular file of this user or root. Others may have no rights to it, a group only to read it, and only
    /// one that this process is in.
    /// - Parameter byAdministrator: root looks after a daemon that runs as somebody else: owner and group may be that
    ///   user's.
    public static func judgeSecret(_ descriptor: Int32, byAdministrator: Bool = false) throws(FileFault) {
        let facts = try facts(of: descriptor)
        guard facts.st_mode & S_IFMT == S_IFREG else { throw .untrusted(.wrongKind) }
        guard byAdministrator || isOwn(facts) else { throw .untrusted(.foreign(user: facts.st_uid)) }
        let isExposed =
            facts.st_mode & 0o037 != 0 || facts.st_mode & 0o040 != 0 && !byAdministrator && !isMember(of: facts.st_gid)
        guard !isExposed else { throw .untrusted(.exposed(mode: facts.st_mode & 0o7777)) }
    }

    // MARK: Programs that are run

    /// Judges a program: a regular file of this user or root that others may not write and this user may run.
    ///
    /// By its path, as it is run by it: who may change the folders above it is the administrator's business.
    public static func judgeProgram(_ path: String) throws(FileFault) {
        var facts = stat()
        guard stat(path, &facts) == 0, access(path, X_OK) == 0 else { throw .system(operation: "run", number: errno) }
        guard facts.st_mode & S_IFMT == S_IFREG else { throw .untrusted(.wrongKind) }
        guard isOwn(facts) else { throw .untrusted(.foreign(user: facts.st_uid)) }
        try refuseWriters(facts, allowsSticky: false)
    }

    // MARK: Facts

    private static func facts(of descriptor: Int32) throws(FileFault) -> stat {
        var facts = stat()
        guard fstat(descriptor, &facts) == 0 else { throw .system(operation: "stat", number: errno) }
        return facts
    }

    private static func isOwn(_ facts: stat) -> Bool { facts.st_uid == 0 || facts.st_uid == geteuid() }

    private static func refuseWriters(_ facts: stat, allowsSticky: Bool) throws(FileFault) {
        guard facts.st_mode & 0o002 != 0 else { return }
        if allowsSticky, facts.st_mode & S_ISVTX != 0 { return }
        throw .untrusted(.exposed(mode: facts.st_mode & 0o7777))
    }

    private static func isMember(of group: gid_t) -> Bool {
        if group == getegid() { return true }
        let count = getgroups(0, nil)
        guard count > 0 else { return false }
        var groups = [gid_t](repeating: 0, count: Int(count))
        let filled = getgroups(count, &groups)
        return filled > 0 && groups.prefix(Int(filled)).contains(group)
    }
}
