import Glibc

/// Standard output and standard error.
enum Terminal {
    /// Whether people, not a program, read standard output.
    static var isOutputATerminal: Bool { isatty(STDOUT_FILENO) == 1 }
    /// Whether people read standard error.
    static var isErrorATerminal: Bool { isatty(STDERR_FILENO) == 1 }
    /// Whether people type standard input.
    static var isInputATerminal: Bool { isatty(STDIN_FILENO) == 1 }

    /// Colours only on a terminal that has them and whose user did not decline, see no-color.org.
    static var hasColours: Bool {
        func value(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }
        return isOutputATerminal && value("NO_COLOR").isEmpty && value("TERM") != "dumb"
    }

    /// Writes to standard output, with a final newline. A full disk or a closed pipe is an error, not silence.
    static func print(_ text: String) throws(Failure) {
        if let code = write(text.hasSuffix("\n") ? text : text + "\n", to: STDOUT_FILENO) {
            let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
            throw Failure(status: .other, message: "cannot write to standard output: \(reason)")
        }
    }

    /// Writes to standard error, with a final newline. If that fails there is nobody to tell.
    static func complain(_ text: String) {
        _ = write(text + "\n", to: STDERR_FILENO)
    }

    /// Writes without a newline, for a question.
    static func ask(_ text: String) {
        _ = write(text, to: STDERR_FILENO)
    }

    private static func write(_ text: String, to descriptor: Int32) -> Int32? {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                return errno
            }
        }
        return nil
    }
}

/// A colour of a word on a terminal.
enum Colour: String {
    case green = "32"
    case yellow = "33"
    case red = "31"

    /// The text in this colour, or as it is.
    func paint(_ text: String, isWanted: Bool) -> String {
        isWanted ? "\u{1b}[\(rawValue)m\(text)\u{1b}[0m" : text
    }
}
