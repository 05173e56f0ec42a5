import SeededRandom
import Testing

@testable import WireProtocol

@Suite("Glob patterns")
struct GlobPatternTests {
    @Test(
        "patterns are Redis's",
        arguments: [
            ("*", "session.idle", true), ("session.*", "session.idle", true), ("*idle", "session.idle", true),
            ("s?ssion.idle", "session.idle", true), ("[r-t]ession*", "session.idle", true),
            ("[^a]ession*", "session.idle", true),
            ("[^s]*", "session.idle", false), ("session", "session.idle", false), ("", "session.idle", false),
            ("**e", "ae", true),
            ("a\\*c", "a*c", true), ("a\\*c", "abc", false), ("[", "a", false), ("[a", "a", true), ("[z-a]", "m", true),
            ("\\", "\\", true), ("*a*b*c", "xxaxxbxxc", true), ("*a*b*c", "xxaxxcxxb", false), ("?", "", false),
            ("*", "", true),
        ])
    func glob(pattern: String, text: String, matches: Bool) {
        #expect(GlobPattern(pattern).matches(text) == matches)
    }

    @Test("no pattern crashes or takes long")
    func hostilePatterns() {
        var random = SeededRandom(seed: 4)
        let alphabet = Array("*?[]^-\\ae.")
        for _ in 0..<20_000 {
            let pattern = String(
                (0..<Int.random(in: 0...12, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "a" })
            _ = GlobPattern(pattern).matches("session.idle")
        }
        let long = GlobPattern(String(repeating: "*a", count: 60_000) + "b")
        #expect(!long.matches(String(repeating: "a", count: 40)))
    }
}
