import Foundation
import Host
import Logging
import SeededRandom
import TestSupport
import Testing
import TokenCache
import Tokens
import WireProtocol

@testable import TokenCacheServer

@Suite("The table of keys, and what must agree with it")
struct ConfigurationTableTests {
    @Test("what a policy is when nobody says is what the table says")
    func policies() {
        let defaults = Settings()
        #expect(TokenPolicy(defaults) == TokenPolicy())
        #expect(StatelessPolicy(defaults) == StatelessPolicy())
        #expect(defaults.limits.maxBulk == ProtocolLimits().maxBulk)
    }

    @Test("names are unique, also as variables, and every default is in its own range")
    func sound() {
        #expect(Set(SettingRow.all.map(\.name)).count == SettingRow.all.count)
        #expect(Set(SettingRow.all.map(\.environmentName)).count == SettingRow.all.count)
        for key in SettingRow.all where !key.isMap {
            #expect(key.fault(in: key.defaultText) == nil, "\(key.name)")
            #expect(!SettingRow.all.contains { $0.name.hasPrefix(key.name + ".") }, "\(key.name) is key and section")
        }
    }

    @Test("a key is found by its place as by its name, in its own type, and nothing in the rows is without one")
    func places() throws {
        var settings = Settings()
        #expect(settings.limits.maxClients == 10_000)
        settings.limits.maxClients = 7
        settings.stateDirectory = "/x"
        settings.access.users = ["alice": .admin]
        #expect(settings.limits.maxClients == 7 && settings.limits.maxBulk == 128 << 10)
        #expect(settings.describe(matching: "limits.max-clients").map(\.value) == ["7"])
        #expect(settings.describe(matching: "state-dir").map(\.value) == ["/x"])
        #expect(settings.describe(matching: "access.users").map(\.value) == ["alice=admin"])
        #expect(settings != Settings())
        settings.limits.maxClients = 10_000
        settings.stateDirectory = ""
        settings.access.users = [:]
        #expect(settings == Settings())
    }

    @Test("conf/tokencached.yaml as shipped changes nothing")
    func manualIsInert() throws {
        #expect(Loaded(yaml: try PackageFolder.text("conf/tokencached.yaml")).settings == Loaded().settings)
    }

    @Test("conf/tokencached.yaml with every key uncommented loads, gives every key, and equals the defaults in code")
    func manualAgrees() throws {
        let lines = try PackageFolder.text("conf/tokencached.yaml").split(
            separator: "\n", omittingEmptySubsequences: false)
        let uncommented = lines.map { line in Self.commentedKey(line) ?? String(line) }.joined(separator: "\n")
        let loaded = Loaded(yaml: uncommented)
        #expect(loaded.problems == [])
        #expect(loaded.settings == Loaded().settings)
        let keys = YAMLSource.read(uncommented, path: "conf").entries.map(\.key.name)
        #expect(keys == SettingRow.all.filter { !$0.isMap }.map(\.name))
        for key in SettingRow.all where key.isMap {
            #expect(uncommented.contains("  \(key.name.split(separator: ".").last ?? ""): {}"))
        }
    }

    @Test("conf/tokencached.yaml says meaning, type, range, default and effect of each key above it")
    func manualSays() throws {
        var block = ""
        var section = ""
        var said: [String] = []
        for line in try PackageFolder.text("conf/tokencached.yaml").split(
            separator: "\n", omittingEmptySubsequences: false)
        {
            let text = line.drop { $0 == " " }
            if let key = Self.commentedKey(line) {
                let leaf = key.drop { $0 == " " }.prefix { $0 != ":" }
                let name = line.first == " " ? "\(section).\(leaf)" : String(leaf)
                let row = try #require(SettingRow.byName[name])
                #expect(block.contains(row.summary), "\(name): \(row.summary)")
                #expect(block.hasPrefix(Self.sentence(row.meaning)), "\(name)")
                said.append(name)
                block = ""
            } else if text.hasPrefix("#") {
                block += (block.isEmpty ? "" : " ") + text.drop { $0 == "#" || $0 == " " }
            } else {
                if text.hasSuffix(":") { section = String(text.dropLast()) }
                block = ""
            }
        }
        #expect(said == SettingRow.all.map(\.name))
    }

    @Test("tokencached.yaml(5) says the same")
    func manualPage() throws {
        let page = try PackageFolder.text("docs/man/tokencached.yaml.5")
        let parts = page.components(separatedBy: "\n.It Ic ").dropFirst()
        let texts = parts.map { $0.replacing("\n.Pp\n", with: " ").replacing("\n", with: " ") }
        #expect(texts.map { String($0.prefix { $0 != " " }) } == SettingRow.all.map(\.name))
        for (key, text) in zip(SettingRow.all, texts) {
            #expect(text.contains(key.summary), "\(key.name): \(key.summary)")
            #expect(text.contains(Self.sentence(key.meaning)), "\(key.name)")
        }
    }

    /// `  idle: 2h` for `  #idle: 2h`: a key stands directly after its #, prose after a space.
    private static func commentedKey(_ line: some StringProtocol) -> String? {
        let indent = line.prefix { $0 == " " }
        let rest = line.dropFirst(indent.count)
        guard rest.first == "#", let next = rest.dropFirst().first, next.isLetter else { return nil }
        return String(indent) + String(rest.dropFirst())
    }

    private static func sentence(_ meaning: String) -> String {
        meaning.prefix(1).uppercased() + meaning.dropFirst() + "."
    }
}

@Suite("CONFIG GET and reload")
struct ConfigurationDescriptionTests {
    @Test("every key is described, defaults included, and the description loads as the same settings")
    func roundTrip() throws {
        let yaml =
            "session: {idle: 90s}\naccess: {users: {alice: validator, 7: none}}\nredis: {url: \"redis://h:1/2\"}\n"
        let settings = try #require(Loaded(yaml: yaml).settings)
        let described = settings.describe(matching: "*")
        #expect(described.map(\.key) == SettingRow.all.map(\.name))
        let again = Loaded(flags: described.map { (key: $0.key, value: $0.value, origin: "--set") })
        #expect(again.settings == settings)
        #expect(settings.describe(matching: "session.idle").map(\.value) == ["90s"])
        #expect(settings.describe(matching: "ACCESS.USERS").map(\.value) == ["7=none,alice=validator"])
    }

    @Test("a reload takes what may change and names what needs a restart")
    func reload() throws {
        let old = try #require(Loaded(yaml: "redis: {url: \"redis://:a@h\"}").settings)
        let yaml =
            "redis: {url: \"redis://:b@h\"}\nsession: {idle: 5m}\nsocket: {group: www-data}\nlog: {level: debug}\n"
        let new = try #require(Loaded(yaml: yaml).settings)
        let (settings, needRestart) = old.reloaded(with: new)
        #expect(needRestart == ["socket.group", "redis.url"])
        #expect(settings.session.idle == .seconds(300))
        #expect(settings.log.level == .debug)
        #expect(settings.redis.url == old.redis.url)
        #expect(settings.socket.group == old.socket.group)
        #expect(settings.resolved.socketGroup == old.resolved.socketGroup)
    }
}

@Suite("Hostile configuration files")
struct ConfigurationFuzzTests {
    @Test("no YAML crashes the loader, and what is accepted is in range")
    func yaml() throws {
        var random = SeededRandom(seed: 5)
        let manual = Array(try PackageFolder.text("conf/tokencached.yaml").replacing("  #", with: "  ").utf8)
        let pieces =
            SettingRow.all.map(\.name) + [
                "session:", "\n", "\n  ", "\n- ", ": ", "{", "}", "[", "]", "&a ", "*a", "<<: ", "? ", "!!int ", "| ",
                "> ", "\"", "'",
                "\t", "#", "%YAML 1.1\n", "---\n", "...\n", "\0", "\u{85}", "\u{feff}", "🙂", "idle", "users", "alice",
                "worker", "2h", "64KiB",
                "\\x", "\\uD800", "~", ",",
            ]
        let values = [
            "0", "1", "-1", "7", "99999999999", "1ms", "2h", "30m", "400d", "64KiB", "1GiB", "true", "off", "log",
        ]
        var accepted = 0
        for round in 0..<3_000 {
            let text: String
            if round % 3 == 0 {
                var bytes = Array(manual.shuffledWindow(using: &random))
                for _ in 0..<8 where !bytes.isEmpty {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                text = String(decoding: bytes, as: UTF8.self)
            } else if round % 3 == 1, let row = SettingRow.all.randomElement(using: &random) {
                // A key that there is, with a value that some key takes: what is accepted must be in its range.
                let lines = row.name.split(separator: ".").enumerated().map { depth, name in
                    String(repeating: "  ", count: depth) + "\(name):"
                }
                text = lines.joined(separator: "\n") + " \(values.randomElement(using: &random) ?? "")\n"
            } else {
                text = (0..<Int.random(in: 1...25, using: &random)).map { _ in
                    pieces.randomElement(using: &random) ?? ""
                }.joined()
            }
            let loaded = Loaded(yaml: text)
            if let settings = loaded.settings {
                accepted += 1
                for (key, value) in settings.describe(matching: "*") where SettingRow.byName[key]?.isMap == false {
                    #expect(SettingRow.byName[key]?.fault(in: value) == nil, "\(key) \(value)")
                }
            } else {
                #expect(!loaded.problems.isEmpty)
                #expect(loaded.problems.joined().unicodeScalars.allSatisfy { !$0.isTerminalControl })
            }
        }
        #expect((100..<2_900).contains(accepted), "both kinds are met: \(accepted) were accepted")
    }

    private static let tooDeep = "tokencached.yaml:1: sections are nested deeper than 16 levels"
    private static let alias = "tokencached.yaml:2: an alias (*) stands for one value: write a section out"

    @Test(
        "depth and aliases cannot exhaust the loader",
        arguments: [
            (String(repeating: "[", count: 200_000), tooDeep), (String(repeating: "{a: ", count: 50_000), tooDeep),
            (String(repeating: "- ", count: 100_000), tooDeep), (String(repeating: "? ", count: 100_000), tooDeep),
            ("a: &a [x]\n" + (0..<40).map { "b\($0): &b\($0) [*a, *a]\n" }.joined() + "session: *a\n", alias),
            ("session: &s {idle: 1m}\naccess: *s\nrotation: {after: *s}\n", alias),
        ])
    func bombs(text: String, problem: String) {
        #expect(Loaded(yaml: text).problems == [problem])
    }
}

extension [UInt8] {
    /// A random stretch of at most 2 KiB.
    fileprivate func shuffledWindow(using random: inout SeededRandom) -> ArraySlice<UInt8> {
        let start = Int.random(in: 0..<count, using: &random)
        return self[start..<Swift.min(count, start + Int.random(in: 1...2_048, using: &random))]
    }
}
