import Foundation

@testable import TokenCacheServer

/// A host of the tests' own: two users, two groups, one folder, files from a dictionary.
func testHost(files: [String: String] = [:], folders: Set<String> = ["/run/tokencached", "/var/lib/tokencached"])
    -> LocalHost
{
    let users: [String: UInt32] = ["root": 0, "alice": 1000]
    let groups: [String: UInt32] = ["root": 0, "www-data": 33]
    return LocalHost(
        userID: { name in
            (users[name] ?? UInt32(name)).map { .success($0) } ?? .failure(ValueFault("is no user of this host"))
        },
        groupID: { name in
            (groups[name] ?? UInt32(name)).map { .success($0) } ?? .failure(ValueFault("is no group of this host"))
        },
        isUsableFolder: { folders.contains($0) },
        readFile: { path, _ in
            files[path].map { .success($0) } ?? .failure(ValueFault("cannot be read: No such file or directory"))
        },
        isReadable: { files[$0] != nil },
        judgeProgram: { path in
            files[path] != nil ? .success(()) : .failure(ValueFault("cannot be run: No such file or directory"))
        },
        judgeSecret: { path, _ in
            files[path] != nil ? .success(()) : .failure(ValueFault("cannot be read: No such file or directory"))
        })
}

/// What a load gave, in a form that is easy to expect.
struct Loaded {
    var settings: Settings?
    var warnings: [String] = []
    /// A line each.
    var problems: [String] = []

    init(
        yaml: String? = nil, environment: [String: String] = [:],
        flags: [(key: String, value: String, origin: String)] = [], host: LocalHost? = nil
    ) {
        let path = "tokencached.yaml"
        let host = host ?? testHost(files: yaml.map { [path: $0] } ?? [:])
        let result = SettingsLoader.load(
            file: yaml == nil ? nil : path, environment: environment, overrides: flags, host: host)
        switch result {
        case .success(let settings):
            self.settings = settings
            warnings = settings.warnings
        case .failure(let errors):
            problems = errors.problems.map(\.description)
        }
    }

    init(set key: String, _ value: String) {
        self.init(flags: [(key: key, value: value, origin: "--set")])
    }
}
