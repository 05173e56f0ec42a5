import Foundation

/// The rights that conf/redis-users.acl gives the daemon, given to the user that tests' daemons are: `default`.
public enum RedisRights {
    /// What the test itself says to have all rights.
    static let login = ["AUTH", "test", "test"]
    /// As whom a server copies another one: what a daemon may do is not enough.
    static let ofReplica = ["--masteruser", "test", "--masterauth", "test"]

    /// What stands behind the name in the line of the user `tokencached` of a shipped file.
    /// - Parameters:
    ///   - password: as in an ACL: `>word`, `nopass`.
    ///   - file: below conf.
    public static func rule(
        _ password: String, prefix: String = "tc:", file: String = "redis-users.acl"
    ) throws -> [String] {
        let shipped = try PackageFolder.text("conf/\(file)")
        guard let line = shipped.split(separator: "\n").first(where: { $0.hasPrefix("user tokencached ") }) else {
            throw HarnessFailure("conf/\(file) has no user tokencached")
        }
        return line.split(separator: " ").dropFirst(2).map { word in
            word == ">CHANGE-ME"
                ? password
                : word.replacingOccurrences(of: "~tc:", with: "~\(prefix)")
                    .replacingOccurrences(of: "&tc:", with: "&\(prefix)")
        }
    }

    /// Writes a file of users: the shipped rule with this prefix, and the test's own user.
    static func write(into folder: String, prefix: String, file: String) throws -> String {
        let own = (["user", "default"] + (try rule("nopass", prefix: prefix, file: file))).joined(separator: " ")
        let path = "\(folder)/users.acl"
        try "\(own)\nuser test on >test ~* &* +@all\n".write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }
}
