import SeededRandom
import TokenCrypto
import UnixTime

@testable import Tokens

/// The tokens of an exploration by number, with real digests and seals: number 0 is the first token of the session,
/// request n brings the candidate n + 1.
final class Symbols {
    static let forged: UInt8 = 15
    /// The token of another session, made by a LOGIN that found nothing to build on: outside of what is explored.
    static let elsewhere: UInt8 = 14

    let crypto: CryptoContext
    let sid: SessionID
    let otherSid: SessionID
    let verifiers: [Verifier]
    let digests: [Digest]
    static let subject = Array("alice".utf8)
    let subjectDigest: Digest
    private let numbers: [UInt64: UInt8]
    private var seals: [SealedVerifier?] = Array(repeating: nil, count: 256)

    init() throws {
        let crypto = try CryptoContext()
        var random = SeededRandom(seed: 1)
        self.crypto = crypto
        sid = try random.bytes()
        otherSid = try random.bytes()
        verifiers = try (0..<16).map { _ in try random.bytes() }
        digests = try verifiers.map { try crypto.digest($0) }
        subjectDigest = try crypto.digest(Self.subject)
        numbers = Dictionary(uniqueKeysWithValues: digests.enumerated().map { ($1.prefix, UInt8($0)) })
    }

    func number(of prefix: UInt64) -> UInt8 { numbers[prefix] ?? 255 }
    func number(of digest: Digest) -> UInt8 { number(of: digest.prefix) }
    func number(of verifier: Verifier) throws -> UInt8 { number(of: try crypto.digest(verifier)) }

    func token(_ number: UInt8) -> SessionToken { SessionToken(sid: sid, verifier: verifiers[Int(number)]) }

    func seal(_ new: UInt8, under old: UInt8) throws -> SealedVerifier {
        let index = Int(old) * 16 + Int(new)
        if let known = seals[index] { return known }
        let sealed = try crypto.seal(verifiers[Int(new)], under: verifiers[Int(old)], sid: sid)
        seals[index] = sealed
        return sealed
    }
}

/// Time of an exploration: whole ticks of a second. Rotation is due after two ticks, overlap and grace last one.
enum Ticks {
    private static let start = UnixMilliseconds(1_700_000_000_000)
    static func time(_ tick: Int) -> UnixMilliseconds { start + Milliseconds(tick) * 1_000 }
    static func tick(_ time: UnixMilliseconds) -> UInt8 { UInt8(clamping: (time - start) / 1_000 + 8) }
    static let rotationAfter = 2
    static let overlap = 1
    static let grace = 1
    /// A command that was given up may still act for so long.
    static let commandLifetime = 1
}
