import EventLoop
import TestSupport
import Testing
import Tokens

@testable import TokenCache

@Suite("What was acknowledged is remembered for a failover")
struct AcknowledgedWritesTests {
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000_000)

    private static func sid(_ number: Int) throws -> SessionID {
        let digits = String(number, radix: 16)
        let text = String(repeating: "0", count: 32 - digits.count) + digits
        guard let sid = SessionID(text: text.utf8) else { throw HarnessFailure("no sid: \(text)") }
        return sid
    }

    private static func data(_ bytes: Int) -> DataChange {
        .set([RecordField(name: Array("a".utf8), value: Array(repeating: 1, count: bytes))])
    }

    private func horizon(answered: MonotonicInstant, now: MonotonicInstant) -> AcknowledgedWrites.Horizon {
        AcknowledgedWrites.Horizon(answeredAt: answered, now: now, tombstone: .seconds(600))
    }

    @Test("for a minute in which the servers answered, of a session the last one")
    func minute() throws {
        var writes = AcknowledgedWrites()
        writes.insert(.absent, of: try Self.sid(1), data: .none, at: start)
        writes.insert(.absent, of: try Self.sid(2), data: .none, at: start + .seconds(30))
        writes.insert(.absent, of: try Self.sid(1), data: Self.data(7), at: start + .seconds(40))
        for (second, left) in [(60, [2, 1]), (91, [1]), (101, [])] as [(Int64, [Int])] {
            writes.forget(horizon(answered: start + .seconds(second), now: start + .seconds(second)))
            let sids = try left.map(Self.sid)
            #expect(writes.all().map(\.sid) == sids && writes.count == left.count, "\(second)")
        }
        #expect(writes.bytes == 0)
        // One that never answered says nothing of time.
        writes.insert(.absent, of: try Self.sid(3), data: .none, at: start)
        writes.forget(horizon(answered: .earliest, now: start + .seconds(599)))
        #expect(writes.count == 1)
        // But past an end's time its sid may be another session's.
        writes.forget(horizon(answered: .earliest, now: start + .seconds(601)))
        #expect(writes.count == 0)
    }

    @Test("past 64 MiB of data the oldest goes, and one that is larger by itself is kept alone")
    func bytes() throws {
        var writes = AcknowledgedWrites()
        for number in 1...3 {
            writes.insert(.absent, of: try Self.sid(number), data: Self.data(30 << 20), at: start)
        }
        #expect(writes.all().map(\.sid) == [try Self.sid(2), try Self.sid(3)])
        #expect(writes.bytes <= AcknowledgedWrites.maxBytes)
        #expect(writes.dropped == 1)
        // One that a later one of its session has replaced is not missed.
        writes.insert(.absent, of: try Self.sid(2), data: .none, at: start)
        writes.insert(.absent, of: try Self.sid(4), data: Self.data(65 << 20), at: start)
        #expect(writes.all().map(\.sid) == [try Self.sid(4)])
        #expect(writes.dropped == 3)
        // What is over is not, either.
        writes.forget(horizon(answered: start + .seconds(61), now: start + .seconds(61)))
        #expect(writes.count == 0 && writes.dropped == 3)
    }

    @Test("past 65,536 the oldest goes, and is counted")
    func capacity() throws {
        var writes = AcknowledgedWrites()
        for number in 0..<AcknowledgedWrites.capacity + 3 {
            writes.insert(.absent, of: try Self.sid(number), data: .none, at: start)
        }
        #expect(writes.count == AcknowledgedWrites.capacity && writes.dropped == 3)
        #expect(writes.all().first?.sid == (try Self.sid(3)))
    }

    @Test("what is repeated on other masters is bounded, too, however many fail one after the other")
    func repeated() throws {
        var writes = RepeatedWrites()
        func insert(_ number: Int, _ bytes: Int = 0) throws -> [UInt64] {
            let item = RepeatedWrites.Item(
                wanted: .absent, data: bytes == 0 ? .none : Self.data(bytes), until: start, hold: UInt64(number))
            return writes.insert(item, of: try Self.sid(number)).map(\.hold)
        }
        for number in 0..<AcknowledgedWrites.capacity { #expect(try insert(number) == []) }
        // The same session again takes no room.
        #expect(try insert(5) == [] && writes.count == AcknowledgedWrites.capacity)
        // Whoever waits for what goes is let go of.
        #expect(try insert(AcknowledgedWrites.capacity) == [0])
        #expect(try insert(AcknowledgedWrites.capacity + 1, 40 << 20) == [1])
        #expect(writes.count == AcknowledgedWrites.capacity && writes.dropped == 2)
        // By its data it is worth all that are before it.
        #expect(try insert(AcknowledgedWrites.capacity + 2, 40 << 20).count == AcknowledgedWrites.capacity)
        #expect(writes.count == 1 && writes.bytes <= AcknowledgedWrites.maxBytes)
        #expect(try insert(1, 65 << 20).count == 1 && writes.count == 1)
        #expect(writes.popFirst()?.item.hold == 1 && writes.bytes == 0 && writes.popFirst() == nil)
    }
}
