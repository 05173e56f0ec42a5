/// Durations as people write them in the configuration and in commands: `500ms`, `90s`, `15m`, `12h`, `30d`.
///
/// A bare number means seconds. A fraction is taken only where it is a whole number of milliseconds (`1.5h` is, `0.5ms`
/// is not), so that what was written is exactly what is applied. No sign, no space, no exponent, lower-case units.
public enum DurationText {
    /// Why a text is not a duration. No case carries the text: arguments are never echoed.
    public enum Fault: Error, Equatable, Sendable {
        /// Empty, no digits, a sign, a space, or a dot without digits on both sides.
        case malformed
        /// A number followed by something other than `ms`, `s`, `m`, `h` or `d`.
        case unknownUnit
        /// A fraction that is not a whole number of milliseconds.
        case inexact
        /// More than `Int64.max` milliseconds.
        case tooLarge
    }

    /// Examples for messages and help.
    static let examples = "90s, 15m, 2h"

    /// The milliseconds that `text` (ASCII) means, zero or more. Looks at each byte once and allocates nothing.
    public static func milliseconds(_ text: some Collection<UInt8>) -> Result<Int64, Fault> {
        var rest = text[...]
        guard case .number(let whole, let overflowed) = takeDigits(&rest) else { return .failure(.malformed) }
        var fraction = Fraction()
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            guard fraction.take(&rest) else { return .failure(.malformed) }
        }
        guard let unit = unit(rest) else { return .failure(isUnitLike(rest) ? .unknownUnit : .malformed) }
        if overflowed { return .failure(.tooLarge) }
        guard let part = fraction.multiple(of: unit) else { return .failure(.inexact) }
        let (product, tooLarge) = whole.multipliedReportingOverflow(by: unit)
        let (sum, tooLargeAfterAll) = product.addingReportingOverflow(part)
        return tooLarge || tooLargeAfterAll ? .failure(.tooLarge) : .success(sum)
    }

    /// A text that means `duration`, in the largest unit that divides it; a single minute is `60s` and a single day `24h`,
    /// as the manual writes them. Parts of a millisecond are dropped; a negative duration prints as `0`.
    public static func text(_ duration: Duration) -> String {
        let milliseconds = duration.wholeMilliseconds
        if milliseconds <= 0 { return "0" }
        for (name, unit) in units.reversed() where milliseconds % unit == 0 {
            let isSingle = milliseconds == unit && (name == "m" || name == "d")
            if !isSingle { return "\(milliseconds / unit)\(name)" }
        }
        return "\(milliseconds)ms"
    }

    /// Unit → milliseconds, ascending.
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    private static func unit(_ rest: some Collection<UInt8>) -> Int64? {
        if rest.isEmpty { return 1_000 }
        return units.first { rest.elementsEqual($0.name.utf8) }?.milliseconds
    }

    /// Letters only: the writer meant a unit, and can be told which there are.
    private static func isUnitLike(_ rest: some Collection<UInt8>) -> Bool {
        rest.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) }
    }

    enum Digits {
        case none
        case number(Int64, overflowed: Bool)
    }

    /// Takes the decimal digits at the start of `rest`.
    static func takeDigits<Rest: Collection<UInt8>>(_ rest: inout Rest) -> Digits where Rest.SubSequence == Rest {
        var value: Int64 = 0
        var overflowed = false
        var isEmpty = true
        while let byte = rest.first, byte >= 0x30, byte <= 0x39 {
            let (tenfold, first) = value.multipliedReportingOverflow(by: 10)
            let (sum, second) = tenfold.addingReportingOverflow(Int64(byte - 0x30))
            overflowed = overflowed || first || second
            value = overflowed ? 0 : sum
            isEmpty = false
            rest = rest.dropFirst()
        }
        return isEmpty ? .none : .number(value, overflowed: overflowed)
    }
}

/// The digits after the dot, without trailing zeros.
private struct Fraction {
    /// A day has 2¹⁰·3³·5⁵ milliseconds, so a fraction of more than ten digits is exact in no unit, and one of ten
    /// digits times a day fits `Int64`.
    private static let maxDigits = 10

    private var value: Int64 = 0
    private var scale: Int64 = 1
    private var digits = 0
    private var pendingZeros = 0
    private var isTooLong = false

    /// False if there is no digit.
    mutating func take<Rest: Collection<UInt8>>(_ rest: inout Rest) -> Bool where Rest.SubSequence == Rest {
        var isEmpty = true
        while let byte = rest.first, byte >= 0x30, byte <= 0x39 {
            isEmpty = false
            append(Int64(byte - 0x30))
            rest = rest.dropFirst()
        }
        return !isEmpty
    }

    private mutating func append(_ digit: Int64) {
        if digit == 0 {
            pendingZeros += 1
        } else if isTooLong || digits + pendingZeros + 1 > Self.maxDigits {
            isTooLong = true
        } else {
            for _ in 0...pendingZeros {
                value *= 10
                scale *= 10
            }
            value += digit
            digits += pendingZeros + 1
            pendingZeros = 0
        }
    }

    /// This fraction of `unit` milliseconds, or nil if that is not a whole number.
    func multiple(of unit: Int64) -> Int64? {
        let scaled = value * unit
        return isTooLong || scaled % scale != 0 ? nil : scaled / scale
    }
}

extension Duration {
    /// Whole milliseconds, rounded toward zero; `Int64.max` or `Int64.min` where they do not fit.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflowed) = seconds.multipliedReportingOverflow(by: 1_000)
        let (sum, overflowedAfterAll) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000_000)
        return overflowed || overflowedAfterAll ? (seconds < 0 ? .min : .max) : sum
    }

    static func minutes(_ count: Int) -> Duration { .seconds(60 * count) }
    static func hours(_ count: Int) -> Duration { .seconds(3_600 * count) }
    static func days(_ count: Int) -> Duration { .seconds(86_400 * count) }
}
