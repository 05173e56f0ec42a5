import Foundation
import TestSupport
import Testing

@testable import TokenCacheServer

@Suite("Secrets and the address of Redis")
struct ConfigurationSecretTests {
    private static let secret = "hunter2"

    @Test(
        "every documented form is understood",
        arguments: [
            ("embedded", "embedded"), ("unix:///run/redis/redis.sock", "unix:///run/redis/redis.sock"),
            ("unix://app@/run/a@b/r.sock", "unix://app@/run/a@b/r.sock"),
            ("unix://app:hunter2@/run/r.sock", "unix://app:<secret>@/run/r.sock"),
            ("redis://h:1/3", "redis://h:1/3"), ("redis://h", "redis://h:6379"), ("rediss://h:6380", "rediss://h:6380"),
            ("redis://[::1]:7000", "redis://[::1]:7000"), ("redis://app@h:1", "redis://app@h:1"),
            ("redis://app:hunter2@h:1", "redis://app:<secret>@h:1"), ("redis://:hunter2@h:1", "redis://:<secret>@h:1"),
            ("sentinel://u:hunter2@a:1,b/main?tls=true", "sentinel://u:<secret>@a:1,b:26379/main?tls=true"),
            ("cluster://a:1,b:2,[fe80::1%25eth0]:3?tls=false", "cluster://a:1,b:2,[fe80::1%25eth0]:3"),
        ])
    func forms(text: String, shown: String) throws {
        let url = try RedisURL.parse(text).get()
        #expect("\(url)" == shown)
        if !shown.contains("<secret>") { #expect(try RedisURL.parse("\(url)").get() == url) }
    }

    @Test("passwords are taken out of their escapes, and are found even with unescaped separators")
    func passwords() throws {
        let passwords = ["a%40b%3a%2F%25": "a@b:/%", "p@ss": "p@ss", "x:y/z?q": "x:y/z?q", "%C3%A9": "é"]
        for (written, meant) in passwords {
            let url = try RedisURL.parse("rediss://app:\(written)@h:1/2").get()
            #expect(url.user == "app")
            #expect(url.password?.reveal() == meant)
            #expect(url.database == 2 && url.tls)
            let local = try RedisURL.parse("unix://app:\(written)@/run/r.sock").get()
            #expect(local.user == "app" && local.password?.reveal() == meant)
            #expect(local.target == .unix(path: "/run/r.sock"))
        }
    }

    @Test("where a separator in a password may be what is wrong, that is said", arguments: ["pa:ss@w:x/1", "p@:0"])
    func separators(password: String) {
        let problems = Loaded(set: "redis.url", "redis://user:\(password)").problems
        #expect(problems.count == 1 && problems[0].contains("must be percent-encoded (@ is %40)"), "\(problems)")
        #expect(!Loaded(set: "redis.url", "redis://h:x").problems.joined().contains("percent"))
    }

    @Test(
        "anything else is refused",
        arguments: [
            "", "embeded", "http://h", "unix://run/x", "unix:///" + String(repeating: "a", count: 107), "redis://",
            "redis://h:0",
            "redis://h:65536", "redis://h:+1", "redis://h:1/x", "redis://h:1/10000", "redis://h:1?tls=true",
            "redis://a,b",
            "redis://[::1", "redis://[::1]x", "redis://h h", "redis://%zz@h", "redis://%4@h", "redis://%+1@h",
            "redis://%ff@h",
            "sentinel://a:1", "sentinel://a:1/", "sentinel://a:1/m/x", "cluster://a:1/0", "cluster://a:1?tls=yes",
            "cluster://,",
            "redis://h:1\n", "redis://é", "cluster://" + String(repeating: "a,", count: 64) + "a",
        ])
    func refused(text: String) {
        #expect(throws: ValueFault.self) { try RedisURL.parse(text).get() }
    }

    @Test("S7 a password is in no error, warning, description or dump, wherever and however wrongly it is written")
    func nowhere() {
        let password = Self.secret
        let values = [
            "redis://u:\(password)@h", "redis://:\(password)@h:x", "redis://\(password)", "rediss:/\(password)@h",
            "sentinel://u:\(password)@h", "\(password)", "http://u:\(password)@h", "redis://%zz\(password)@h",
        ]
        var said: [String] = []
        for value in values {
            let loads = [
                Loaded(set: "redis.url", value), Loaded(set: "redis.urll", value),
                Loaded(set: "redis.password-file", password),
                Loaded(set: "redis.url=\(value)", ""), Loaded(environment: ["TOKENCACHED_REDIS_URL": value]),
                Loaded(environment: ["TOKENCACHED_REDIS_ULR": value]), Loaded(yaml: "redis:\n  url: \(value)\n"),
                Loaded(yaml: "redis:\n  urk: \(value)\n"), Loaded(yaml: "redis.url: \(value)\n\t- x"),
                Loaded(yaml: "redis: \(value)\n"), Loaded(yaml: "redis:\n  url: [\(value)\n"),
                Loaded(yaml: "redis:\n  \(value): x\n"), Loaded(yaml: "redis:\n  url: {\(value): 1}"),
                Loaded(yaml: "redis:\n  url: \(value)\n  url: \(value)\n"), Loaded(yaml: "redis.url \(value)\n"),
            ]
            for load in loads {
                said += load.problems + load.warnings
                if let settings = load.settings {
                    var dumped = ""
                    dump(settings, to: &dumped)
                    said += [dumped, "\(settings)", String(reflecting: settings)]
                    said += settings.describe(matching: "*").map(\.value)
                }
            }
        }
        // What stands in the place of a host or of a key's name is taken for one, and is shown.
        let leaks = said.filter {
            $0.contains(password) && !$0.contains("//\(password)") && !$0.contains("redis.\(password):")
        }
        #expect(leaks == [])
        #expect(said.count > 60)
    }

    @Test("a command for the password goes with no file, and names a program")
    func command() {
        let host = testHost(files: ["/etc/pw": "x", "/bin/pw": "x"])
        let url = (key: "redis.url", value: "redis://u@h", origin: "--redis")
        let file = (key: "redis.password-file", value: "/etc/pw", origin: "--set")
        let command = (key: "redis.password-command", value: "/bin/pw  a b", origin: "--set")
        let loaded = Loaded(flags: [url, command], host: host)
        #expect(loaded.problems.isEmpty && loaded.warnings.isEmpty)
        #expect(PasswordCommand.words(of: loaded.settings?.redis.passwordCommand ?? "") == ["/bin/pw", "a", "b"])
        #expect(
            Loaded(flags: [url, command, file], host: host).problems == [
                "--set: redis.password-command: cannot go with redis.password-file: both give the password; leave one of them out"
            ])
        #expect(
            Loaded(flags: [url, command]).problems == [
                "--set: redis.password-command: \"/bin/pw\" cannot be run: No such file or directory"
            ])
        for wrong in ["pw", "/bin/pw\nx", "/" + String(repeating: "x", count: 1024)] {
            let problems = Loaded(set: "redis.password-command", wrong).problems
            #expect(problems.count == 1 && !problems[0].contains(wrong), "what was given may be a password")
        }
        let lifetime = (key: "redis.password-lifetime", value: "15m", origin: "--set")
        #expect(Loaded(flags: [url, command, lifetime], host: host).warnings.isEmpty)
        #expect(Loaded(flags: [url, lifetime], host: host).warnings.count == 1)
        #expect(Loaded(flags: [command], host: host).warnings.count == 1, "nobody asks the embedded one")
    }

    @Test("a program is not run that is somebody else's, that others may change, or that is none")
    func program() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("give")
        func judged(_ mode: mode_t) -> String? {
            chmod(path, mode)
            if case .failure(let fault) = HostFiles.judgeProgram(path) { return fault.text }
            return nil
        }
        #expect(judged(0o700) == "cannot be run: No such file or directory")
        try "#!/bin/sh\n".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(judged(0o755) == nil && judged(0o500) == nil)
        #expect(judged(0o600) == "cannot be run: Permission denied")
        #expect(judged(0o702)?.hasPrefix("is not used: ") == true)
        if getuid() == 0 {
            chown(path, 1000, 1000)
            #expect(judged(0o755)?.hasPrefix("is not used: it belongs to user 1000") == true)
        }
        guard case .failure(let fault) = HostFiles.judgeProgram(folder.path) else { Issue.record("a folder"); return }
        #expect(fault.text.hasPrefix("is not used: "))
    }

    @Test("a password on the command line is warned of; so are a second one and a file that is not used")
    func warnings() {
        let host = testHost(files: ["/etc/pw": "x"])
        let url = (key: "redis.url", value: "redis://:p@h", origin: "--redis")
        let file = (key: "redis.password-file", value: "/etc/pw", origin: "--set")
        #expect(Loaded(flags: [url], host: host).warnings.count == 1)
        #expect(Loaded(flags: [url, file], host: host).warnings.count == 2)
        #expect(Loaded(flags: [file], host: host).warnings.count == 1)
        #expect(Loaded(environment: ["TOKENCACHED_REDIS_URL": url.value], host: host).warnings == [])
        #expect(
            Loaded(flags: [url, file]).problems == [
                "--set: redis.password-file: \"/etc/pw\" cannot be read: No such file or directory"
            ])
    }
}
