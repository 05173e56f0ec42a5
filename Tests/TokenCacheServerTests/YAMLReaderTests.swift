import Host
import SeededRandom
import TestSupport
import Testing

@testable import TokenCacheServer

@Suite("Reading YAML")
struct YAMLReaderTests {
    private func problems(_ bytes: [UInt8]) -> [String] {
        YAMLSource.read(bytes, path: "f").problems.map(\.description)
    }

    /// What a file gives, `key=value` in its order.
    private func values(_ text: String) -> [String] {
        let layer = YAMLSource.read(text, path: "f")
        #expect(layer.problems == [])
        return layer.entries.map { "\($0.fullName)=\($0.text)" }
    }

    @Test("anchors and aliases of values, tags, quotes, blocks and merged lines mean what YAML says")
    func forms() {
        #expect(
            values("rotation: {after: &t 5m, overlap: 1m}\nsession:\n  idle: *t\n")
                == ["rotation.after=5m", "rotation.overlap=1m", "session.idle=5m"])
        #expect(values("session: {idle: !!str 90, absolute: !<x> 2h}") == ["session.idle=90", "session.absolute=2h"])
        #expect(values("redis:\n  prefix: \"\\x61\\u0062\"\n") == ["redis.prefix=ab"])
        #expect(
            values("redis:\n  prefix: |-\n    tc:\nlog:\n  level: 'info'\n") == ["redis.prefix=tc:", "log.level=info"])
        #expect(values("? session\n: ? idle\n  : 2h\n") == ["session.idle=2h"])
        #expect(values("\u{feff}%YAML 1.1\n---\ndrain-timeout: 1s\n...\n") == ["drain-timeout=1s"])
        #expect(values("drain-timeout: 1s # why\r\nlog.level: info\r\n") == ["drain-timeout=1s", "log.level=info"])
    }

    @Test(
        "what cannot be read is refused with its line",
        arguments: [
            ("session:\n  idle: *t\n", "f:2: an alias (*) names no anchor (&) that was given before"),
            ("session: &s {idle: 1m}\naccess: *s\n", "f:2: an alias (*) stands for one value: write a section out"),
            ("a: &a [*a]\n", "f:1: an alias (*) names no anchor (&) that was given before"),
            ("log.level: info\n---\n", "f:2: the file must be one document, and another one begins here"),
            ("x: \(String(repeating: "[", count: 30))\n", "f:1: sections are nested deeper than 16 levels"),
            ("log:\n\tlevel: info\n", "f:2: not YAML: found character that cannot start any token, column 1"),
            ("a: !x!y 1\n", "f:1: not YAML: found undefined tag handle, column 4"),
            ("%YAML 3.0\n---\na: 1\n", "f:1: not YAML: found incompatible YAML document, column 1"),
            ("log:\n  level: \u{1}\n", "f:2: not YAML: control characters are not allowed"),
            ("log:\n  level: \0\n", "f:2: not YAML: control characters are not allowed"),
            ("log.level: \"info\n", "f:2: not YAML: found unexpected end of stream, column 1"),
        ])
    func refused(text: String, problem: String) {
        #expect(problems(Array(text.utf8)) == [problem])
    }

    @Test("bytes that are not UTF-8 are refused with their line, in a file as well")
    func encoding() {
        #expect(problems(Array("log:\n  level: ".utf8) + [0xff]) == ["f:2: not YAML: invalid leading UTF-8 octet"])
        #expect(problems(Array("a: ".utf8) + [0xc3]) == ["f:1: not YAML: incomplete UTF-8 octet sequence"])
        // UTF-16, with and without its mark.
        #expect(problems([0xff, 0xfe, 0x61, 0]).count == 1)
        #expect(problems([0x61, 0, 0x3a, 0]).count == 1)
    }

    @Test("a section given twice is refused, and what it gave first stands")
    func sectionTwice() {
        let layer = YAMLSource.read("log: {level: info}\nlog: {level: debug}\nx: 1\nx: 2\n", path: "f")
        #expect(
            layer.problems.map(\.description) == [
                "f:2: log: given twice, first in line 1", "f:3: x: unknown key", "f:4: x: given twice, first in line 3",
            ])
        #expect(layer.entries.map(\.text) == ["info"])
    }

    @Test("a file with a problem a line is refused with some of them")
    func manyProblems() {
        let said = problems(Array((1...1_000).map { "k\($0): 1\n" }.joined().utf8))
        #expect(said.count == YAMLSource.maxProblems + 1)
        #expect(said.last == "f: more is wrong with this file than the 100 problems named")
        #expect(problems(Array((1...100).map { "k\($0): 1\n" }.joined().utf8)).count == 100)
    }

    @Test("no bytes end the program, whatever they are")
    func anyBytes() throws {
        var random = SeededRandom(seed: 11)
        let manual = Array(try PackageFolder.text("conf/tokencached.yaml").utf8)
        let signs = Array("{}[]&*!|>'\"%@`#,?:- \n\t~<0\\x".utf8) + [0, 0x85, 0xc2, 0xe2, 0x80, 0xef, 0xbb, 0xbf, 0xff]
        for round in 0..<20_000 {
            var bytes: [UInt8]
            switch round % 4 {
            case 0:
                bytes = (0..<Int.random(in: 0...64, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
            case 1:
                bytes = (0..<Int.random(in: 0...64, using: &random)).map { _ in signs.randomElement(using: &random) ?? 0
                }
            default:
                let start = Int.random(in: 0..<manual.count, using: &random)
                bytes = Array(manual[start..<min(manual.count, start + Int.random(in: 1...512, using: &random))])
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    let place = Int.random(in: 0..<bytes.count, using: &random)
                    bytes[place] = signs.randomElement(using: &random) ?? 0
                }
            }
            let layer = YAMLSource.read(bytes, path: "f")
            #expect(layer.problems.map(\.description).joined().unicodeScalars.allSatisfy { !$0.isTerminalControl })
        }
    }
}
