import EventLoop
import SeededRandom
import Testing
import TokenCrypto
import Tokens

@testable import TokenCache

@Suite("Subjects whose sessions were ended")
struct EndedSubjectsTests {
    private static func sid(_ number: UInt8) -> SessionID {
        SessionID(bytes: [UInt8](repeating: number, count: SessionID.byteCount)) ?? SessionID()
    }
    private static func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    @Test("all sessions of the subject but the spared one, until what was before it is told")
    func spared() {
        var ended = EndedSubjects()
        #expect(ended.isEmpty)
        ended.insert([1], but: Self.sid(1), at: Self.at(10))
        #expect(
            ended.contains([1], Self.sid(2)) && !ended.contains([1], Self.sid(1)) && !ended.contains([2], Self.sid(2)))
        // The second one spares another: neither is believed.
        ended.insert([1], but: Self.sid(2), at: Self.at(11))
        #expect(ended.contains([1], Self.sid(1)) && ended.contains([1], Self.sid(2)))
        ended.removeAll(provedAt: Self.at(11))
        #expect(!ended.isEmpty, "a proof of the same moment proves nothing")
        ended.removeAll(provedAt: Self.at(12))
        #expect(ended.isEmpty && !ended.contains([1], Self.sid(2)))
    }

    @Test("where there are more than it keeps it holds for everybody, and not for longer")
    func many() {
        var ended = EndedSubjects()
        for number in 0..<EndedSubjects.most {
            ended.insert([UInt8(number >> 8), UInt8(number & 255)], but: nil, at: Self.at(10))
        }
        #expect(!ended.contains([9, 9, 9], Self.sid(1)))
        ended.insert([7, 7, 7], but: nil, at: Self.at(10))
        #expect(ended.contains([9, 9, 9], Self.sid(1)))
        ended.removeAll(provedAt: Self.at(11))
        #expect(!ended.contains([9, 9, 9], Self.sid(1)) && ended.isEmpty)
    }
}
