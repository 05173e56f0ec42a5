import Foundation

/// Two rates beside each other on a machine that is not quiet: by turns, in seven rounds.
public enum SpeedRatio {
    private static let rounds = 7

    /// Prints each round, the median and the spread.
    /// - Parameters:
    ///   - what: is measured, as the last line begins.
    ///   - secure: over TLS, a second; `plain`: over plain TCP.
    /// - Returns: the median of TLS to plain TCP.
    public static func median(
        _ what: String, secure: () throws -> Double, plain: () throws -> Double
    ) rethrows -> Double {
        var ratios: [Double] = []
        for round in 1...rounds {
            let (slow, fast) = (try secure(), try plain())
            ratios.append(slow / fast)
            print("round \(round): TLS \(Int(slow))/s, plain \(Int(fast))/s")
        }
        ratios.sort()
        let median = ratios[ratios.count / 2]
        let spread = [median, ratios[0], ratios[ratios.count - 1]].map { String(format: "%.2f", $0) }
        print("\(what): \(spread[0]) of plain TCP (\(spread[1])–\(spread[2]))")
        return median
    }
}
