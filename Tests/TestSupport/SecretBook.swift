import Foundation
import Synchronization

/// A session token taken apart: 16 bytes of selector, which anybody may see, and 48 bytes of verifier, which nobody may.
public struct TokenParts: Equatable, Sendable {
    public let selector: [UInt8]
    public let verifier: [UInt8]

    /// From any of the forms that the daemon takes: hexadecimal in either case, with `0x` or without, and base64url.
    public init?(_ text: some Sequence<UInt8>) {
        var bytes = Array(text)
        if bytes.count == 130, bytes[0] == UInt8(ascii: "0"), bytes[1] | 0x20 == UInt8(ascii: "x") {
            bytes.removeFirst(2)
        }
        let decoded: [UInt8]
        switch bytes.count {
        case 128:
            guard let hex = Self.hexadecimal(bytes) else { return nil }
            decoded = hex
        case 86:
            let standard = String(decoding: bytes, as: UTF8.self)
                .replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
            guard let data = Data(base64Encoded: standard + "=="), data.count == 64 else { return nil }
            decoded = Array(data)
        default:
            return nil
        }
        selector = Array(decoded[..<16])
        verifier = Array(decoded[16...])
    }

    private static func hexadecimal(_ digits: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = nibble(digits[index]), let low = nibble(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    static func nibble(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// Tokens in every form in which a client may send one.
public enum TokenText {
    public static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    public static func base64url(_ token: String) -> String {
        guard let parts = TokenParts(token.utf8) else { return token }
        return Data(parts.selector + parts.verifier).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    /// A well-formed token that nobody issued.
    public static func random() -> String {
        hexadecimal((0..<64).map { _ in UInt8.random(in: 0...255) })
    }

    /// The session that a token names.
    public static func sid(_ token: String) -> String { String(token.prefix(32)) }

    /// The same session named with a verifier that somebody made up.
    public static func forged(_ token: String) -> String {
        sid(token) + hexadecimal((0..<48).map { _ in UInt8.random(in: 0...255) })
    }
}

/// Every secret that went through a test's clients, and every error text that came back: what must not be found, and
/// one more place where it must not be found in.
public final class SecretBook: Sendable {
    private let verifiers = Mutex<Set<[UInt8]>>([])
    private let solutions = Mutex<Set<[UInt8]>>([])
    private let errors = Mutex<[String]>([])

    public init() {}

    /// Keeps the string if it is a session token in any of its forms, or of a guest's token the signature; anything
    /// else is nobody's secret.
    public func note(_ string: [UInt8]) {
        if string.starts(with: "eyJ".utf8) { return noteSignature(string) }
        guard string.count == 128 || string.count == 130 || string.count == 86 else { return }
        guard let parts = TokenParts(string) else { return }
        verifiers.withLock { _ = $0.insert(parts.verifier) }
    }

    private func noteSignature(_ token: [UInt8]) {
        let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { return }
        let standard = String(decoding: parts[2], as: UTF8.self)
            .replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        guard let signature = Data(base64Encoded: standard + "="), signature.count == 32 else { return }
        verifiers.withLock { _ = $0.insert(Array(signature)) }
    }

    /// Keeps a captcha's solution, as it was given and without case. Of those too short to be found, nothing is kept:
    /// they occur by chance. A test that means to search takes `solutionLength` characters or more.
    public func noteSolution(_ text: [UInt8]) {
        guard text.count >= Self.solutionLength else { return }
        let lower = Array(String(decoding: text, as: UTF8.self).lowercased().utf8)
        solutions.withLock { $0.formUnion([text, lower]) }
    }
    public static let solutionLength = 12

    /// Keeps what follows the name `solution` in a command or a reply.
    func noteSolutions(in strings: [[UInt8]]) {
        for (name, value) in zip(strings, strings.dropFirst()) where name.count == 8 {
            if String(decoding: name, as: UTF8.self).lowercased() == "solution" { noteSolution(value) }
        }
    }

    func noteError(_ text: String) {
        errors.withLock { errors in if errors.count < 10_000 { errors.append(text) } }
    }

    /// The search for everything that is in it.
    public var scan: LeakScan { LeakScan(secrets) }

    var secrets: [[UInt8]] { verifiers.withLock { Array($0) } + solutions.withLock { Array($0) } }
    var errorTexts: [UInt8] { errors.withLock { Array($0.joined(separator: "\n").utf8) } }
    /// Tokens.
    public var count: Int { verifiers.withLock { $0.count } }
    public var solutionCount: Int { solutions.withLock { $0.count } }
}
