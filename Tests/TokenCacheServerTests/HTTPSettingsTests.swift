import Testing
import Tokens

@testable import TokenCacheServer

@Suite("http.…")
struct HTTPSettingsTests {
    @Test("short forms and maps, in a list, alone, and in the environment, are the same listeners")
    func listeners() throws {
        let short = try #require(
            Loaded(yaml: "http:\n  listen: ['unix:/run/a.sock', 127.0.0.1:9180, '[::1]:9181']\n").settings)
        #expect(
            short.http.listen.map(\.place) == [
                .unix(path: "/run/a.sock", mode: 0o660, group: ""), .tcp(host: "127.0.0.1", port: 9180),
                .tcp(host: "::1", port: 9181),
            ])
        #expect(short.http.listen[0].serve == [.auth, .metrics, .health, .status])
        #expect(short.http.listen[1].serve == [.metrics, .health, .status])
        let flat = Loaded(environment: ["TOKENCACHED_HTTP_LISTEN": "unix:/run/a.sock,127.0.0.1:9180,[::1]:9181"])
        #expect(flat.settings?.http.listen == short.http.listen)
        let whole = Loaded(
            yaml: """
                http:
                  listen:
                    - {unix: /run/a.sock, serve: [auth], mode: 0600, group: www-data}
                    - tcp: 0.0.0.0:9180
                      serve: metrics
                      remote: true
                """)
        #expect(whole.problems == [])
        let listen = try #require(whole.settings?.http.listen)
        #expect(
            listen == [
                HTTPListenAddress(.unix(path: "/run/a.sock", mode: 0o600, group: "www-data"), serve: [.auth]),
                HTTPListenAddress(.tcp(host: "0.0.0.0", port: 9180), serve: [.metrics], isRemote: true),
            ])
        #expect(whole.settings?.resolved.httpGroups == ["www-data": 33])
        // What is shown reads as the same.
        for settings in [short, whole.settings].compactMap({ $0 }) {
            let shown = try #require(settings.describe(matching: "http.listen").first?.value)
            #expect(Loaded(set: "http.listen", shown).settings?.http.listen == settings.http.listen, "\(shown)")
        }
    }

    @Test(
        "a wrong listener is refused in words",
        arguments: [
            ("0.0.0.0:9180", "can be reached from other hosts"),
            ("unix:/tmp/a,unix:/tmp/a", "names a place twice"),
            ("127.0.0.1:80,localhost:80", "names a place twice"),
            ("unix:/run/tokencached/tokencached.sock", "never share a socket"),
            ("{tcp: '127.0.0.1:1', mode: '0600'}", "of a Unix socket"),
            ("{unix: /tmp/a, tcp: '127.0.0.1:1'}", "one place"),
            ("{unix: /tmp/a, serve: [everything]}", "not all is one of auth, metrics, health, status"),
            ("{unix: /tmp/a, serve: []}", "is empty"),
            ("{unix: /tmp/a, mode: 9}", "octal mode"),
            ("{unix: /tmp/a, unix: /tmp/b}", "twice"),
            ("{path: /tmp/a}", "none of unix, tcp"),
            ("{serve: [auth]}", "neither unix nor tcp"),
            ("unix:a.sock", "no absolute path"),
            ("example.org:80", "no IPv4"), ("127.0.0.1", "no address with a port"), ("::1:80", "without brackets"),
            ("127.0.0.1:0", "no address with a port"), ("127.0.0.1:65536", "no address with a port"),
        ])
    func refusals(_ listen: String, _ words: String) {
        let problems = Loaded(set: "http.listen", listen).problems
        #expect(problems.count == 1 && problems[0].contains(words), "\(problems)")
    }

    @Test("rules of the file are what is shown, and user is there without one")
    func rules() throws {
        let yaml = """
            http:
              rules:
                any: {require: none}
                recent: {require: subject, login-within: 10m, on-deny: redirect, login: /sign-in?x=1, return-parameter: to}
                asset:
                  access: look
                  headers: {Remote-User: subject, Remote-Groups: roles}
            """
        let loaded = Loaded(yaml: yaml)
        #expect(loaded.problems == [])
        let settings = try #require(loaded.settings)
        let rules = settings.http.rules
        #expect(rules["any"]?.require == HTTPRule.Visitor.none)
        #expect(rules["recent"]?.loginWithin == .seconds(600) && rules["recent"]?.login == "/sign-in?x=1")
        #expect(rules["asset"]?.access == .look && rules["asset"]?.headers.count == 2)
        for (name, rule) in rules {
            #expect(Loaded(set: "http.rules.\(name)", rule.description).settings?.http.rules[name] == rule)
        }
        let compiled = HTTPSettings(settings)
        #expect(compiled.standardRule == HTTPRule() && compiled.rules.count == 4)
        let own = Loaded(set: "http.rules", "{user: {require: none}}")
        #expect(own.settings.map { HTTPSettings($0).standardRule.require } == HTTPRule.Visitor.none)
    }

    @Test(
        "a wrong rule, cookie or path is refused in words",
        arguments: [
            ("http.rules.a", "{require: admin}", "none of the choices"), ("http.rules.a", "subject", "is no map"),
            ("http.rules.a", "{reqire: subject}", "none of require"),
            ("http.rules.a/b", "{require: none}", "is not a rule name"),
            ("http.rules.a", "{login: //evil.example}", "is not allowed"),
            ("http.rules.a", "{login: '/\\evil.example'}", "is not allowed"),
            ("http.rules.a", "{login: https://evil.example}", "is not allowed"),
            ("http.rules.a", "{headers: {X-Auth-Sid: a}}", "no free name"),
            ("http.rules.a", "{headers: {'a b': a}}", "no free name"),
            ("http.rules.a", "{login-within: 0}", "out of range"),
            ("http.after-logout", "//evil.example", "is not allowed"),
            ("http.cookie-path", "/a; Domain=evil", "is not allowed"), ("http.cookie-domain", "a;b", "is not allowed"),
            ("http.cookie-path", "/app", "__Host-"), ("http.cookie-name", "a b", "is not allowed"),
            ("http.hosts", "a/b", "no host name"),
        ])
    func wrong(_ key: String, _ value: String, _ words: String) {
        let problems = Loaded(set: key, value).problems
        #expect(problems.count == 1 && problems[0].contains(words), "\(problems)")
    }
}
