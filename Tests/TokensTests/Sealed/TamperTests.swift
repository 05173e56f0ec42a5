import Glibc
import SeededRandom
import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// G4: a token with one byte changed, removed, added or cut is no token.
@Suite("G4: a changed token is no token")
struct TamperTests {
    private static let isLong = getenv("LONG_TESTS") != nil

    /// Each place of one token, with three other bytes.
    @Test("G4: every single byte of a guest, a captcha and a CSRF token matters")
    func everyByteMatters() throws {
        var site = try Site()
        var random = SeededRandom(seed: 1)
        let guest = try site.sealer.seal(Site.guest(), now: Site.now)
        let captcha = try site.seal(Site.captcha(form: "a"))
        let csrf = try site.csrf("a")
        for _ in 0..<3 {
            for index in guest.indices { #expect(site.openGuest(Self.change(guest, at: index, &random)) == .unknown) }
            for index in captcha.indices {
                #expect(site.openCaptcha(Self.change(captcha, at: index, &random)) == .unknown)
            }
            for index in csrf.indices { #expect(site.check(Self.change(csrf, at: index, &random), "a") == .failed) }
        }
    }

    /// A thousand of each kind, in a dozen places each; all places of all of them where `LONG_TESTS` is set.
    @Test("G4: a thousand tokens, changed anywhere, are refused")
    func thousandChangedTokens() throws {
        var site = try Site(keys: [1, 2])
        var random = SeededRandom(seed: 2)
        var accepted = 0
        for number in 0..<1_000 {
            let guest = try site.sealer.seal(Site.guest(number), now: Site.now)
            let captcha = try site.seal(Site.captcha(number, holder: Site.sid(number)))
            let holder = CSRFHolder(sid: Site.sid(number))
            let csrf = try site.csrf("f", holder)
            for index in Self.places(in: guest, &random)
            where site.openGuest(Self.change(guest, at: index, &random)) != .unknown { accepted += 1 }
            for index in Self.places(in: captcha, &random)
            where site.openCaptcha(Self.change(captcha, at: index, &random)) != .unknown { accepted += 1 }
            for index in Self.places(in: csrf, &random)
            where site.check(Self.change(csrf, at: index, &random), "f", holder) != .failed { accepted += 1 }
        }
        #expect(accepted == 0)
    }

    @Test("G4: a token that is cut, lengthened or missing a byte is refused")
    func otherLengths() throws {
        var site = try Site()
        let guest = try site.sealer.seal(Site.guest(), now: Site.now)
        let captcha = try site.seal(Site.captcha())
        let csrf = try site.csrf()
        for count in guest.indices { #expect(site.openGuest(Array(guest[..<count])) == .unknown) }
        for count in captcha.indices { #expect(site.openCaptcha(Array(captcha[..<count])) == .unknown) }
        for count in csrf.indices { #expect(site.check(Array(csrf[..<count])) == .failed) }
        for tail in ["A", "AA", "=", ".", " ", "\n", "\0"] {
            #expect(site.openGuest(guest + tail.utf8) == .unknown)
            #expect(site.openCaptcha(captcha + tail.utf8) == .unknown)
            #expect(site.check(csrf + tail.utf8) == .failed)
        }
        for index in guest.indices {
            #expect(site.openGuest(Array(guest[..<index] + guest[(index + 1)...])) == .unknown)
        }
    }

    @Test("parts of two good tokens make no third one")
    func partsOfTwoTokens() throws {
        var site = try Site()
        let guests = try [1, 2].map { try site.sealer.seal(Site.guest($0), now: Site.now) }
            .map { $0.split(separator: UInt8(ascii: ".")) }
        #expect(
            site.openGuest(Array([guests[0][0], guests[0][1], guests[1][2]].joined(separator: ".".utf8))) == .unknown)
        let captchas = try [1, 2].map { try site.seal(Site.captcha($0)) }
            .map { $0.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) }
        for part in 2..<5 {
            var mixed = captchas[0]
            mixed[part] = captchas[1][part]
            #expect(site.openCaptcha(Array(mixed.joined(separator: ".".utf8))) == .unknown)
        }
    }

    @Test("garbage of any length never traps and is never a token")
    func garbage() throws {
        let site = try Site()
        var random = SeededRandom(seed: 3)
        for round in 0..<3_000 {
            var text = random.bytes(round % 300)
            // Half of it in characters that tokens have.
            if round % 2 == 0 { text = Base64URL.encode(text).map { $0 == UInt8(ascii: "-") ? UInt8(ascii: ".") : $0 } }
            #expect(site.openGuest(text) == .unknown)
            #expect(site.openCaptcha(text) == .unknown)
            #expect(site.check(text) == .failed)
        }
    }

    private static func places(in text: [UInt8], _ random: inout SeededRandom) -> [Int] {
        isLong ? Array(text.indices) : (0..<12).map { _ in Int.random(in: text.indices, using: &random) }
    }

    /// Another byte at this place; every second time one of the alphabet.
    private static func change(_ text: [UInt8], at index: Int, _ random: inout SeededRandom) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var changed = text
        while changed[index] == text[index] {
            let byte = UInt8(truncatingIfNeeded: random.next())
            changed[index] = byte & 1 == 0 ? byte : alphabet[Int(byte >> 2)]
        }
        return changed
    }
}
