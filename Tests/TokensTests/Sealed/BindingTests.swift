import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// Bindings to address and user agent: what is bound, what differs, what is renewed.
@Suite("Bindings to address and user agent")
struct BindingTests {
    let site: Site
    let now = Site.now
    static let strict = BindingPolicy(ip: .strict, userAgent: .strict)
    static let log = BindingPolicy(ip: .log, userAgent: .log)

    init() throws { site = try Site() }

    static func signals(_ ip: String?, _ agent: String? = nil) -> Signals {
        Signals(ip: ip.flatMap { IPAddress(text: $0.utf8) }, userAgent: agent.map { Array($0.utf8) })
    }

    private func verdict(
        _ bound: Signals, _ given: Signals, _ policy: BindingPolicy, checked: BindingPolicy? = nil
    ) throws -> BindingVerdict {
        let bindings = try site.sealer.bind(bound, policy: policy, now: now)
        return try site.sealer.check(bindings, given, policy: checked ?? policy, now: now)
    }

    @Test("off binds nothing and checks nothing")
    func off() throws {
        let given = Self.signals("192.0.2.1", "Firefox")
        #expect(try site.sealer.bind(given, policy: BindingPolicy(), now: now).isEmpty)
        #expect(BindingPolicy().isOff && !Self.strict.isOff && !BindingPolicy(userAgent: .log).isOff)
        let other = Self.signals("198.51.100.1", "Chrome")
        #expect(try verdict(given, other, Self.strict, checked: BindingPolicy()) == BindingVerdict())
        #expect(try verdict(given, Signals(), Self.strict, checked: BindingPolicy()) == BindingVerdict())
        let half = BindingPolicy(ip: .off, userAgent: .strict)
        let bindings = try site.sealer.bind(given, policy: half, now: now)
        #expect(bindings.ip == nil && bindings.userAgent != nil)
    }

    @Test(
        "an address counts by its prefix",
        arguments: [
            ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.255", true), ("192.0.2.1", "192.0.3.1", false),
            ("192.0.2.1", "::ffff:192.0.2.9", true), ("::ffff:192.0.2.1", "192.0.2.9", true),
            ("192.0.2.1", "::192.0.2.1", false), ("2001:db8:0:aa00::1", "2001:db8:0:aaff:ffff::", true),
            ("2001:db8:0:aa00::1", "2001:db8:0:ab00::1", false), ("2001:db8::1", "192.0.2.1", false),
            ("::", "0.0.0.0", false),
        ])
    func addressPrefix(bound: String, given: String, isSame: Bool) throws {
        #expect(
            try verdict(Self.signals(bound), Self.signals(given), Self.strict) == BindingVerdict(isMismatch: !isSame))
        #expect(
            try verdict(Self.signals(bound), Self.signals(given), Self.log)
                == BindingVerdict(differs: isSame ? [] : [.ip]))
    }

    @Test("a user agent counts to the last byte")
    func userAgent() throws {
        for (bound, given) in [("", ""), ("Firefox", "Firefox"), ("a\0b\u{ff}", "a\0b\u{ff}")] {
            #expect(try verdict(Self.signals(nil, bound), Self.signals(nil, given), Self.strict) == BindingVerdict())
        }
        for (bound, given) in [("Firefox", "firefox"), ("Firefox", ""), ("", "Firefox"), ("Firefox", "Firefox ")] {
            #expect(try verdict(Self.signals(nil, bound), Self.signals(nil, given), Self.strict).isMismatch)
            #expect(try verdict(Self.signals(nil, bound), Self.signals(nil, given), Self.log).differs == [.ua])
        }
    }

    @Test("a token made without a signal is not bound by it")
    func notBound() throws {
        let given = Self.signals("192.0.2.1", "Firefox")
        #expect(try verdict(Signals(), given, Self.strict) == BindingVerdict())
        #expect(try verdict(Self.signals(nil, "Firefox"), given, Self.strict) == BindingVerdict())
        #expect(try verdict(Self.signals("192.0.2.1"), given, Self.strict) == BindingVerdict())
    }

    @Test("a strict signal that is not given is a mismatch, in log mode it is no difference")
    func missingSignal() throws {
        let bound = Self.signals("192.0.2.1", "Firefox")
        for given in [Signals(), Self.signals("192.0.2.1"), Self.signals(nil, "Firefox")] {
            #expect(try verdict(bound, given, Self.strict).isMismatch)
            #expect(try verdict(bound, given, Self.log) == BindingVerdict())
        }
    }

    @Test("modes are a signal's own: one strict, one log")
    func modeOfEachSignal() throws {
        let policy = BindingPolicy(ip: .log, userAgent: .strict)
        let bound = Self.signals("192.0.2.1", "Firefox")
        #expect(
            try verdict(bound, Self.signals("198.51.100.1", "Firefox"), policy) == BindingVerdict(differs: [.ip]))
        #expect(
            try verdict(bound, Self.signals("198.51.100.1", "Chrome"), policy)
                == BindingVerdict(isMismatch: true, differs: [.ip]))
        #expect(try verdict(bound, Self.signals("198.51.100.1", "Chrome"), Self.log).differs == [.ip, .ua])
    }

    @Test("a changed prefix length is no difference: the stored one counts")
    func changedPrefixLength() throws {
        let narrow = BindingPolicy(ip: .strict, prefix4: 32, prefix6: 128)
        let wide = BindingPolicy(ip: .strict, prefix4: 8, prefix6: 16)
        #expect(
            try verdict(Self.signals("192.0.2.1"), Self.signals("192.0.2.1"), narrow, checked: wide) == BindingVerdict()
        )
        #expect(
            try verdict(Self.signals("192.0.2.1"), Self.signals("192.0.2.2"), narrow, checked: wide).isMismatch)
        #expect(
            try verdict(Self.signals("192.0.2.1"), Self.signals("192.200.7.7"), wide, checked: narrow)
                == BindingVerdict())
        #expect(
            try verdict(Self.signals("2001:db8::1"), Self.signals("2001:eee::1"), wide, checked: narrow)
                == BindingVerdict())
    }

    @Test("a binding under a key that is gone is renewed, never a mismatch")
    func keyIsGone() throws {
        let old = try Site(keys: [7])
        let bound = Self.signals("192.0.2.1", "Firefox")
        var bindings = try old.sealer.bind(bound, policy: Self.strict, now: now)
        let elsewhere = Self.signals("198.51.100.1", "Chrome")
        for policy in [Self.strict, Self.log] {
            let verdict = try site.sealer.check(bindings, elsewhere, policy: policy, now: now)
            #expect(!verdict.isMismatch && verdict.differs.isEmpty)
            let renewed = try #require(verdict.renewed)
            #expect(renewed == (try site.sealer.bind(elsewhere, policy: policy, now: now)))
            #expect(try site.sealer.check(renewed, elsewhere, policy: policy, now: now) == BindingVerdict())
        }
        // Not given and strict stays a mismatch: there is nothing to renew it with.
        let verdict = try site.sealer.check(bindings, Self.signals("192.0.2.1"), policy: Self.strict, now: now)
        #expect(verdict == BindingVerdict(isMismatch: true))
        // Only what is gone is renewed.
        bindings.userAgent = try site.sealer.bind(bound, policy: Self.strict, now: now).userAgent
        let half = try site.sealer.check(bindings, bound, policy: Self.strict, now: now)
        #expect(half.renewed?.userAgent == bindings.userAgent && half.renewed?.ip != bindings.ip)
        let mismatch = try site.sealer.check(
            bindings, Self.signals("192.0.2.1", "Chrome"), policy: Self.strict, now: now)
        #expect(mismatch == BindingVerdict(isMismatch: true))
    }

    @Test("a key that signs no longer still checks, and nothing is renewed")
    func keySignsNoLonger() throws {
        let both = try Site(keys: [1, 2])
        let bound = Self.signals("192.0.2.1", "Firefox")
        let bindings = try site.sealer.bind(bound, policy: Self.strict, now: now)
        #expect(try both.sealer.check(bindings, bound, policy: Self.strict, now: now) == BindingVerdict())
    }

    @Test("a binding is stored in fifty bytes at most, and read back whole or not at all")
    func stored() throws {
        let bindings = try site.sealer.bind(
            Self.signals("192.0.2.1", "Firefox"), policy: Self.strict, now: now)
        let binding = try #require(bindings.ip)
        #expect(Binding(bytes: binding.bytes) == binding)
        #expect(binding.prefix == 24 && Array(binding.kid) == Array("k1".utf8))
        #expect(Binding(kid: [UInt8](repeating: 97, count: 32), prefix: 56, code: binding.code).bytes.count == 50)
        for count in 0..<binding.bytes.count { #expect(Binding(bytes: binding.bytes.prefix(count)) == nil) }
        #expect(Binding(bytes: binding.bytes + [0]) == nil)
        #expect(Binding(bytes: [0] + [UInt8](repeating: 1, count: 17)) == nil)
        #expect(Binding(bytes: [33] + [UInt8](repeating: 97, count: 50)) == nil)
        // The same value bound to another signal, or by another site, is another binding.
        #expect(bindings.userAgent?.code != bindings.ip?.code)
        #expect(
            try Site(prefix: "other:").sealer.bind(
                Self.signals("192.0.2.1"), policy: Self.strict, now: now
            ).ip != binding)
    }

    @Test("an address never stands in a binding")
    func noAddressInside() throws {
        let bytes = try #require(
            try site.sealer.bind(
                Self.signals("192.0.2.1"), policy: BindingPolicy(ip: .strict, prefix4: 32), now: now
            ).ip?.bytes)
        #expect(!bytes.indices.contains { bytes[$0...].starts(with: [192, 0, 2, 1]) })
    }

    @Test(
        "addresses are read as numbers",
        arguments: [
            ("192.0.2.1", IPAddress.v4(0xC000_0201)), ("0.0.0.0", .v4(0)), ("::ffff:192.0.2.1", .v4(0xC000_0201)),
            ("::FFFF:c000:201", .v4(0xC000_0201)), ("::1", .v6(high: 0, low: 1)), ("::", .v6(high: 0, low: 0)),
            ("2001:DB8:0:0:0:0:0:1", .v6(high: 0x2001_0db8_0000_0000, low: 1)),
            ("::192.0.2.1", .v6(high: 0, low: 0xC000_0201)),
            ("1::ffff:192.0.2.1", .v6(high: 1 << 48, low: 0xffff_c000_0201)),
        ])
    func addresses(text: String, address: IPAddress) {
        #expect(IPAddress(text: text.utf8) == address)
    }

    @Test(
        "what is no address is nil; names are not looked up",
        arguments: [
            "", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4", "1.2.3.4/24", "localhost",
            "example.com", ":", ":::", "1::2::3", "fe80::1%eth0", "[::1]", "1.2.3.4\0", "::1\0x", "12345::",
            String(repeating: "0", count: 46), "٣.2.3.4",
        ])
    func noAddress(text: String) {
        #expect(IPAddress(text: text.utf8) == nil)
    }

    @Test("masking takes any prefix, also one that a record damaged")
    func masking() {
        let four = IPAddress.v4(0xFFFF_FFFF)
        let six = IPAddress.v6(high: .max, low: .max)
        for prefix in [0, 1, 8, 24, 31, 32, 33, 56, 64, 65, 127, 128, 129, 255] {
            let ones = { (bytes: [UInt8]) in bytes.reduce(0) { $0 + $1.nonzeroBitCount } }
            #expect(ones(four.masked(to: prefix)) == min(prefix, 32))
            #expect(ones(six.masked(to: prefix)) == min(prefix, 128))
        }
        #expect(six.masked(to: 60) == [UInt8](repeating: 255, count: 7) + [0xF0] + [UInt8](repeating: 0, count: 8))
    }
}
