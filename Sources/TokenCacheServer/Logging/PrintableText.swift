internal import Host

/// Makes text from outside fit for one line of a log or an error message: nothing in it can end the line or is obeyed by
/// the terminal that shows it (``Unicode/Scalar/isTerminalControl``).
enum PrintableText {
    /// Appends `text` with every dangerous scalar replaced by a visible escape: `\n`, `\r`, `\t`, `\x1b`, `\u{2028}`.
    /// With `quoted`, `"` and `\` are escaped too, so that the text can stand between quotes and be read back.
    static func append(_ text: some StringProtocol, quoted: Bool = false, to line: inout String) {
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": line += "\\n"
            case "\r": line += "\\r"
            case "\t": line += "\\t"
            case "\"" where quoted: line += "\\\""
            case "\\" where quoted: line += "\\\\"
            default:
                if scalar.isTerminalControl {
                    line += escape(scalar)
                } else {
                    line.unicodeScalars.append(scalar)
                }
            }
        }
    }

    /// `text` made harmless, cut after `limit` scalars (then with `…` at the end).
    static func escaped(_ text: some StringProtocol, limit: Int = 256) -> String {
        let scalars = text.unicodeScalars
        let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex) ?? scalars.endIndex
        var line = ""
        append(text[..<end], to: &line)
        return end < scalars.endIndex ? line + "…" : line
    }

    /// `text` made harmless and put between quotes; at most `limit` scalars of it.
    static func quoted(_ text: some StringProtocol, limit: Int = 64) -> String {
        let scalars = text.unicodeScalars
        let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex) ?? scalars.endIndex
        var line = "\""
        append(text[..<end], quoted: true, to: &line)
        return line + (end < scalars.endIndex ? "…\"" : "\"")
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        if scalar.value > 0xff { return "\\u{\(digits)}" }
        return digits.utf8.count == 1 ? "\\x0\(digits)" : "\\x\(digits)"
    }
}
