import Logging
import Testing
import Tokens
import WireProtocol

@testable import TokenCacheServer

@Suite("Loading the configuration")
struct ConfigurationLoadTests {
    @Test("nothing given: the defaults of the design")
    func defaults() throws {
        let loaded = Loaded()
        let settings = try #require(loaded.settings)
        #expect(loaded.warnings == [])
        #expect(settings.socket.path == "/run/tokencached/tokencached.sock")
        #expect(settings.socket.mode == 0o660)
        #expect(settings.redis.url == .embedded)
        #expect(settings.redis.timeout == .milliseconds(250))
        #expect(settings.redis.prefix == "tc:")
        #expect(settings.stateDirectory == "/var/lib/tokencached")
        #expect(settings.rotation.after == .seconds(900))
        #expect(settings.rotation.overlap == .seconds(120))
        #expect(settings.rotation.onReplay == .reject)
        #expect(settings.rotation.replayGrace == .seconds(600))
        #expect(settings.session.idle == .seconds(7_200))
        #expect(settings.session.absolute == .seconds(86_400))
        #expect(settings.session.maxAbsolute == .seconds(400 * 86_400))
        #expect(settings.session.touchInterval == .seconds(60))
        #expect(settings.session.tombstone == .seconds(600))
        #expect(settings.session.maxData == 65_536)
        #expect(settings.limits.maxClients == 10_000)
        #expect(settings.limits.maxBulk == 131_072)
        #expect(settings.limits.requestTimeout == .seconds(10))
        #expect(settings.limits.idleTimeout == .zero)
        #expect(settings.limits.maxOutput == 1_048_576)
        #expect(settings.drainTimeout == .seconds(5))
        #expect(settings.log.level == .info)
        #expect(settings.access.defaultRole == .worker)
    }

    @Test("flags win over the environment, which wins over the file")
    func layers() throws {
        let yaml = "session: {idle: 1m, absolute: 10m, tombstone: 3m}\n"
        let environment = ["TOKENCACHED_SESSION_IDLE": "2m", "TOKENCACHED_SESSION_ABSOLUTE": "20m", "PATH": "/bin"]
        let flags = [
            (key: "session.idle", value: "9m", origin: "--set"), (key: "session.idle", value: "4m", origin: "--set"),
        ]
        let settings = try #require(Loaded(yaml: yaml, environment: environment, flags: flags).settings)
        #expect(settings.session.idle == .seconds(240))
        #expect(settings.session.absolute == .seconds(1_200))
        #expect(settings.session.tombstone == .seconds(180))
    }

    @Test(
        "nested, flow and dotted YAML mean the same",
        arguments: [
            "session:\n  idle: 90\nlog:\n  level: debug\n", "{session: {idle: 90s}, log: {level: debug}}",
            "session.idle: 1.5m\nlog.level: \"debug\"\n",
        ])
    func forms(yaml: String) throws {
        let settings = try #require(Loaded(yaml: yaml).settings)
        #expect(settings.session.idle == .seconds(90))
        #expect(settings.log.level == .debug)
    }

    @Test(
        "an empty file and empty sections change nothing",
        arguments: ["", "# nothing\n", "---\n", "session:\nlog: ~\n"])
    func empty(yaml: String) {
        #expect(Loaded(yaml: yaml).settings == Loaded().settings)
    }

    @Test("a wrong value is refused with file, line, key, value and range")
    func wrongValue() {
        let loaded = Loaded(yaml: "# one\nsession:\n  idle: 2x\n")
        #expect(
            loaded.problems == [
                "tokencached.yaml:3: session.idle: \"2x\" is not a duration: the units are ms, s, m, h and d; "
                    + "allowed: 1ms to 400d, e.g. 90s, 15m, 2h"
            ])
    }

    @Test("every problem of every source is found in one pass, even where a stronger source gives a good value")
    func onePass() {
        let loaded = Loaded(
            yaml: "session:\n  idle: 401d\n  idel: 5\nlimits: 3\n",
            environment: [
                "TOKENCACHED_SESSION_IDLE": "1m", "TOKENCACHED_LIMITS_MAX_CLIENT": "3", "TOKENCACHED_LOG_LEVEL": "inf",
            ],
            flags: [
                (key: "drain-timeout", value: "11m", origin: "--set"),
                (key: "socket.group", value: "nosuch", origin: "--set"),
            ])
        #expect(
            loaded.problems == [
                "tokencached.yaml:2: session.idle: \"401d\" is out of range; allowed: 1ms to 400d, e.g. 90s, 15m, 2h",
                "tokencached.yaml:3: session.idel: unknown key; did you mean session.idle?",
                "tokencached.yaml:4: limits: is a section: its keys stand below it, indented",
                "TOKENCACHED_LIMITS_MAX_CLIENT: unknown variable; did you mean TOKENCACHED_LIMITS_MAX_CLIENTS?",
                "TOKENCACHED_LOG_LEVEL: log.level: \"inf\" is none of the choices; did you mean info?; "
                    + "allowed: trace, debug, info, notice, warning, error, critical",
                "--set: drain-timeout: \"11m\" is out of range; allowed: 0 to 10m, e.g. 90s, 15m, 2h",
                "--set: socket.group: \"nosuch\" is no group of this host",
            ])
    }

    @Test(
        "both ends of every duration and size range are taken, and nothing beyond",
        arguments: [
            ("redis.timeout", ["10ms", "10s"], ["9ms", "10001ms"]), ("session.idle", ["1ms", "400d"], ["0", "401d"]),
            ("rotation.overlap", ["0", "1h"], ["61m"]), ("limits.max-bulk", ["4KiB", "16MiB"], ["4095", "16777217"]),
            ("limits.max-clients", ["1", "1000000"], ["0", "1000001", "1.5", "-1", "1e3"]),
            ("session.max-data", ["0", "1MiB"], ["1048577"]),
            ("socket.mode", ["0000", "0777", "660", "0o600"], ["0778", "7777", "66"]),
            ("redis.prefix", ["a", "tc:shop:"], ["", "a b", "{a}", "é", String(repeating: "a", count: 65)]),
            ("redis.executable", ["valkey-server", "/opt/redis-server"], ["", "bin/redis-server"]),
            ("socket.path", ["/tmp/s"], ["s", "/" + String(repeating: "a", count: 107)]),
        ])
    func ranges(key: String, good: [String], bad: [String]) {
        for value in good { #expect(Loaded(set: key, value).problems == [], "\(value)") }
        for value in bad { #expect(Loaded(set: key, value).problems.count == 1, "\(value)") }
    }

    @Test("a key given twice is refused, in one form or two")
    func duplicates() {
        let same = Loaded(yaml: "session:\n  idle: 1m\n  idle: 2m\n")
        #expect(same.problems == ["tokencached.yaml:3: session.idle: given twice, first in line 2"])
        let mixed = Loaded(yaml: "session:\n  idle: 1m\nsession.idle: 2m\n")
        #expect(mixed.problems == ["tokencached.yaml:3: session.idle: given twice, first in line 2"])
    }

    @Test(
        "what is no mapping of known keys to single values is refused with its line",
        arguments: [
            ("just text", "tokencached.yaml:1: the file must be a mapping: key: value"),
            ("- a", "tokencached.yaml:1: the file must be a mapping: key: value"),
            ("session:\n  idle:\n", "tokencached.yaml:2: session.idle: has no value; allowed: 1ms to 400d"),
            (
                "session:\n  idle: [1]\n",
                "tokencached.yaml:2: session.idle: takes one value, not a list; allowed: 1ms to 400d"
            ),
            ("session: [idle]\n", "tokencached.yaml:1: session: is a section: its keys stand below it, indented"),
            ("[a]: b\n", "tokencached.yaml:1: a key must be a plain text"),
            ("htttp: {listen: unix}\n", "tokencached.yaml:1: htttp: unknown key; did you mean http?"),
        ])
    func shapes(yaml: String, problem: String) {
        #expect(Loaded(yaml: yaml).problems == [problem])
    }

    @Test(
        "a mistyped section gets a hint, too",
        arguments: [("sesion:\n  idle: 2h\n", "session"), ("near_cach: {max-memory: 0}\n", "near-cache")])
    func sections(yaml: String, meant: String) {
        #expect(Loaded(yaml: yaml).problems.first?.hasSuffix("unknown key; did you mean \(meant)?") == true)
    }

    @Test("what a container platform sets for a service of our name is passed over, and said; typing errors are not")
    func containers() {
        let platform = [
            "TOKENCACHED_PORT": "tcp://10.0.0.1:6379", "TOKENCACHED_SERVICE_HOST": "10.0.0.1",
            "TOKENCACHED_SERVICE_PORT": "6379", "TOKENCACHED_SERVICE_PORT_RESP": "6379",
            "TOKENCACHED_PORT_6379_TCP": "tcp://10.0.0.1:6379", "TOKENCACHED_PORT_6379_TCP_PROTO": "tcp",
            "TOKENCACHED_PORT_6379_TCP_PORT": "6379", "TOKENCACHED_PORT_6379_TCP_ADDR": "10.0.0.1",
            "TOKENCACHED_REDIS_SERVICE_HOST": "10.0.0.2", "TOKENCACHED_REDIS_PORT": "tcp://10.0.0.2:6379",
        ]
        let loaded = Loaded(environment: platform)
        #expect(loaded.problems == [])
        #expect(loaded.warnings.count == platform.count)
        for name in platform.keys {
            #expect(loaded.warnings.contains { $0.hasPrefix("\(name) is ignored: a container platform sets it") })
        }
        for wrong in ["TOKENCACHED_PORT", "TOKENCACHED_SESSION_IDEL", "TOKENCACHED_PORT_X_TCP"] {
            #expect(Loaded(environment: [wrong: "6379"]).problems.count == 1)
        }
    }

    @Test("access maps come from nested YAML, --set and the environment, name by name, resolved to numbers")
    func access() throws {
        let yaml = "access: {default: none, users: {alice: validator, 7: worker}, groups: {www-data: worker}}\n"
        let loaded = Loaded(
            yaml: yaml, environment: ["TOKENCACHED_ACCESS_USERS": "alice=admin,8=none"],
            flags: [(key: "access.users.7", value: "admin", origin: "--set")])
        let settings = try #require(loaded.settings)
        #expect(settings.access.defaultRole == Role.none)
        #expect(settings.resolved.users == [1000: .admin, 7: .admin, 8: Role.none])
        #expect(settings.resolved.groups == [33: .worker])
        // As in the file.
        let spelt = Loaded(
            environment: ["TOKENCACHED_ACCESS_USERS": "{alice: validator, 8: none}"],
            flags: [(key: "access.groups", value: "{www-data: worker}", origin: "--set")])
        #expect(spelt.problems == [])
        #expect(spelt.settings?.resolved.users == [1000: .validator, 8: Role.none])
        #expect(spelt.settings?.resolved.groups == [33: .worker])
        for wrong in [
            "{alice: validator", "{alice: [worker]}", "{alice: worker, alice: admin}", "alice", "{alice: root}",
        ] {
            let refused = Loaded(flags: [(key: "access.users", value: wrong, origin: "--set")])
            #expect(
                refused.problems.count == 1 && refused.problems.allSatisfy { $0.hasPrefix("--set: access.users") },
                "\(wrong)")
        }
    }

    @Test("an unknown user, a wrong role, a double role and a variable for one name are refused clearly")
    func wrongAccess() {
        let loaded = Loaded(
            yaml: "access:\n  users:\n    mallory: worker\n    bob: root\n    alice: worker\n    1000: admin\n",
            environment: ["TOKENCACHED_ACCESS_GROUPS_WWW_DATA": "worker"])
        #expect(
            loaded.problems == [
                "tokencached.yaml:4: access.users.bob: \"root\" is none of the choices; allowed: none, validator, worker, admin",
                "TOKENCACHED_ACCESS_GROUPS_WWW_DATA: unknown variable; write TOKENCACHED_ACCESS_GROUPS=name=role,name=role",
                "tokencached.yaml:5: access.users: \"alice\" is number 1000, which has another role as well",
                "tokencached.yaml:3: access.users: \"mallory\" is no user of this host",
            ])
    }

    @Test("limits that contradict each other: an error where the design forbids it, else a warning")
    func crossChecks() {
        #expect(
            Loaded(yaml: "session: {absolute: 10d, max-absolute: 9d}").problems == [
                "tokencached.yaml:1: session.absolute: 10d is longer than session.max-absolute, 9d"
            ])
        #expect(Loaded(set: "rotation.after", "2m").warnings.count == 1)
        #expect(Loaded(set: "session.idle", "9m").warnings.count == 1)
        #expect(Loaded(set: "session.idle", "25h").warnings.count == 1)
        #expect(Loaded(set: "session.idle", "10m").warnings == [])
        #expect(Loaded(set: "limits.max-input", "1MiB").warnings == [])
        #expect(Loaded(set: "limits.max-bulk", "16MiB").warnings == [])
        let tight = Loaded(environment: [
            "TOKENCACHED_LIMITS_MAX_INPUT": "1MiB", "TOKENCACHED_LIMITS_MAX_BULK": "1MiB",
        ])
        #expect(
            tight.warnings.count == 1
                && tight.warnings.contains { $0.contains("1MiB, is less than") && $0.contains("4MiB") })
    }

    @Test("socket and state are where systemd says, else under /run and /var/lib, else at the user's")
    func places() throws {
        let systemd = ["RUNTIME_DIRECTORY": "/run/tc@a:/run/x", "STATE_DIRECTORY": "/var/lib/tc-a"]
        let unit = try #require(Loaded(environment: systemd).settings)
        #expect(unit.socket.path == "/run/tc@a/tokencached.sock")
        #expect(unit.stateDirectory == "/var/lib/tc-a")

        let user = ["XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/home/u"]
        let own = try #require(Loaded(environment: user, host: testHost(folders: [])).settings)
        #expect(own.socket.path == "/run/user/7/tokencached.sock")
        #expect(own.stateDirectory == "/home/u/.local/state/tokencached")

        let nowhere = Loaded(host: testHost(folders: []))
        #expect(nowhere.problems.count == 2)
        #expect(nowhere.problems.first?.hasSuffix("give --socket PATH") == true)
    }

    @Test("the real host knows root, and does not know a made-up name")
    func realHost() {
        #expect(LocalHost.real.userID("root") == .success(0))
        #expect(LocalHost.real.groupID("root") == .success(0))
        #expect(LocalHost.real.userID("no-such-user-here") == .failure(ValueFault("is no user of this host")))
        #expect(LocalHost.real.groupID("4294967295") == .failure(ValueFault("is not a number of a group")))
        #expect(LocalHost.real.isUsableFolder("/proc/1/nothing/here") == false)
        #expect(LocalHost.real.readFile("/", 10) == .failure(ValueFault("cannot be read: Is a directory")))
        #expect(LocalHost.real.readFile("/dev/zero", 10) == .failure(ValueFault("is longer than 10")))
    }
}
