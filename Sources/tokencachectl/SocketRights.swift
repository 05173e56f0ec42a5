/// Who may connect to a socket: the kernel's own arithmetic on owner, group and mode.
///
/// Connecting takes write permission on the socket and search permission on every folder above it, see unix(7).
/// Access control lists and security modules may say otherwise; they are not read here.
enum SocketRights {
    /// What is in the way.
    enum Obstacle: Equatable {
        case missing(path: String)
        case notAFolder(path: String)
        case mayNotSearch(folder: String, facts: FileFacts)
        case notASocket(path: String)
        case mayNotConnect(path: String, facts: FileFacts)
        case cannotLook(path: String, reason: String)
    }

    /// The first obstacle on the way from the root to the socket, `nil` if there is none.
    static func firstObstacle(
        to path: String, for account: Account, facts: (String) -> FileFacts.Lookup
    ) -> Obstacle? {
        for folder in folders(above: path) {
            switch facts(folder) {
            case .missing: return .missing(path: folder)
            case .failed(let reason): return .cannotLook(path: folder, reason: reason)
            case .found(let found):
                guard found.kind == .folder else { return .notAFolder(path: folder) }
                guard found.allows(account, bit: 0o1) else { return .mayNotSearch(folder: folder, facts: found) }
            }
        }
        switch facts(path) {
        case .missing: return .missing(path: path)
        case .failed(let reason): return .cannotLook(path: path, reason: reason)
        case .found(let found):
            guard found.kind == .socket else { return .notASocket(path: path) }
            return found.allows(account, bit: 0o2) ? nil : .mayNotConnect(path: path, facts: found)
        }
    }

    /// `/`, `/run`, `/run/tokencached` for `/run/tokencached/tokencached.sock`; `.` first for a relative path.
    static func folders(above path: String) -> [String] {
        var folders = [path.hasPrefix("/") ? "/" : "."]
        var current = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/").dropLast() {
            current += "/\(part)"
            folders.append(current)
        }
        return folders
    }

    /// Folders above the socket in which others than root and `owner` may replace it.
    static func openFolders(
        above path: String, owner: UInt32, facts: (String) -> FileFacts.Lookup
    ) -> [String] {
        folders(above: path).filter { folder in
            guard case .found(let found) = facts(folder) else { return false }
            let isOpen = found.mode & 0o002 != 0 && found.mode & 0o1000 == 0
            return isOpen || (found.owner != 0 && found.owner != owner)
        }
    }
}

extension SocketRights.Obstacle {
    /// What is wrong, for the account it stands in the way of.
    func problem(for account: Account) -> String {
        switch self {
        case .missing(let path): "\(Layout.printable(path)) does not exist"
        case .notAFolder(let path): "\(Layout.printable(path)) is not a folder"
        case .notASocket(let path): "\(Layout.printable(path)) is not a socket"
        case .cannotLook(let path, let reason): "cannot look at \(Layout.printable(path)): \(reason)"
        case .mayNotSearch(let folder, let facts):
            "permission denied: " + facts.problem(for: account, bit: 0o1, action: "enter \(Layout.printable(folder))")
        case .mayNotConnect(_, let facts):
            "permission denied: " + facts.problem(for: account, bit: 0o2, action: "open the socket")
        }
    }

    /// What to do about it.
    func remedy(for account: Account) -> String {
        switch self {
        case .missing: "is the daemon running (\(ServiceManager.current.status)), and is --socket right?"
        case .notAFolder, .notASocket: "is --socket right?"
        case .cannotLook: "run this as root"
        case .mayNotSearch(let folder, let facts):
            facts.remedy(for: account, bit: 0o1, otherwise: facts.openFolder(Layout.printable(folder), to: account))
        case .mayNotConnect(_, let facts):
            facts.remedy(
                for: account, bit: 0o2, otherwise: "set socket.mode to 0660 and socket.group to a group of its callers")
        }
    }
}

extension FileFacts {
    /// The kernel's rule: the first class that fits decides, even if a later one would allow; root may.
    func allows(_ account: Account, bit: UInt32) -> Bool {
        if account.uid == 0 { return true }
        if account.uid == owner { return mode & (bit << 6) != 0 }
        if account.groups.contains(group) { return mode & (bit << 3) != 0 }
        return mode & bit != 0
    }

    /// Whether all that is missing is the membership in the file's group.
    private func lacksGroup(_ account: Account, bit: UInt32) -> Bool {
        mode & (bit << 3) != 0 && account.uid != owner && !account.groups.contains(group)
    }

    fileprivate func problem(for account: Account, bit: UInt32, action: String) -> String {
        let who = account.isSelf ? "your user" : "user \(Layout.printable(account.name))"
        return lacksGroup(account, bit: bit)
            ? "\(who) is not in group \(groupName)"
            : "\(who) may not \(action) (mode \(octalMode), \(ownerName):\(groupName))"
    }

    /// How a folder is opened to an account whose own group it must have: a mode alone is of no use to those who are
    /// not in its group.
    fileprivate func openFolder(_ path: String, to account: Account) -> String {
        let needsMode = mode & 0o010 == 0
        let needsGroup = group == 0 || !account.groups.contains(group)
        let names = account.groups.subtracting([0]).map(Account.groupName).sorted().map { Layout.printable($0) }
        if account.uid == owner { return "`chmod u+x \(path)`" }
        var commands: [String] = []
        if needsGroup { commands.append("chgrp \(names.count == 1 ? names[0] : "GROUP") \(path)") }
        if needsMode { commands.append("chmod g+x \(path)") }
        let groups = needsGroup && names.count > 1 ? ", GROUP being one of \(names.joined(separator: ", "))" : ""
        return "`\(commands.joined(separator: " && "))`\(groups)"
    }

    fileprivate func remedy(for account: Account, bit: UInt32, otherwise: String) -> String {
        lacksGroup(account, bit: bit) && group != 0
            ? "`adduser \(Layout.printable(account.name)) \(groupName)`, then log in again or restart the service"
            : otherwise
    }
}
