import Foundation
import TestSupport
import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// G4: tokens sealed here are read by PyJWT, joserfc and jwcrypto, and theirs here, with nothing in common but the key
/// ring file and the documented derivation of keys.
@Suite("G4: independent libraries", .timeLimit(.minutes(10)))
struct IndependentLibraryTests {
    static let prefix = "tc:peers:"

    /// One token with what its maker says of it.
    struct Entry: Codable {
        var kind: String
        var library: String?
        var kid: String?
        var token: String
        var claims: Claims
        /// Why it must be refused; empty if it is good.
        var why: String?
    }

    struct Claims: Codable, Equatable {
        var jti: String?
        var iat: Int64?
        var exp: Int64?
        var end: Int64?
        var beg: Int64?
        var sol: String?
        var frm: String?
        var `for`: String?
        var bnd: [String: String]?
    }

    let folder: TemporaryFolder
    let ringPath: String
    let sealer: Sealer
    let python: Python
    let now = UnixSeconds(Int64(Date().timeIntervalSince1970))

    init() throws {
        folder = try TemporaryFolder()
        ringPath = folder.file("keyring.json")
        var random = SystemRandom()
        let now = now
        let keys = try ["first", "second_2", "-"].enumerated().map { index, kid in
            try RingKey(
                kid: kid, secret: .random(count: 32, from: &random), created: now,
                activeFrom: now - 30 + Int64(index) * 10)
        }
        try KeyRingFile.write(KeyRing(keys: keys), path: ringPath, mustBeNew: true)
        sealer = try Sealer(
            ring: KeyRingFile.load(path: ringPath, isCredential: false), prefix: Array(Self.prefix.utf8))
        python = try Python()
    }

    private func openGuest(_ token: some Collection<UInt8>) -> Opened<Guest> {
        Array(token).withUnsafeBytes { sealer.openGuest($0, now: now) }
    }

    private func openCaptcha(_ token: some Collection<UInt8>) -> Opened<Captcha> {
        Array(token).withUnsafeBytes { sealer.openCaptcha($0, now: now) }
    }

    @Test("ours verify there, with every claim, under every key")
    func ours() throws {
        var random: any RandomSource = SystemRandom()
        var entries: [Entry] = []
        let signals = Signals(ip: IPAddress(text: "192.0.2.7".utf8), userAgent: Array("Firefox".utf8))
        for number in 0..<200 {
            // Each key was the one that signs at some time.
            let time = now - 30 + Int64(number % 3) * 10
            let bindings = try sealer.bind(
                signals, policy: number % 2 == 0 ? BindingPolicy() : BindingPolicy(ip: .strict, userAgent: .log),
                now: time)
            let bound =
                bindings.isEmpty
                ? nil
                : Dictionary(
                    uniqueKeysWithValues: Signal.allCases.compactMap { signal in
                        bindings[signal].map { (signal.rawValue, text(Base64URL.encode($0.bytes))) }
                    })
            let kid = ["first", "second_2", "-"][number % 3]
            let guest = Guest(
                sid: try random.bytes(), issued: time, expires: now + 86_400, end: now + 2_592_000, bindings: bindings)
            entries.append(
                Entry(
                    kind: "guest", kid: kid, token: text(try sealer.seal(guest, now: time)),
                    claims: Claims(
                        jti: guest.sid.description, iat: time.sinceEpoch, exp: guest.expires.sinceEpoch,
                        end: guest.end.sinceEpoch, beg: guest.made.sinceEpoch, bnd: bound)))
            let form = ["", "contact", "ünïcode \"\\\n\u{1}🍏/"][number % 3]
            let captcha = Captcha(
                id: try random.bytes(), issued: time, expires: now + 600, solution: Array("K7wXe".utf8),
                form: Array(form.utf8), holder: number % 2 == 0 ? nil : guest.sid, bindings: bindings)
            entries.append(
                Entry(
                    kind: "captcha", kid: kid, token: text(try sealer.seal(captcha, now: time, random: &random)),
                    claims: Claims(
                        jti: captcha.id.description, iat: time.sinceEpoch, exp: captcha.expires.sinceEpoch,
                        sol: "K7wXe", frm: form.isEmpty ? nil : form, for: captcha.holder?.description, bnd: bound)))
        }
        let counted = try python.sealed("read", ringPath, Self.prefix, input: JSONEncoder().encode(entries))
        // Three libraries read each guest, two each captcha.
        #expect(counted == "1000\n")
    }

    @Test("theirs verify here; changed in any place, or with any trick in header or claims, they do not")
    func theirs() throws {
        let output = try python.sealed("make", ringPath, Self.prefix)
        let entries = try JSONDecoder().decode([Entry].self, from: Data(output.utf8))
        var good = 0
        for entry in entries {
            let token = Array(entry.token.utf8)
            if let why = entry.why, !why.isEmpty {
                #expect(openGuest(token) == .unknown && openCaptcha(token) == .unknown, "\(entry.kind): \(why)")
                continue
            }
            let found = entry.kind == "guest" ? guestClaims(token) : captchaClaims(token)
            #expect(found == entry.claims, "\(entry.library ?? "")")
            good += 1
            for _ in 0..<8 {
                var changed = token
                let place = Int.random(in: token.indices)
                changed[place] ^= UInt8.random(in: 1...127)
                let text = "\(entry.library ?? "") \(entry.kind), byte \(place)"
                #expect(openGuest(changed) == .unknown && openCaptcha(changed) == .unknown, "\(text)")
            }
        }
        #expect(good == 2_000 && entries.count - good >= 40)
        #expect(Set(entries.compactMap(\.library)) == ["PyJWT", "joserfc", "jwcrypto", ""])
    }

    private func guestClaims(_ token: [UInt8]) -> Claims? {
        guard case .valid(let guest) = openGuest(token) else { return nil }
        return Claims(
            jti: guest.sid.description, iat: guest.issued.sinceEpoch, exp: guest.expires.sinceEpoch,
            end: guest.end.sinceEpoch, beg: guest.made.sinceEpoch)
    }

    private func captchaClaims(_ token: [UInt8]) -> Claims? {
        guard case .valid(let captcha) = openCaptcha(token) else { return nil }
        return Claims(
            jti: captcha.id.description, iat: captcha.issued.sinceEpoch, exp: captcha.expires.sinceEpoch,
            sol: text(captcha.solution), frm: captcha.form.isEmpty ? nil : text(captcha.form),
            for: captcha.holder?.description)
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
