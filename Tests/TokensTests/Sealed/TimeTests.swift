import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// To the second: no leeway at the end, a minute for a clock that is ahead at the beginning.
@Suite("The ends of sealed tokens, to the second")
struct SealedTimeTests {
    let site: Site
    let now = Site.now

    init() throws { site = try Site() }

    @Test("a guest is good until the second before exp")
    func guestUntilExp() throws {
        let text = try site.sealer.seal(Site.guest(), now: now)
        #expect(site.openGuest(text, now: now + 86_399).value != nil)
        #expect(site.openGuest(text, now: now + 86_400) == .expired)
        #expect(site.openGuest(text, now: .latest) == .expired)
    }

    @Test("a guest ends with its absolute end, whatever exp says")
    func guestUntilAbsoluteEnd() throws {
        var guest = Site.guest()
        guest.end = guest.expires - 10
        let text = try site.sealer.seal(guest, now: now)
        #expect(site.openGuest(text, now: guest.end - 1).value != nil)
        #expect(site.openGuest(text, now: guest.end) == .expired)
    }

    @Test("a token from more than a minute ahead is refused")
    func tokenFromAhead() throws {
        let text = try site.sealer.seal(Site.guest(), now: now)
        #expect(site.openGuest(text, now: now - 60).value != nil)
        #expect(site.openGuest(text, now: now - 61) == .unknown)
        #expect(site.openGuest(text, now: UnixSeconds(0)) == .unknown)
        #expect(site.openGuest(text, now: .earliest) == .unknown)
        var other = try Site()
        let captcha = try other.seal(Site.captcha())
        #expect(site.openCaptcha(captcha, now: now - 60).value != nil)
        #expect(site.openCaptcha(captcha, now: now - 61) == .unknown)
    }

    @Test("a captcha is good until the second before exp")
    func captchaUntilExp() throws {
        var site = site
        let text = try site.seal(Site.captcha())
        #expect(site.openCaptcha(text, now: now + 599).value != nil)
        #expect(site.openCaptcha(text, now: now + 600) == .expired)
        #expect(site.openCaptcha(text, now: .latest) == .expired)
    }

    @Test("a CSRF token is good until the second before its expiry")
    func csrfUntilExpiry() throws {
        var site = site
        let text = try site.csrf("a", lifetime: 100)
        #expect(site.check(text, "a", now: now + 99) == .passed)
        #expect(site.check(text, "a", now: now + 100) == .expired)
        #expect(site.check(text, "a", now: .latest) == .expired)
        // Whose it is comes before whether it is still good.
        #expect(site.check(text, "b", now: now + 100) == .failed)
    }

    @Test("the largest time that JSON carries everywhere goes through")
    func largestTime() throws {
        var guest = Site.guest()
        guest.end = UnixSeconds(1 << 53 - 1)
        #expect(site.openGuest(try site.sealer.seal(guest, now: now)).value?.end == guest.end)
    }
}
