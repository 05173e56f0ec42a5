import Glibc

/// A user with the groups that count for file permissions.
struct Account: Equatable {
    let name: String
    let uid: UInt32
    let groups: Set<UInt32>
    /// Whether it is the one this program runs as.
    let isSelf: Bool

    /// More groups than a user can be in on Linux, see setgroups(2).
    private static let maximumGroups: Int32 = 65_536

    /// The account of this process, as the kernel sees it now (not as /etc/group will have it after the next login).
    static func current() -> Account {
        var groups = [gid_t](repeating: 0, count: Int(maximumGroups))
        let count = max(0, Int(getgroups(maximumGroups, &groups)))
        return Account(
            name: userName(geteuid()), uid: geteuid(), groups: Set(groups.prefix(count)).union([getegid()]),
            isSelf: true)
    }

    /// The account of that name after its next login, `nil` if there is none.
    static func named(_ name: String) -> Account? {
        guard let entry = getpwnam(name)?.pointee else { return nil }
        var count = maximumGroups
        var groups = [gid_t](repeating: 0, count: Int(count))
        guard getgrouplist(name, entry.pw_gid, &groups, &count) >= 0 else { return nil }
        return Account(
            name: name, uid: entry.pw_uid, groups: Set(groups.prefix(max(0, Int(count)))), isSelf: false)
    }

    /// The user's name, or its number where it has none.
    static func userName(_ uid: UInt32) -> String {
        getpwuid(uid)?.pointee.pw_name.map { String(cString: $0) } ?? String(uid)
    }

    /// The group's name, or its number where it has none.
    static func groupName(_ gid: UInt32) -> String {
        getgrgid(gid)?.pointee.gr_name.map { String(cString: $0) } ?? String(gid)
    }
}

/// What stat(2) says about a path.
struct FileFacts: Equatable {
    enum Kind { case folder, socket, other }

    enum Lookup {
        case found(FileFacts)
        case missing
        case failed(reason: String)
    }

    let kind: Kind
    /// The lower twelve bits.
    let mode: UInt32
    let owner: UInt32
    let group: UInt32
    let ownerName: String
    let groupName: String

    /// As in `chmod 0660`.
    var octalMode: String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    /// Looks at a path, following links.
    static func read(_ path: String) -> Lookup {
        var status = stat()
        guard stat(path, &status) == 0 else {
            let code = errno
            if code == ENOENT { return .missing }
            return .failed(reason: strerror(code).map { String(cString: $0) } ?? "error \(code)")
        }
        let kind: Kind =
            switch status.st_mode & S_IFMT {
            case S_IFDIR: .folder
            case S_IFSOCK: .socket
            default: .other
            }
        return .found(
            FileFacts(
                kind: kind, mode: status.st_mode & 0o7777, owner: status.st_uid, group: status.st_gid,
                ownerName: Account.userName(status.st_uid), groupName: Account.groupName(status.st_gid)))
    }
}
