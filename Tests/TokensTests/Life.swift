import SeededRandom
import Testing
import TokenCrypto
import UnixTime

@testable import Tokens

/// The n-th verifier of a test, with what the store would keep of it.
struct TestToken {
    let verifier: Verifier
    let digest: Digest

    init(_ number: Int) throws {
        var random = SeededRandom(seed: UInt64(number))
        verifier = try random.bytes()
        digest = try CryptoContext().digest(verifier)
    }
}

/// A session taken through its life by hand, with a clock that stands until it is set.
struct Life {
    static let start = UnixMilliseconds(1_700_000_000_000)
    static let minute: Milliseconds = 60_000

    var policy = TokenPolicy()
    var now = Life.start
    var record: SessionRecord
    private(set) var tokens: [TestToken]
    let sid: SessionID
    private let crypto: CryptoContext

    init(policy: TokenPolicy = TokenPolicy()) throws {
        self.policy = policy
        crypto = try CryptoContext()
        var random = SeededRandom(seed: 4_711)
        sid = try random.bytes()
        tokens = [try TestToken(0)]
        record = SessionRecord(
            token: tokens[0].digest, subject: [], idle: policy.idle, absolute: policy.absolute, now: Life.start)
    }

    /// A rotation on access; the successor is pending.
    mutating func rotate() throws {
        let successor = try TestToken(tokens.count)
        let sealed = try crypto.seal(successor.verifier, under: tokens[tokens.count - 1].verifier, sid: sid)
        record = record.rotated(to: successor.digest, sealed: sealed, policy: policy, now: now)
        tokens.append(successor)
    }

    mutating func confirm() { record = record.confirmed(now: now) }

    mutating func rotateAndConfirm() throws {
        try rotate()
        confirm()
    }

    mutating func force() throws {
        let successor = try TestToken(tokens.count)
        record = record.forced(
            to: successor.digest, csrfSalt: successor.digest, pageGuest: nil, policy: policy, now: now)
        tokens.append(successor)
    }

    func standing(_ token: Int) -> Standing { record.standing(of: tokens[token].digest, policy: policy, now: now) }
    func access(_ token: Int) -> AccessDecision {
        record.decideAccess(digest: tokens[token].digest, policy: policy, now: now)
    }

    /// What it is at a moment, without moving the clock.
    func standing(_ token: Int, at moment: UnixMilliseconds) -> Standing {
        record.standing(of: tokens[token].digest, policy: policy, now: moment)
    }
    func access(_ token: Int, at moment: UnixMilliseconds) -> AccessDecision {
        record.decideAccess(digest: tokens[token].digest, policy: policy, now: moment)
    }
}

extension Array where Element == RecordField {
    /// As `HGETALL` gives it.
    var hash: [[UInt8]] { flatMap { [$0.name, $0.value] } }
}
