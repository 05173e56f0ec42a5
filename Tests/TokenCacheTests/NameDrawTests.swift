import Testing

@testable import TokenCache

@Suite("Names are drawn until one fits, a few in each turn of the loop")
struct NameDrawTests {
    /// A loop that runs its turns one by one.
    private final class Turns {
        var bodies: [() -> Void] = []

        func run() {
            let turn = bodies
            bodies = []
            for body in turn { body() }
        }
    }

    private struct Broken: Error {}

    @Test("so many in a turn, up to so many in all", arguments: [1, 100, 101, 9_999, 10_000, 10_001])
    func turns(fit: Int) throws {
        let turns = Turns()
        var drawn = 0
        var outcomes: [Int?] = []
        let draw = NameDraw<Int>(
            later: { turns.bodies.append($0) },
            make: {
                drawn += 1
                return drawn
            }, fits: { $0 == fit })
        draw.begin { outcomes.append((try? $0.get()) ?? nil) }
        #expect(drawn == 0)
        while !turns.bodies.isEmpty {
            let before = drawn
            turns.run()
            #expect((1...100).contains(drawn - before))
        }
        #expect(outcomes == [fit <= 10_000 ? fit : nil] && drawn == min(fit, 10_000))
    }

    @Test("where none can be made, that is the answer")
    func broken() {
        let turns = Turns()
        var faults = 0
        NameDraw<Int>(later: { turns.bodies.append($0) }, make: { throw Broken() }, fits: { _ in true }).begin {
            if case .failure = $0 { faults += 1 }
        }
        while !turns.bodies.isEmpty { turns.run() }
        #expect(faults == 1)
    }
}
