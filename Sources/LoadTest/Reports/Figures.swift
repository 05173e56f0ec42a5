internal import Foundation

/// Numbers as people read them, the same in every report; `–` for what was not measured.
enum Figures {
    private static let absent = "–"

    /// `1,234,567`
    static func grouped(_ number: Int) -> String {
        var digits = String(number.magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        groups.insert(digits, at: 0)
        return (number < 0 ? "-" : "") + groups.joined(separator: ",")
    }

    /// `381k`, `4.52M`: requests a second.
    static func rate(_ perSecond: Double) -> String {
        switch perSecond {
        case 999_500...: fixed(perSecond / 1e6, 2) + "M"
        case 99_950...: fixed(perSecond / 1e3, 0) + "k"
        case 999.5...: fixed(perSecond / 1e3, 1) + "k"
        default: fixed(perSecond, 0)
        }
    }

    /// `0.22 µs`, `14.5 µs`, `3.1 ms`
    static func time(microseconds value: Double?) -> String {
        guard let value else { return absent }
        return switch value {
        case 999_500...: fixed(value / 1e6, 2) + " s"
        case 99_950...: fixed(value / 1e3, 0) + " ms"
        case 9_995...: fixed(value / 1e3, 1) + " ms"
        case 999.5...: fixed(value / 1e3, 2) + " ms"
        case 99.5...: fixed(value, 0) + " µs"
        case 9.95...: fixed(value, 1) + " µs"
        default: fixed(value, 2) + " µs"
        }
    }

    /// `64.0 MiB`
    static func bytes(_ count: Double?) -> String {
        guard let count else { return absent }
        return switch count {
        case 1_073_741_824...: fixed(count / 1_073_741_824, 2) + " GiB"
        case 1_048_576...: fixed(count / 1_048_576, 1) + " MiB"
        case 10_240...: fixed(count / 1_024, 1) + " KiB"
        default: fixed(count, 0) + " B"
        }
    }

    static func percent(_ share: Double?) -> String { share.map { fixed($0 * 100, 1) + " %" } ?? absent }

    static func ratio(_ value: Double) -> String { fixed(value, 2) }

    /// `1.03 (0.98–1.07)`
    static func ratio(_ spread: Spread?) -> String {
        guard let spread else { return absent }
        return "\(ratio(spread.median)) (\(ratio(spread.lowest))–\(ratio(spread.highest)))"
    }

    static func fixed(_ value: Double, _ places: Int) -> String { String(format: "%.\(places)f", value) }
}
