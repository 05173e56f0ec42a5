import Foundation

/// The rights that conf/redis-users.acl gives the daemon, given to the user that tests' daemons are: `default`.
enum RedisRights {
    /// What the test itself says to have all rights.
    static let login = ["AUTH", "test", "test"]

    /// Writes a file of users: the shipped rule with this prefix, and the test's own user.
    static func write(into folder: String, prefix: String) throws -> String {
        let shipped = try PackageFolder.text("conf/redis-users.acl")
        guard let rule = shipped.split(separator: "\n").first(where: { $0.hasPrefix("user tokencached ") }) else {
            throw HarnessFailure("conf/redis-users.acl has no user tokencached")
        }
        let own = rule.replacingOccurrences(of: "user tokencached", with: "user default")
            .replacingOccurrences(of: ">CHANGE-ME", with: "nopass").replacingOccurrences(of: "~tc:", with: "~\(prefix)")
            .replacingOccurrences(of: "&tc:", with: "&\(prefix)")
        let path = "\(folder)/users.acl"
        try "\(own)\nuser test on >test ~* &* +@all\n".write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }
}
