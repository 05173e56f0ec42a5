import Glibc
import TokenCacheClient

/// Set by the signal handler alone; a handler may touch nothing else.
nonisolated(unsafe) private var caughtSignal: sig_atomic_t = 0

/// What is read from standard input: a token, an answer, or a yes.
enum SecretInput {
    /// One line, without the white space around it. On a terminal it is asked for and not shown.
    /// - Parameter what: how a person calls it: a visitor's token, or something sealed that looks like one.
    static func token(_ what: String = "Token") throws -> SessionToken {
        let text = try line(what)
        guard let token = SessionToken(bytes: text) else {
            throw Failure(
                status: .usage,
                message: "standard input holds no \(Self.within(what)): expected is one line of at most "
                    + "\(SessionToken.maximumLength) characters without spaces")
        }
        return token
    }

    /// The same for any text that is not empty.
    static func line(_ what: String) throws -> [UInt8] {
        let line: [UInt8]
        if Terminal.isInputATerminal {
            Terminal.ask("\(what) (not shown): ")
            line = try withoutEcho { readLine() }
            Terminal.complain("")
        } else {
            line = readLine()
        }
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0d).contains($0) }
        let text = Array(line.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
        guard !text.isEmpty else {
            throw Failure(
                status: .usage,
                message: "no \(Self.within(what)) on standard input: it is expected there, on one line")
        }
        return text
    }

    /// Within a sentence: `token`, `CSRF token`.
    private static func within(_ what: String) -> String { what.hasPrefix("CSRF") ? what : what.lowercased() }

    /// Whether the answer to the question is yes. Only asked on a terminal.
    static func confirms(_ question: String) -> Bool {
        Terminal.ask("\(question) [y/N] ")
        let answer = String(decoding: readLine(), as: UTF8.self).lowercased()
        return answer == "y" || answer == "yes"
    }

    /// Byte by byte up to the line's end, so that nothing behind it is swallowed; a longer line than a token can be
    /// is returned too long, not cut.
    private static func readLine() -> [UInt8] {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while line.count <= 2 * SessionToken.maximumLength {
            let count = read(STDIN_FILENO, &byte, 1)
            if count == 1 && byte != 0x0a {
                line.append(byte)
            } else if !(count < 0 && errno == EINTR && caughtSignal == 0) {
                break
            }
        }
        return line
    }

    /// Turns the echo off, and on again however reading ends, an interrupt by the user included.
    private static func withoutEcho(_ body: () -> [UInt8]) throws -> [UInt8] {
        var before = termios()
        guard tcgetattr(STDIN_FILENO, &before) == 0 else {
            throw Failure(status: .other, message: "cannot turn off the terminal's echo: use a pipe or a file")
        }
        let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP]
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { caughtSignal = sig_atomic_t($0) }
        // No SA_RESTART: read(2) must come back.
        var previous = signals.map { _ in sigaction() }
        for (index, number) in signals.enumerated() { sigaction(number, &action, &previous[index]) }

        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        let line = body()
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)

        for (index, number) in signals.enumerated() { sigaction(number, &previous[index], nil) }
        if caughtSignal != 0 {
            raise(Int32(caughtSignal))
            throw Failure(status: .usage, message: "interrupted")
        }
        return line
    }
}
