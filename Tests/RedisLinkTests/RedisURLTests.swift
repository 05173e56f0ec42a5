import EventLoop
import Testing

@testable import RedisLink

@Suite struct RedisURLTests {
    @Test func accepted() throws {
        #expect(try RedisURL.parse("embedded") == .embedded)
        #expect(try RedisURL.parse("unix:///run/redis.sock") == .endpoint(.unix(path: "/run/redis.sock")))
        #expect(
            try RedisURL.parse("unix:///a%20b?db=3")
                == .endpoint(.unix(path: "/a b", login: RedisLogin(database: 3))))
        #expect(try RedisURL.parse("redis://host") == .endpoint(.tcp(host: "host", port: 6379)))
        #expect(try RedisURL.parse("redis://[::1]:7000/") == .endpoint(.tcp(host: "::1", port: 7000)))
        let login = RedisLogin(user: "me", password: RedisPassword("p@:/"), database: 2)
        #expect(
            try RedisURL.parse("redis://me:p%40%3A%2f@10.0.0.1:1/2")
                == .endpoint(.tcp(host: "10.0.0.1", port: 1, login: login)))
        let passwordOnly = RedisLogin(password: RedisPassword("secret"))
        #expect(try RedisURL.parse("redis://:secret@h") == .endpoint(.tcp(host: "h", port: 6379, login: passwordOnly)))
    }

    @Test(arguments: [
        "", "redis", "http://x", "redis://", "redis://:pa55@", "redis://h:0", "redis://h:65536", "redis://h:+1",
        "redis://h/x", "redis://h/-1", "redis://::1:6379", "redis://[::1", "redis://[pa55]", "redis://[::1]x",
        "redis://u:pa55%zz@h", "redis://u:pa55%00@h", "redis://u:pa55%ff@h", "redis://h?db=1", "unix://rel", "unix:///",
        "unix:///s?x=1", "unix:///s?db=-1", "rediss://u:pa55@h", "sentinel://u:pa55@h/m", "cluster://h:1,h:2",
    ])
    func refused(text: String) {
        let error = #expect(throws: RedisURLError.self) { try RedisURL.parse(text) }
        #expect(error?.description.contains("pa55") == false)
    }

    @Test func passwordsCannotBePrinted() {
        let login = RedisLogin(user: "me", password: RedisPassword("pa55"))
        let endpoint = RedisEndpoint.tcp(host: "h", port: 1, login: login)
        var text = "\(endpoint) \(login) \(String(reflecting: endpoint))"
        dump(login, to: &text)
        #expect(!text.contains("pa55"))
        #expect(!text.contains("112, 97"))
    }
}

@Suite struct RedisClockTests {
    private func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    @Test func aNarrowSampleIsKeptAndAJumpTakenOver() {
        var clock = RedisClock()
        #expect(clock.milliseconds(at: at(0)) == nil)
        clock.sample(serverMicroseconds: 1_700_000_000_000_000, sentAt: at(1000), receivedAt: at(1002))
        #expect(clock.milliseconds(at: at(1001)) == 1_700_000_000_000)
        // A slow answer whose bounds agree betters nothing.
        clock.sample(serverMicroseconds: 1_700_000_001_090_000, sentAt: at(2000), receivedAt: at(2200))
        #expect(clock.milliseconds(at: at(1001)) == 1_700_000_000_000)
        // An hour back: Redis's clock was set.
        clock.sample(serverMicroseconds: 1_699_996_400_000_000, sentAt: at(3000), receivedAt: at(3000))
        #expect(clock.milliseconds(at: at(3000)) == 1_699_996_400_000)
    }

    @Test func whatAScriptSawIsALowerBound() {
        var clock = RedisClock()
        clock.observe(serverMilliseconds: 5000, at: at(0))
        #expect(clock.milliseconds(at: at(10)) == 5010)
        clock.observe(serverMilliseconds: 5000, at: at(500))
        #expect(clock.milliseconds(at: at(500)) == 5500)
        clock.observe(serverMilliseconds: 9000, at: at(500))
        #expect(clock.milliseconds(at: at(500)) == 9000)
        clock.observe(serverMilliseconds: 1000, at: at(500))
        #expect(clock.milliseconds(at: at(500)) == 1000)
        clock.observe(serverMilliseconds: .max, at: at(500))
        clock.observe(serverMilliseconds: -1, at: at(500))
        clock.sample(serverMicroseconds: .max, sentAt: .earliest, receivedAt: .latest)
        #expect(clock.milliseconds(at: at(500)) == 1000)
    }
}
