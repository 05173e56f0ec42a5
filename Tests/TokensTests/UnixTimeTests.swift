import Testing
import UnixTime

/// Times may come from Redis, a peer or a file: any 64 bits, and nothing traps on them.
@Suite("Times")
struct UnixTimeTests {
    private static let extremes: [Int64] = [.min, .min + 1, -1_001, -1_000, -1, 0, 1, 999, 1_000, .max - 1, .max]

    @Test("a sum or difference that has no room stays at the end of the range")
    func saturates() {
        for number in Self.extremes {
            for length in Self.extremes {
                let time = UnixMilliseconds(number)
                #expect((time + length).sinceEpoch == Self.clamp(Int128(number) + Int128(length)))
                #expect((time - length).sinceEpoch == Self.clamp(Int128(number) - Int128(length)))
                #expect(time - UnixMilliseconds(length) == Self.clamp(Int128(number) - Int128(length)))
                let second = UnixSeconds(number)
                #expect((second + length).sinceEpoch == Self.clamp(Int128(number) + Int128(length)))
                #expect((second - length).sinceEpoch == Self.clamp(Int128(number) - Int128(length)))
                #expect(second - UnixSeconds(length) == Self.clamp(Int128(number) - Int128(length)))
            }
            #expect(UnixSeconds(number).milliseconds.sinceEpoch == Self.clamp(Int128(number) * 1_000))
        }
    }

    @Test(
        "whole seconds are rounded down, before 1970, too",
        arguments: [(0, 0), (999, 0), (1_000, 1), (-1, -1), (-1_000, -1), (-1_001, -2), (1_700_000_999, 1_700_000)]
            as [(Milliseconds, Seconds)])
    func roundedDown(milliseconds: Milliseconds, seconds: Seconds) {
        #expect(UnixMilliseconds(milliseconds).seconds == UnixSeconds(seconds))
    }

    @Test("seconds of the first and last time there are")
    func firstAndLast() {
        for number in Self.extremes {
            let seconds = UnixMilliseconds(number).seconds.sinceEpoch
            let rest = Int128(number) - Int128(seconds) * 1_000
            #expect((0..<1_000).contains(rest), "\(number)")
        }
    }

    @Test("times are in order, and print as they are written in replies")
    func orderAndText() {
        #expect(UnixMilliseconds.earliest < UnixMilliseconds(0) && UnixMilliseconds(0) < .latest)
        #expect("\(UnixMilliseconds(1_700_000_000_000)) \(UnixSeconds(-1))" == "1700000000000 -1")
    }

    private static func clamp(_ number: Int128) -> Int64 { Int64(clamping: number) }
}
