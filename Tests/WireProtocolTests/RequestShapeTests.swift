import Foundation
import SeededRandom
import Testing
import WireProtocol

/// A request like the one before is not parsed again: whatever comes is read as a parser reads it that has seen nothing.
@Suite("Shapes of requests")
struct RequestShapeTests {
    private static let names = NameTable(["TOKEN.VALIDATE", "TOKEN.GET", "PING"])
    /// Requests of each seed; the long form reads millions.
    private static let rounds = ProcessInfo.processInfo.environment["LONG_TESTS"] == nil ? 5_000 : 500_000

    @Test("requests of one shape, or nearly of one, are read as parsed anew, in any pieces", arguments: 0..<8)
    func asParsedAnew(_ seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var parser = RequestParser()
        var repeats = 0
        var last: [UInt8] = []
        for _ in 0..<Self.rounds {
            let request = Self.next(after: last, using: &random)
            last = request
            // Cut at up to three places; each call sees exactly what is there.
            var cuts = (0..<Int.random(in: 0...3, using: &random)).map { _ in
                Int.random(in: 1...request.count, using: &random)
            }
            cuts.append(request.count)
            var outcome = RequestParser.Outcome.incomplete
            for cut in cuts.sorted() where outcome == .incomplete {
                outcome = Self.parse(request, upTo: cut, &parser)
            }
            var anew = RequestParser()
            let expected = Self.parse(request, upTo: request.count, &anew)
            guard outcome == expected else {
                Issue.record("seed \(seed): \(outcome) instead of \(expected): \(request)")
                return
            }
            guard case .request = outcome else {
                // What failed or is not whole is forgotten, as with its connection.
                parser = RequestParser()
                last = []
                continue
            }
            guard parser.arguments == anew.arguments else {
                Issue.record("seed \(seed): \(parser.arguments) instead of \(anew.arguments): \(request)")
                return
            }
            let note = Self.note(request, parser)
            if parser.note != 0 { repeats += 1 }
            guard parser.note == 0 || parser.note == note else {
                Issue.record("seed \(seed): the name of another request: \(request)")
                return
            }
            parser.note = note
        }
        // The shortcut was taken, and not always.
        #expect(repeats > Self.rounds / 20 && repeats < Self.rounds * 9 / 10)
    }

    /// The name that was found, and that it does not end in the last word.
    private static func note(_ request: [UInt8], _ parser: RequestParser) -> UInt16 {
        guard let first = parser.arguments.first else { return 0 }
        return request.withUnsafeBytes { bytes in
            let second = parser.arguments.dropFirst().first.map { UnsafeRawBufferPointer(rebasing: bytes[$0]) }
            let found = names.lookup(first: UnsafeRawBufferPointer(rebasing: bytes[first]), second: second)
            return found.map { $0.words < parser.arguments.count ? UInt16($0.index + 1) : 0 } ?? 0
        }
    }

    private static func parse(_ request: [UInt8], upTo end: Int, _ parser: inout RequestParser) -> RequestParser.Outcome
    {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: end, alignment: 1)
        defer { buffer.deallocate() }
        buffer.copyBytes(from: request[..<end])
        return parser.parse(buffer)
    }

    /// Mostly one like the last, with another last argument; sometimes with one byte changed, anywhere; sometimes another.
    private static func next(after last: [UInt8], using random: inout SeededRandom) -> [UInt8] {
        let choice = Int.random(in: 0..<20, using: &random)
        if last.count > 40, choice < 14 {
            var request = last
            for index in max(0, last.count - 22)..<last.count - 2 {
                request[index] = UInt8.random(in: 0...255, using: &random)
            }
            return request
        }
        if !last.isEmpty, choice < 16 {
            var request = last
            request[Int.random(in: 0..<request.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            return request
        }
        let head = [
            ["TOKEN.VALIDATE"], ["token.get"], ["TOKEN", "VALIDATE"], ["PING"], ["TOKEN.GET", "a"], ["nothing"], [],
        ][Int.random(in: 0..<7, using: &random)]
        let length = [0, 1, 20, 64, 128, 130][Int.random(in: 1..<6, using: &random)]
        let tail = String(repeating: "f", count: length)
        let words = head + [tail]
        return Array(("*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()).utf8)
    }
}
