import SeededRandom
import Testing

@testable import TokenCacheServer

@Suite("Incomplete requests of all clients together")
struct IncompleteInputTests {
    @Test("past the limit the oldest has to go, then the next")
    func oldestFirst() {
        var input = IncompleteInput(limit: 100)
        input.hold(40, of: 1)
        input.hold(30, of: 2)
        #expect(input.bytes == 70 && input.oldestPastLimit() == nil)
        input.hold(80, of: 1)
        // It grew last, but it began first.
        #expect(input.oldestPastLimit() == 1)
        input.release(1)
        #expect(input.bytes == 30 && input.oldestPastLimit() == nil)
        // A request that begins anew is the youngest.
        input.hold(90, of: 1)
        #expect(input.oldestPastLimit() == 2)
        input.release(2)
        input.release(2)
        #expect(input.bytes == 90 && input.count == 1 && input.oldestPastLimit() == nil)
    }

    @Test("the sum is that of what is held, whatever comes in whatever order")
    func sum() {
        var random = SeededRandom(seed: 7)
        var input = IncompleteInput(limit: 500)
        var model: [(id: UInt64, bytes: Int)] = []
        for _ in 0..<20_000 {
            let id = UInt64.random(in: 0..<20, using: &random)
            if Bool.random(using: &random) {
                let bytes = Int.random(in: 1...100, using: &random)
                input.hold(bytes, of: id)
                if let index = model.firstIndex(where: { $0.id == id }) {
                    model[index].bytes = bytes
                } else {
                    model.append((id, bytes))
                }
            } else {
                input.release(id)
                model.removeAll { $0.id == id }
            }
            let sum = model.reduce(0) { $0 + $1.bytes }
            #expect(input.bytes == sum && input.count == model.count)
            #expect(input.oldestPastLimit() == (sum > 500 ? model.first?.id : nil))
        }
    }
}
