/// Sizes as people write them in the configuration: `64KiB`, `1MiB`, `64kb`; a bare number means bytes.
///
/// As in `redis.conf`, `kb`, `mb` and `gb` are powers of 1024, the same as `KiB`, `MiB` and `GiB`, in either case. Plain
/// `k`, `m` and `g` (powers of 1000 there) are refused rather than guessed.
enum ByteSizeText {
    /// Why a text is not a size.
    enum Fault: Error, Equatable, Sendable {
        /// Empty, no digits, a sign, a space or a fraction.
        case malformed
        /// A number followed by letters that are no unit.
        case unknownUnit
        /// More than `Int64.max` bytes.
        case tooLarge
    }

    /// Examples for messages and help.
    static let examples = "4096, 64KiB, 1MiB"

    /// The bytes that `text` (ASCII) means, zero or more.
    static func bytes(_ text: some Collection<UInt8>) -> Result<Int, Fault> {
        var rest = text[...]
        guard case .number(let count, let overflowed) = DurationText.takeDigits(&rest) else {
            return .failure(.malformed)
        }
        let suffix = String(decoding: rest.prefix(4), as: UTF8.self).lowercased()
        guard let unit = units[suffix] else {
            let isLetters = rest.allSatisfy { (0x61...0x7a).contains($0 | 0x20) }
            return .failure(isLetters ? .unknownUnit : .malformed)
        }
        let (product, tooLarge) = count.multipliedReportingOverflow(by: unit)
        return overflowed || tooLarge ? .failure(.tooLarge) : .success(Int(product))
    }

    /// `bytes` in the largest unit that divides it.
    static func text(_ bytes: Int) -> String {
        if bytes == 0 { return "0" }
        for (name, unit) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes % unit == 0 {
            return "\(bytes / unit)\(name)"
        }
        return "\(bytes)"
    }

    /// Lower-case unit → bytes.
    private static let units: [String: Int64] = [
        "": 1, "b": 1,
        "kb": 1 << 10, "kib": 1 << 10,
        "mb": 1 << 20, "mib": 1 << 20,
        "gb": 1 << 30, "gib": 1 << 30,
    ]
}
