import SeededRandom
import TokenCrypto
import UnixTime

@testable import Tokens

extension SeededRandom {
    /// Any record that the codec must carry: all that is optional there or not, texts and lists of all lengths.
    mutating func record() -> SessionRecord {
        let created = UnixMilliseconds(Int64.random(in: 0...4_000_000_000_000, using: &self))
        var record = SessionRecord(
            token: fixed(), subject: bytes(Int.random(in: 0...SessionRecord.maxSubject, using: &self)),
            idle: Int64.random(in: 1...40_000_000_000, using: &self),
            absolute: Int64.random(in: 1...40_000_000_000, using: &self), now: created)
        record.revision = Int64.random(in: 1...Int64.max, using: &self)
        record.generation = Int64.random(in: 1...Int64.max, using: &self)
        record.lastAccess = created + Int64.random(in: 0...1_000_000, using: &self)
        if chance(60) {
            record.previous = PreviousToken(
                digest: fixed(), sealedSuccessor: fixed(),
                rotatedAt: created + Int64.random(in: 0...99_999, using: &self))
            if chance(50) { record.confirmedAt = nil }
        }
        record.remembered = (0..<Int.random(in: 0...SessionRecord.maxRemembered, using: &self)).map { _ in
            let retiredAt = created + Int64.random(in: 0..<1 << 40, using: &self)
            return RememberedToken(
                prefix: next(), retiredAt: retiredAt,
                overlapEnd: retiredAt + Int64.random(in: 0..<1 << 32, using: &self))
        }
        if chance(50) { record.forcedGeneration = Int64.random(in: 1...Int64.max, using: &self) }
        if chance(50) { record.login = memo() }
        if chance(50) { record.csrfSalt = fixed() }
        if chance(50) { record.formerSalt = fixed() }
        if chance(50) { record.pageGuest = fixed() }
        if chance(50) { record.authTime = created + Int64.random(in: 1...1_000_000, using: &self) }
        if chance(50) { record.renewedByLogin = created + Int64.random(in: 0...1_000_000, using: &self) }
        if chance(50) { record.loginNumber = Int64.random(in: 1...Int64.max, using: &self) }
        record.isPersistent = chance(50)
        return record
    }

    mutating func memo() -> LoginMemo {
        LoginMemo(
            sid: fixed(), digest: fixed(), sealed: fixed(), subjectDigest: fixed(),
            until: UnixMilliseconds(Int64.random(in: 0...Int64.max, using: &self)),
            firstStep: chance(50) ? LoginMemo.FirstStep(digest: fixed(), sealed: fixed()) : nil)
    }
}
