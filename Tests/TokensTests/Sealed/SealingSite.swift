import SeededRandom
import TokenCrypto
import UnixTime

@testable import Tokens

/// A site of a test: a ring with keys made of numbers, a sealer, and a clock that stands.
struct Site {
    static let now = UnixSeconds(1_800_000_000)

    let ring: KeyRing
    let sealer: Sealer
    var random: any RandomSource = SeededRandom(seed: 5)

    /// Keys are named `k1`, `k2`, …; the last one signs.
    init(keys numbers: [Int] = [1], prefix: String = "tc:") throws {
        ring = try KeyRing(
            keys: numbers.enumerated().map { index, number in
                try RingKey(
                    kid: "k\(number)", secret: Site.secret(number), created: Site.now - 1_000,
                    activeFrom: Site.now - 1_000 + Int64(index))
            })
        sealer = try Sealer(ring: ring, prefix: Array(prefix.utf8))
    }

    static func secret(_ number: Int) throws -> SecretBytes {
        var random = SeededRandom(seed: UInt64(number))
        return try .random(count: 32, from: &random)
    }

    static func sid(_ number: Int) -> SessionID {
        var random = SeededRandom(seed: UInt64(7_000 + number))
        return random.fixed()
    }

    static func guest(_ number: Int = 1, bindings: Bindings = Bindings()) -> Guest {
        Guest(sid: sid(number), issued: now, expires: now + 86_400, end: now + 30 * 86_400, bindings: bindings)
    }

    static func captcha(
        _ number: Int = 1, form: String = "", holder: SessionID? = nil, bindings: Bindings = Bindings()
    ) -> Captcha {
        var random = SeededRandom(seed: UInt64(9_000 + number))
        return Captcha(
            id: random.fixed(), issued: now, expires: now + 600, solution: Array("K7wXe".utf8), form: Array(form.utf8),
            holder: holder, bindings: bindings)
    }

    mutating func seal(_ captcha: Captcha) throws -> [UInt8] {
        try sealer.seal(captcha, now: Site.now, random: &random)
    }

    mutating func csrf(
        _ form: String = "", _ holder: CSRFHolder = CSRFHolder(sid: Site.sid(1)), lifetime: Seconds = 3_600
    ) throws -> [UInt8] {
        try sealer.sealCSRF(
            form: Array(form.utf8), holder: holder, expires: Site.now + lifetime, now: Site.now, random: &random)
    }

    func openGuest(_ text: [UInt8], now: UnixSeconds = Site.now) -> Opened<Guest> {
        text.withUnsafeBytes { sealer.openGuest($0, now: now) }
    }

    func openCaptcha(_ text: [UInt8], now: UnixSeconds = Site.now) -> Opened<Captcha> {
        text.withUnsafeBytes { sealer.openCaptcha($0, now: now) }
    }

    func check(
        _ text: [UInt8], _ form: String = "", _ holder: CSRFHolder = CSRFHolder(sid: Site.sid(1)),
        now: UnixSeconds = Site.now
    ) -> CSRFCheck {
        text.withUnsafeBytes { sealer.checkCSRF($0, form: Array(form.utf8), holder: holder, now: now) }
    }
}

extension Opened {
    var value: Value? { if case .valid(let value) = self { value } else { nil } }
}
