import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// What was sealed here opens here, with everything that was in it, until its time has passed.
@Suite("What was sealed opens")
struct RoundTripTests {
    let bindings = Bindings(
        ip: Binding(kid: Array("k1".utf8), prefix: 24, code: [UInt8](1...16)),
        userAgent: Binding(kid: Array("old-key".utf8), prefix: 0, code: [UInt8](101...116)))

    @Test("a guest comes back as it was, with the name of its key")
    func guest() throws {
        let site = try Site(keys: [3, 1, 2])
        for bindings in [Bindings(), bindings, Bindings(ip: bindings.ip), Bindings(userAgent: bindings.userAgent)] {
            let guest = Site.guest(bindings: bindings)
            var expected = guest
            expected.key = "k2"
            #expect(site.openGuest(try site.sealer.seal(guest, now: Site.now)) == .valid(expected))
        }
    }

    @Test("a captcha comes back as it was")
    func captcha() throws {
        var site = try Site()
        for form in ["", "contact", "ünïcode \"quoted\" \\ \n\u{1}\u{7f} 🍏"] {
            for holder in [nil, Site.sid(4)] {
                for bindings in [Bindings(), bindings] {
                    let captcha = Site.captcha(form: form, holder: holder, bindings: bindings)
                    #expect(site.openCaptcha(try site.seal(captcha)) == .valid(captcha))
                }
            }
        }
    }

    @Test("a CSRF token passes for its form and holder")
    func csrf() throws {
        var site = try Site()
        let salted = CSRFHolder(sid: Site.sid(1), salt: Digest(bytes: [UInt8](0..<32)))
        for holder in [CSRFHolder(sid: Site.sid(1)), salted, CSRFHolder(sid: Site.sid(2))] {
            for form in ["", "contact", String(repeating: "f", count: 300)] {
                #expect(site.check(try site.csrf(form, holder), form, holder) == .passed)
            }
        }
    }

    @Test("BREACH: two CSRF tokens of one form share only what says nothing of it")
    func breach() throws {
        var site = try Site()
        let texts = [try site.csrf("contact"), try site.csrf("contact")]
        let bytes = try texts.map { try #require($0.withUnsafeBytes { Base64URL.decode($0) }) }
        #expect(bytes[0].prefix(12) == bytes[1].prefix(12))
        // 64 random bytes that agree in 16 places come once in 10²⁴ times.
        #expect(zip(bytes[0].dropFirst(12), bytes[1].dropFirst(12)).count { $0 == $1 } < 16)
        #expect(texts.allSatisfy { site.check($0, "contact") == .passed })
    }
}
