import SeededRandom
import Testing

@testable import TokenCache

/// A walk over a sorted set that others change meanwhile, against the promise: who stands there throughout is seen.
@Suite("A walk over the index")
struct IndexCursorTests {
    private typealias Member = IndexCursor.Member

    /// A sorted set as Redis keeps it: by score, then by the bytes of the member.
    private struct SortedSet {
        private(set) var scores: [[UInt8]: Int] = [:]

        mutating func add(_ name: [UInt8], _ score: Int) { scores[name] = max(score, scores[name] ?? score) }
        mutating func remove(_ name: [UInt8]) { scores[name] = nil }

        func page(_ cursor: IndexCursor, size: Int) -> [Member] {
            let arguments = cursor.arguments(pageSize: size).map { String(decoding: $0, as: UTF8.self) }
            let least = Int(arguments[0]) ?? .min
            return scores.filter { $0.value >= least }
                .sorted { ($0.value, text($0.key)) < ($1.value, text($1.key)) }
                .dropFirst(Int(arguments[4]) ?? 0).prefix(Int(arguments[5]) ?? 0)
                .map { Member(score: Array(String($0.value).utf8), name: $0.key) }
        }

        private func text(_ name: [UInt8]) -> String { String(decoding: name, as: UTF8.self) }
    }

    @Test(
        "who stands there throughout is seen, whatever is added and removed between pages",
        arguments: 0..<300 as Range<UInt64>)
    func memberThroughoutIsSeen(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
        let scores = number(1..<6)
        let size = number(2..<8)
        var set = SortedSet()
        let names = (0..<60).map { Array("m\(number(0..<1_000_000))-\($0)".utf8) }
        for name in names { set.add(name, 100 + number(0..<scores)) }
        var throughout = Set(names)
        var seen: Set<[UInt8]> = []
        var cursor: IndexCursor? = .start
        var pages = 0
        while let at = cursor, pages < 5_000 {
            pages += 1
            let page = set.page(at, size: size)
            #expect(page.count <= size)
            let (found, next) = at.advanced(over: page, pageSize: size)
            seen.formUnion(found.map(\.name))
            cursor = next
            // What was seen leaves, mostly, as it does where sessions are ended; others come and go.
            for member in found where number(0..<10) < 7 { set.remove(member.name) }
            if number(0..<4) == 0, let name = names.randomElement(using: &random) {
                set.remove(name)
                throughout.remove(name)
            }
            if pages < 200, number(0..<3) == 0 { set.add(Array("n\(pages)".utf8), 100 + number(0..<scores)) }
        }
        #expect(cursor == nil, "the walk ends")
        #expect(throughout.isSubset(of: seen), "\(throughout.subtracting(seen).count) were passed over (seed \(seed))")
    }

    @Test("a walk nobody disturbs sees each member once, in as many pages as it takes")
    func undisturbedWalk() {
        var set = SortedSet()
        for index in 0..<1_000 { set.add(Array("m\(1_000 + index)".utf8), index < 900 ? 1 : index) }
        var cursor: IndexCursor? = .start
        var seen: [[UInt8]] = []
        var pages = 0
        while let at = cursor {
            pages += 1
            let (found, next) = at.advanced(over: set.page(at, size: 100), pageSize: 100)
            seen += found.map(\.name)
            cursor = next
        }
        #expect(seen.count == 1_000 && Set(seen).count == 1_000)
        #expect(pages < 60, "\(pages) pages")
    }
}
