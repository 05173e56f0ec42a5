/// Requests at fixed times that were never sent.
struct Backlog {
    /// Some that are recorded as one.
    struct Part: Equatable {
        /// When the last of them was meant to be sent: none of them waited less than that one.
        var meant: Int64
        var count: Int
    }

    /// Parts at most: a rate far beyond the server leaves millions of requests.
    static let mostParts = 10_000

    /// Number of the first one, counted from `begin`, and nanoseconds between two.
    var from: Double
    var interval: Double
    var begin: Int64

    private func meant(_ number: Int) -> Int64 { begin + Int64(Double(number) * interval) }

    /// The numbers of those that were meant within the time given.
    private func numbers(from start: Int64, until end: Int64) -> Range<Int> {
        func firstNumber(at time: Int64) -> Int {
            var number = max(0, Int(Double(time - begin) / interval))
            // Nanoseconds are whole, intervals are not.
            while number > 0, meant(number - 1) >= time { number -= 1 }
            while meant(number) < time { number += 1 }
            return number
        }
        let first = max(Int(from), firstNumber(at: start))
        return first..<max(first, firstNumber(at: end))
    }

    func count(from start: Int64, until end: Int64) -> Int { numbers(from: start, until: end).count }

    /// All that were meant within the time given, in at most ``mostParts`` parts of nearly the same size.
    func parts(from start: Int64, until end: Int64) -> [Part] {
        let numbers = numbers(from: start, until: end)
        let parts = min(numbers.count, Self.mostParts)
        return (0..<parts).map { part in
            let first = numbers.lowerBound + part * numbers.count / parts
            let next = numbers.lowerBound + (part + 1) * numbers.count / parts
            return Part(meant: meant(next - 1), count: next - first)
        }
    }
}
