/// Refuses tokens on the command line, where every user of the host can read them.
enum ArgumentScreen {
    /// What to say instead of running; it never repeats the argument.
    static let refusal =
        "an argument looks like a token, and arguments are visible to every user of this host: "
        + "give tokens on standard input (`tokencachectl validate < FILE`), and revoke this one, it may have been seen"

    /// Whether any part of the arguments could be a token. A `sid`, 32 hex digits, is none.
    static func holdsToken(_ arguments: [String]) -> Bool {
        arguments.contains { argument in
            argument.utf8.split { !isTokenCharacter($0) }.contains { looksLikeToken(Array($0)) }
        }
    }

    /// Longer than any digest in common use; a session token has 128, a cut one a little less.
    private static let longestHexWord = 64
    /// From the 86 characters of a session token in base64url to the 142 of the longest CSRF token, and a little around.
    private static let base64Lengths = 80...150
    /// Shorter than any compact JWS or JWE with a signature or tag in it.
    private static let shortestCompact = 80

    private static func looksLikeToken(_ word: [UInt8]) -> Bool {
        let digits = word.starts(with: "0x".utf8) || word.starts(with: "0X".utf8) ? word.dropFirst(2) : word[...]
        if digits.count > longestHexWord, digits.allSatisfy(isHexDigit) { return true }
        if word.count >= shortestCompact, word.starts(with: "eyJ".utf8), word.contains(UInt8(ascii: ".")) {
            return true
        }
        return base64Lengths.contains(word.count) && !word.contains(UInt8(ascii: "."))
            && word.contains { (0x41...0x5a).contains($0) } && word.contains { (0x61...0x7a).contains($0) }
            && word.contains { (0x30...0x39).contains($0) }
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
        default: false
        }
    }

    private static func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
        default: false
        }
    }
}
