/// Makes a failing run small: events that it can do without are left out, as long as the same invariant is missed.
enum Shrinking {
    static func shrink(_ setup: Setup, removing rule: RemovedRule? = nil) -> Setup {
        guard let invariant = Simulation.run(setup, removing: rule).violations.first?.invariant else { return setup }
        func fails(_ setup: Setup) -> Bool {
            Simulation.run(setup, removing: rule).violations.contains { $0.invariant == invariant }
        }
        var smallest = setup
        var piece = max(1, setup.events.count / 2)
        while true {
            var start = 0
            while start < smallest.events.count {
                var shorter = smallest
                shorter.events.removeSubrange(start..<min(start + piece, shorter.events.count))
                if !shorter.events.isEmpty, fails(shorter) { smallest = shorter } else { start += piece }
            }
            if piece == 1 { break }
            piece /= 2
        }
        for name in smallest.numbers.keys.sorted() {
            var plainer = smallest
            plainer.numbers[name] = Setup.defaults[name]
            if fails(plainer) { smallest = plainer }
        }
        smallest.expects = [invariant]
        return smallest
    }
}
