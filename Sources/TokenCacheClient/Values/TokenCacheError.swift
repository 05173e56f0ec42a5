/// Why there is no answer. A refusal (`accepted 0`) is an answer and never an error.
///
/// No case carries a token: reasons are the daemon's own words, bounded, without control characters and
/// without any run of characters long enough to be one.
public enum TokenCacheError: Error, Sendable, Equatable {
    /// `UNAVAILABLE`: Redis is out of reach or refuses. Nobody knows: keep the cookie, answer 503.
    case unavailable(reason: String)
    /// `OVERLOADED`: a limit of the daemon is reached. Try again later, with growing pauses.
    case overloaded(reason: String)
    /// `NOPERM`: the role of this peer does not allow the command.
    case notPermitted(reason: String)
    /// `NOKEYS`: the key ring is missing and this command needs it.
    case noKeys
    /// `ERR` (and any other code, then named in the reason): the call is wrong.
    case badArgument(reason: String)
    /// The daemon cannot be reached, hung up, or did not answer in time.
    case connection(reason: String)
    /// What came back is not what the protocol allows.
    case protocolViolation
}

extension TokenCacheError {
    /// The error that a complete error reply stands for.
    ///
    /// - Parameters:
    ///   - code: The first word of the error line.
    ///   - message: The rest of it.
    public init(code: String, message: String) {
        switch code {
        case "UNAVAILABLE": self = .unavailable(reason: message)
        case "OVERLOADED": self = .overloaded(reason: message)
        case "NOPERM": self = .notPermitted(reason: message)
        case "NOKEYS": self = .noKeys
        case "ERR": self = .badArgument(reason: message)
        default: self = .badArgument(reason: message.isEmpty ? code : "\(code) \(message)")
        }
    }
}

extension TokenCacheError: CustomStringConvertible {
    /// One plain line, fit for a log.
    public var description: String {
        switch self {
        case .unavailable(let reason): "unavailable: \(reason)"
        case .overloaded(let reason): "overloaded: \(reason)"
        case .notPermitted(let reason): "not permitted: \(reason)"
        case .noKeys: "the daemon has no key ring, and this command needs one"
        case .badArgument(let reason): "refused: \(reason)"
        case .connection(let reason): "connection: \(reason)"
        case .protocolViolation: "the reply does not follow the protocol"
        }
    }
}

/// Makes the text of an error reply fit for terminals and logs.
enum ErrorText {
    /// More than any error of the daemon needs.
    static let maximumLength = 300
    /// A `sid` has 32 characters, a token at least 86; a run longer than this may be (part of) a secret.
    static let longestWord = 40

    /// Control characters become spaces, long runs of token characters `<removed>`, the rest is cut.
    ///
    /// The daemon never echoes arguments. Redis does (`unknown command …, with args beginning with: …`), and
    /// a client pointed at the wrong socket must not spread the token that it sent there.
    static func clean(_ bytes: some Sequence<UInt8>) -> String {
        var output: [UInt8] = []
        var word: [UInt8] = []
        func flush() {
            output += word.count > longestWord ? Array("<removed>".utf8) : word
            word.removeAll(keepingCapacity: true)
        }
        for byte in bytes {
            if isTokenCharacter(byte) {
                word.append(byte)
            } else {
                flush()
                output.append((0x20...0x7e).contains(byte) || byte >= 0x80 ? byte : 0x20)
            }
        }
        flush()
        // C1 control characters are valid UTF-8 and terminals may obey them.
        let printable = String(decoding: output, as: UTF8.self).unicodeScalars.map { scalar in
            (0x7f...0x9f).contains(scalar.value) ? " " : Character(scalar)
        }
        let line = printable.drop { $0 == " " }.prefix(maximumLength)
        return String(line.reversed().drop { $0 == " " }.reversed())
    }

    private static func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
        default: false
        }
    }
}
