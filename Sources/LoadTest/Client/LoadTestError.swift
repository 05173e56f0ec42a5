internal import Glibc

/// Why a load test could not be carried out.
public enum LoadTestError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A signal ended it.
    case interrupted(signal: Int32)
    /// Sizes that do not go together.
    case usage(String)
    /// A server could not be started or reached, or went away.
    case unavailable(String)
    /// A server answered something that makes the test pointless.
    case refused(String)
    /// A file could not be written.
    case file(path: String, number: Int32)
    /// Standard output does not take the results.
    case output(number: Int32)

    public var description: String {
        switch self {
        case .interrupted(let signal): "interrupted by \(Interruption.name(of: signal))"
        case .usage(let text), .unavailable(let text), .refused(let text): text
        case .file(let path, let number): "\(path): \(describe(errno: number))"
        case .output(let number): "standard output: \(describe(errno: number))"
        }
    }

    /// By sysexits.h where it has one; 128 and the signal, as a shell has it.
    public var exitStatus: Int32 {
        switch self {
        case .interrupted(let signal): 128 + signal
        case .usage: 64
        case .unavailable: 69
        case .refused: 76
        case .file: 73
        case .output: 74
        }
    }
}

/// The system's words for an error number.
func describe(errno number: Int32) -> String {
    strerror(number).map { String(cString: $0) } ?? "error \(number)"
}
