import SeededRandom
import Testing

@testable import TokenCacheServer

@Suite("Durations and sizes as text")
struct ConfigurationTextTests {
    @Test(
        "a duration means exactly what is written",
        arguments: [
            ("500ms", 500), ("90s", 90_000), ("15m", 900_000), ("12h", 43_200_000), ("30d", 2_592_000_000),
            ("0", 0), ("0ms", 0), ("90", 90_000), ("1.5h", 5_400_000), ("0.5", 500), ("2.50s", 2_500), ("1.000ms", 1),
            ("0.0009765625d", 84_375), ("007s", 7_000), ("9223372036854775807ms", Int64.max),
            ("9223372036854775", 9_223_372_036_854_775_000),
        ] as [(String, Int64)])
    func duration(text: String, milliseconds: Int64) {
        #expect(DurationText.milliseconds(text.utf8) == .success(milliseconds))
    }

    @Test(
        "anything else is refused with its reason",
        arguments: [
            ("", .malformed), ("s", .malformed), ("-1s", .malformed), ("+1s", .malformed), (" 1s", .malformed),
            ("1 s", .malformed), ("1s ", .malformed), ("1.", .malformed), (".5s", .malformed), ("1.s", .malformed),
            ("1.5.5s", .malformed), ("0x10", .malformed), ("1\0s", .malformed), ("١s", .malformed),
            ("1_000", .malformed),
            ("2x", .unknownUnit), ("1e3", .malformed), ("1S", .unknownUnit), ("5min", .unknownUnit),
            ("1w", .unknownUnit),
            ("0.5ms", .inexact), ("0.0001s", .inexact), ("0.33333333333333333333333d", .inexact),
            ("1.00000000000000000000000000001s", .inexact),
            ("9223372036854775808ms", .tooLarge), ("9223372036854775807s", .tooLarge),
            ("99999999999999999999999999d", .tooLarge), ("106751991168d", .tooLarge),
            ("9223372036854775.808s", .tooLarge),
        ] as [(String, DurationText.Fault)])
    func refusedDuration(text: String, fault: DurationText.Fault) {
        #expect(DurationText.milliseconds(text.utf8) == .failure(fault))
    }

    @Test("what is printed is read as the same duration, and in the manual's units")
    func durationRoundTrip() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<20_000 {
            let unit = [1, 1_000, 60_000, 3_600_000, 86_400_000].randomElement(using: &random) ?? 1
            let milliseconds = Int64.random(in: 0...400, using: &random) * Int64(unit)
            let text = DurationText.text(.milliseconds(milliseconds))
            #expect(DurationText.milliseconds(text.utf8) == .success(milliseconds), "\(text)")
        }
        let spoken = ["60s", "15m", "1h", "24h", "2d", "400d", "250ms", "1s", "90s", "0"]
        for text in spoken {
            guard case .success(let milliseconds) = DurationText.milliseconds(text.utf8) else {
                Issue.record("\(text)")
                continue
            }
            #expect(DurationText.text(.milliseconds(milliseconds)) == text)
        }
    }

    @Test("no bytes crash the duration and size parsers, and digits with a unit agree with plain arithmetic")
    func fuzz() {
        var random = SeededRandom(seed: 2)
        let alphabet = Array("0123456789..msmhdkKiBbMG -+e\0\u{e9}".utf8)
        for _ in 0..<100_000 {
            let length = Int.random(in: 0...24, using: &random)
            let bytes = (0..<length).map { _ in alphabet.randomElement(using: &random) ?? 0 }
            let answer = DurationText.milliseconds(bytes)
            if case .success(let milliseconds) = answer { #expect(milliseconds >= 0) }
            bytes.withUnsafeBytes { #expect(DurationText.milliseconds($0) == answer) }
            if case .success(let size) = ByteSizeText.bytes(bytes) { #expect(size >= 0) }
        }
        for _ in 0..<20_000 {
            let number = Int64(bitPattern: random.next() >> UInt64.random(in: 1...63, using: &random))
            let (product, overflowed) = number.multipliedReportingOverflow(by: 60_000)
            #expect(
                DurationText.milliseconds("\(number)m".utf8) == (overflowed ? .failure(.tooLarge) : .success(product)))
            let (bytes, tooLarge) = number.multipliedReportingOverflow(by: 1024)
            #expect(ByteSizeText.bytes("\(number)KiB".utf8) == (tooLarge ? .failure(.tooLarge) : .success(Int(bytes))))
        }
    }

    @Test(
        "a size means exactly what is written",
        arguments: [
            ("0", 0), ("4096", 4096), ("64KiB", 65_536), ("64kb", 65_536), ("64KB", 65_536), ("1MiB", 1_048_576),
            ("1mb", 1_048_576), ("2GiB", 2_147_483_648), ("5b", 5),
        ])
    func size(text: String, bytes: Int) {
        #expect(ByteSizeText.bytes(text.utf8) == .success(bytes))
        #expect(ByteSizeText.bytes(ByteSizeText.text(bytes).utf8) == .success(bytes))
    }

    @Test(
        "a size that could be misunderstood is refused",
        arguments: [
            ("", .malformed), ("-1", .malformed), ("1.5MiB", .malformed), ("1 KiB", .malformed), ("KiB", .malformed),
            ("64k", .unknownUnit), ("64M", .unknownUnit), ("1TiB", .unknownUnit), ("1kibx", .unknownUnit),
            ("9223372036854775807KiB", .tooLarge), ("9223372036854775808", .tooLarge),
        ] as [(String, ByteSizeText.Fault)])
    func refusedSize(text: String, fault: ByteSizeText.Fault) {
        #expect(ByteSizeText.bytes(text.utf8) == .failure(fault))
    }
}
