import SeededRandom
import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// What sealing itself must keep to: an active key, the count of nonces, secrets that do not show.
@Suite("Sealing")
struct SealerTests {
    @Test("without an active key nothing is sealed, and everything is opened")
    func noActiveKey() throws {
        let maker = try Site(keys: [1])
        var random = SeededRandom(seed: 1)
        let future = try Sealer(
            ring: KeyRing(keys: [
                RingKey(kid: "k1", secret: Site.secret(1), created: UnixSeconds(0), activeFrom: Site.now + 130)
            ]), prefix: Array("tc:".utf8))
        // Clocks differ: where there is no other key, one that is active within two minutes is used.
        #expect(!future.canSeal(at: Site.now + 9) && future.canSeal(at: Site.now + 10))
        #expect(throws: CryptoError.self) { try future.seal(Site.guest(), now: Site.now) }
        #expect(throws: CryptoError.self) { try future.seal(Site.captcha(), now: Site.now, random: &random) }
        #expect(throws: CryptoError.self) {
            try future.sealCSRF(
                form: [], holder: CSRFHolder(sid: Site.sid(1)), expires: .latest, now: Site.now, random: &random)
        }
        let text = try maker.sealer.seal(Site.guest(), now: Site.now)
        #expect(text.withUnsafeBytes { future.openGuest($0, now: Site.now) } == maker.openGuest(text))
        #expect(try future.bind(Signals(), policy: BindingPolicy(ip: .strict), now: Site.now).isEmpty)
    }

    @Test("RFC 7518: captchas are counted by key, with a warning at 2²⁸ and an end at 2³²")
    func captchasAreCounted() throws {
        var site = try Site(keys: [1, 2])
        let key = site.sealer.keys[0]
        #expect(key.ringKey.kid == "k2")
        for number in 0..<5 { _ = try site.seal(Site.captcha(number)) }
        #expect(key.nonces == 5 && site.sealer.keys[1].nonces == 0)
        key.nonces = (1 << 28) - 1
        #expect(!site.sealer.isNonceWarningDue)
        _ = try site.seal(Site.captcha())
        #expect(site.sealer.isNonceWarningDue)
        // A reload goes on counting; a new key starts anew.
        let reloaded = try Sealer(ring: site.ring, prefix: Array("tc:".utf8), replacing: site.sealer)
        #expect(reloaded.isNonceWarningDue)
        let other = try Site(keys: [3])
        #expect(try !Sealer(ring: other.ring, prefix: [], replacing: site.sealer).isNonceWarningDue)
        key.nonces = 1 << 32
        #expect(throws: CryptoError.self) { _ = try site.seal(Site.captcha()) }
    }

    @Test("no nonce comes twice")
    func nonces() throws {
        var site = try Site()
        site.random = SystemRandom()
        var nonces: Set<[UInt8]> = []
        for _ in 0..<1_000 {
            let text = try site.seal(Site.captcha())
            nonces.insert(Array(text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)[2]))
        }
        #expect(nonces.count == 1_000)
    }

    @Test("a solution or form that JSON cannot carry is not sealed")
    func notForJSON() throws {
        var site = try Site()
        for solution in [[], [0xff], [UInt8](repeating: 97, count: 65)] as [[UInt8]] {
            #expect(!Captcha.isSolution(solution))
            var captcha = Site.captcha()
            captcha.solution = solution
            #expect(throws: CryptoError.self) { _ = try site.seal(captcha) }
        }
        for form in [[0xff], [UInt8](repeating: 97, count: 257)] as [[UInt8]] {
            #expect(!Captcha.isForm(form))
            var captcha = Site.captcha()
            captcha.form = form
            #expect(throws: CryptoError.self) { _ = try site.seal(captcha) }
        }
    }

    @Test("the longest token of each kind stays below 4 KiB")
    func longestTokens() throws {
        let kid = String(repeating: "k", count: 32)
        let ring = try KeyRing(keys: [
            RingKey(kid: kid, secret: Site.secret(1), created: UnixSeconds(0), activeFrom: UnixSeconds(0))
        ])
        let sealer = try Sealer(ring: ring, prefix: [])
        let binding = Binding(kid: Array(kid.utf8), prefix: 128, code: [UInt8](1...16))
        let bindings = Bindings(ip: binding, userAgent: binding)
        var random: any RandomSource = SeededRandom(seed: 1)
        // Control characters take six bytes each in JSON.
        let captcha = Captcha(
            id: CaptchaID(), issued: UnixSeconds(0), expires: UnixSeconds(1 << 52),
            solution: [UInt8](repeating: 1, count: 64), form: [UInt8](repeating: 2, count: 256), holder: Site.sid(1),
            bindings: bindings)
        let text = try sealer.seal(captcha, now: UnixSeconds(1), random: &random)
        #expect(text.count < 4_096)
        #expect(text.withUnsafeBytes { sealer.openCaptcha($0, now: UnixSeconds(1)) } == .valid(captcha))
        let end = UnixSeconds(1 << 52)
        let guest = Guest(sid: Site.sid(1), issued: UnixSeconds(0), expires: end, end: end, bindings: bindings)
        #expect(try sealer.seal(guest, now: UnixSeconds(1)).count < 600)
    }

    @Test(
        "an answer counts without case and without space around it",
        arguments: [
            ("K7wXe", true), ("k7wxe", true), (" K7WXE\t\r\n", true), ("K7wXe\0", false), ("K7wX", false), ("", false),
            ("K7wXee", false), ("K7 wXe", false),
        ])
    func answers(answer: String, isRight: Bool) {
        #expect(Site.captcha().isSolved(by: Array(answer.utf8)) == isRight)
    }

    @Test("an answer in another script counts without case, too")
    func answersInAnotherScript() {
        var captcha = Site.captcha()
        captcha.solution = Array("Äpfel".utf8)
        #expect(captcha.isSolved(by: Array("äPFEL".utf8)))
        #expect(!captcha.isSolved(by: [0xff]))
        // A phone's keyboard composes an accent in another way than the page did.
        for (solution, answer) in [
            ("\u{e9}t\u{e9}", "E\u{301}te\u{301}"), ("Straße", "STRASSE"), ("strasse", "Straße"), ("ΟΔΟΣ", "οδος"),
            ("ΟΔΟΣ", "οδοσ"),
        ] {
            captcha.solution = Array(solution.utf8)
            #expect(captcha.isSolved(by: Array(answer.utf8)), "\(solution) \(answer)")
        }
    }

    @Test("S7: the solution is not in a captcha's token or in what prints of it")
    func solutionStaysSecret() throws {
        var site = try Site()
        let captcha = Site.captcha()
        let text = try site.seal(captcha)
        for part in text.split(separator: UInt8(ascii: ".")) {
            let bytes = Array(part).withUnsafeBytes { Base64URL.decode($0) } ?? []
            #expect(!bytes.indices.contains { bytes[$0...].starts(with: "K7wXe".utf8) })
        }
        var dumped = ""
        dump(captcha, to: &dumped)
        dump(Opened.valid(captcha), to: &dumped)
        for printed in ["\(captcha)", String(reflecting: captcha), "\(Opened.valid(captcha))", dumped] {
            #expect(!printed.contains("K7wXe") && !printed.contains("75, 55"))
        }
    }

    @Test("the sealer shows the ring's fingerprint")
    func fingerprint() throws {
        let site = try Site(keys: [1, 2])
        #expect(site.sealer.fingerprint == (try site.ring.fingerprint))
    }
}
