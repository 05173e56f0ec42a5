import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// G3: no token verifies as another kind, for another holder, another form, another prefix or under a removed key.
@Suite("G3: no token passes for another")
struct CrossMatrixTests {
    static let holders = [
        CSRFHolder(sid: Site.sid(1)), CSRFHolder(sid: Site.sid(2)),
        CSRFHolder(sid: Site.sid(1), salt: Digest(bytes: [UInt8](repeating: 1, count: 32))),
        CSRFHolder(sid: Site.sid(1), salt: Digest(bytes: [UInt8](repeating: 2, count: 32))),
    ]
    /// Pairs that run together without lengths, and a name with zeros.
    static let forms = [
        "", "contact", "contac", "contact2", "t", "contact\0", "CONTACT", String(repeating: "\0", count: 16),
    ]

    @Test("G3: every CSRF token with every holder and every form: only its own pass")
    func csrfHoldersAndForms() throws {
        var site = try Site()
        for (holderIndex, holder) in Self.holders.enumerated() {
            for (formIndex, form) in Self.forms.enumerated() {
                let text = try site.csrf(form, holder)
                for (otherIndex, other) in Self.holders.enumerated() {
                    for (otherForm, name) in Self.forms.enumerated() {
                        let isOwn = holderIndex == otherIndex && formIndex == otherForm
                        #expect(site.check(text, name, other) == (isOwn ? .passed : .failed))
                    }
                }
            }
        }
    }

    @Test("a salt of zeros and none are the same holder: a guest and the session made of it")
    func saltOfZeros() throws {
        var site = try Site()
        let text = try site.csrf("a", CSRFHolder(sid: Site.sid(1)))
        #expect(site.check(text, "a", CSRFHolder(sid: Site.sid(1), salt: Digest())) == .passed)
    }

    @Test("G3: every kind as every other kind is refused")
    func everyKindAsAnother() throws {
        var site = try Site()
        let guest = try site.sealer.seal(Site.guest(), now: Site.now)
        let captcha = try site.seal(Site.captcha())
        let csrf = try site.csrf()
        let session = SessionToken(sid: Site.sid(1), verifier: Verifier()).secretText
        for text in [captcha, csrf, session] { #expect(site.openGuest(text) == .unknown) }
        for text in [guest, csrf, session] { #expect(site.openCaptcha(text) == .unknown) }
        for text in [guest, captcha, session] { #expect(site.check(text) == .failed) }
        for text in [guest, captcha, csrf] { #expect(SessionToken(text: text) == nil) }
    }

    @Test("G3: each purpose has a key of its own: signed with another purpose's key a guest is refused")
    func keyOfEachPurpose() throws {
        let forge = Forge(try Site())
        for purpose in ["guest", "captcha", "csrf", "binding", "guest-verifier"] {
            #expect((forge.site.openGuest(try forge.guest(purpose: purpose)).value != nil) == (purpose == "guest"))
            #expect(
                (forge.site.openCaptcha(try forge.captcha(purpose: purpose)).value != nil) == (purpose == "captcha"))
        }
    }

    /// CSRF tokens, bindings and guests' verifiers by hand, from nothing but what is documented of them.
    @Test("G3: CSRF tokens, bindings and verifiers are those of their documented keys, and of no other")
    func documentedKeys() throws {
        let forge = Forge(try Site())
        let sid = Site.sid(1)
        func delimited(_ parts: [[UInt8]]) -> [UInt8] {
            parts.flatMap { withUnsafeBytes(of: UInt32($0.count).bigEndian) { Array($0) } + $0 }
        }
        func code(_ purpose: String, _ parts: [[UInt8]]) throws -> [UInt8] {
            let mac = try MessageAuthentication(key: try forge.key(purpose))
            return try delimited(parts).withRawBytes { view throws(CryptoError) in try mac.code(of: view) }.bytes
        }
        let header =
            [1, 2] + Array("k1".utf8) + withUnsafeBytes(of: (Site.now.sinceEpoch + 60).bigEndian) { Array($0) }
        let mask = [UInt8](1...32)
        let signals = Signals(ip: .v4(0xC000_0207))
        let policy = BindingPolicy(ip: .strict)
        let binding = try forge.site.sealer.bind(signals, policy: policy, now: Site.now).ip
        let verifier = try forge.site.sealer.guestVerifiers(Site.guest(1))
        for purpose in ["guest", "captcha", "csrf", "binding", "guest-verifier"] {
            let masked = try zip(
                code(purpose, [header, Array("contact".utf8), sid.bytes, [UInt8](repeating: 0, count: 32)]), mask
            ).map { $0 ^ $1 }
            let check = forge.site.check(Base64URL.encode(header + mask + masked), "contact")
            #expect(check == (purpose == "csrf" ? .passed : .failed))

            let bound = try code(purpose, [Array("ip".utf8), [4, 24], [192, 0, 2, 0]]).prefix(16)
            #expect((binding?.bytes == [2] + Array("k1".utf8) + [24] + bound) == (purpose == "binding"))

            var derived = Verifier()
            try forge.key(purpose).withUnsafeBytes { key in
                try derived.withUnsafeMutableBytes {
                    try CryptoContext().deriveKey(from: key, salt: sid.bytes, info: [], into: $0)
                }
            }
            #expect((verifier == [derived]) == (purpose == "guest-verifier"))
        }
    }

    @Test("G3: what another prefix sealed with the same ring is unknown")
    func anotherPrefix() throws {
        var here = try Site(prefix: "tc:")
        var there = try Site(prefix: "tc:b:")
        for (maker, reader) in [(here, there), (there, here)] {
            #expect(reader.openGuest(try maker.sealer.seal(Site.guest(), now: Site.now)) == .unknown)
        }
        #expect(there.openCaptcha(try here.seal(Site.captcha())) == .unknown)
        #expect(here.openCaptcha(try there.seal(Site.captcha())) == .unknown)
        #expect(there.check(try here.csrf()) == .failed)
        #expect(here.check(try there.csrf()) == .failed)
        #expect(
            try here.sealer.guestVerifiers(Site.guest()).map(\.bytes)
                != there.sealer.guestVerifiers(Site.guest()).map(\.bytes))
    }

    @Test("G3: what a removed key sealed is unknown, and a key of the same name does not help")
    func removedKey() throws {
        var before = try Site(keys: [1])
        let guest = try before.sealer.seal(Site.guest(), now: Site.now)
        let captcha = try before.seal(Site.captcha())
        let csrf = try before.csrf()
        let impostor = try Sealer(
            ring: KeyRing(keys: [
                RingKey(
                    kid: "k1", secret: Site.secret(99), created: Site.now - 10,
                    activeFrom: Site.now - 10)
            ]), prefix: Array("tc:".utf8))
        for sealer in [try Site(keys: [2, 3]).sealer, impostor] {
            #expect(guest.withUnsafeBytes { sealer.openGuest($0, now: Site.now) } == .unknown)
            #expect(captcha.withUnsafeBytes { sealer.openCaptcha($0, now: Site.now) } == .unknown)
            let check = csrf.withUnsafeBytes {
                sealer.checkCSRF($0, form: [], holder: CSRFHolder(sid: Site.sid(1)), now: Site.now)
            }
            #expect(check == .failed)
        }
    }

    @Test("G5: through a rotation over hosts every token is good on every host")
    func rotationOverHosts() throws {
        // Old ring, ring with the new key not yet active, active, old key pruned away from neither.
        let old = try RingKey(kid: "a", secret: Site.secret(1), created: UnixSeconds(0), activeFrom: UnixSeconds(0))
        let new = try RingKey(kid: "b", secret: Site.secret(2), created: UnixSeconds(100), activeFrom: Site.now + 3_600)
        let both = try KeyRing(keys: [old, new])
        let hosts = [try Sealer(ring: both, prefix: []), try Sealer(ring: both, prefix: [])]
        for time in [Site.now, Site.now + 3_599, Site.now + 3_600, Site.now + 7_200] {
            for maker in hosts {
                let text = try maker.seal(Site.guest(), now: time)
                for reader in hosts {
                    guard case .valid(let guest) = text.withUnsafeBytes({ reader.openGuest($0, now: time) }) else {
                        Issue.record("refused at \(time)")
                        continue
                    }
                    #expect(guest.key == (time < Site.now + 3_600 ? "a" : "b"))
                }
            }
        }
        // A host whose clock is behind does not sign with the new key, and verifies it.
        let early = try hosts[0].seal(Site.guest(), now: Site.now + 3_600)
        #expect(
            early.withUnsafeBytes {
                if case .valid = hosts[1].openGuest($0, now: Site.now + 3_590) { true } else { false }
            })
    }

    @Test("a guest has one verifier a key, its own key's first, whatever token it shows")
    func oneVerifierAKey() throws {
        let site = try Site(keys: [1, 2, 3])
        let older = try Site(keys: [1])
        let opened = try #require(site.openGuest(try older.sealer.seal(Site.guest(), now: Site.now)).value)
        let renewed = try #require(site.openGuest(try site.sealer.seal(opened, now: Site.now)).value)
        #expect(opened.key == "k1" && renewed.key == "k3")
        let first = try site.sealer.guestVerifiers(opened)
        let second = try site.sealer.guestVerifiers(renewed)
        #expect(first.count == 3 && Set(first.map(\.bytes)) == Set(second.map(\.bytes)))
        #expect(first[0] == second[2] && second[0] == first[1] && first[0] != second[0])
        #expect(try older.sealer.guestVerifiers(opened) == [first[0]])
        #expect(try site.sealer.guestVerifiers(Site.guest(2))[0] != second[0])
    }
}
