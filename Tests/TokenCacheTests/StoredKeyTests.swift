import Testing
import TokenCache

@Suite("A key's name tells what it is")
struct StoredKeyTests {
    private let prefix = Array("tc:".utf8)
    private let sid = String(repeating: "0a", count: 16)
    private let digest = String(repeating: "b1", count: 32)

    private func key(_ rest: String) -> StoredKey? { StoredKey(prefix + Array(rest.utf8), prefix: prefix) }

    @Test("kinds, and what they are called in one Redis and in a cluster")
    func kinds() {
        for (rest, kind, inOne, inCluster) in [
            ("s:\(sid)", StoredKey.Kind.session, "s:\(sid)", "s:\(sid)"),
            ("x:\(sid)", .captcha, "x:\(sid)", "x:\(sid)"),
            ("s:~epoch", .epoch, "s:~epoch", "s:~epoch"),
            ("s:~epoch{1q}", .epoch, "s:~epoch", "s:~epoch"), ("u:\(digest)", .index, "u:\(digest)", "u:{\(digest)}"),
            ("n:{\(digest)}", .numbers, "n:\(digest)", "n:{\(digest)}"),
        ] {
            let key = key(rest)
            #expect(key?.kind == kind)
            #expect(key?.name(isCluster: false) == prefix + Array(inOne.utf8))
            #expect(key?.name(isCluster: true) == prefix + Array(inCluster.utf8))
        }
    }

    @Test(
        "what passes, and what is somebody else's, is none",
        arguments: [
            "", "s:", "s:~123", "s:~{a}123", "w:1", "d:marks", "d:fence", "d:moved", "d:moved{a}", "u:{}", "u:0a", "n:",
            "shop:s:", "none",
            "s:~epochs", "s:~epoch{", "s:~epoch{a}1",
        ])
    func others(_ rest: String) {
        #expect(key(rest) == nil)
        // Of a site whose prefix begins with this one's.
        #expect(key("shop:s:\(sid)") == nil)
        #expect(key("s:\(sid.uppercased())") == nil && key("u:\(digest.uppercased())") == nil)
        #expect(StoredKey(Array("t".utf8), prefix: prefix) == nil)
    }

    @Test("a beat says when it was written, whatever stands there")
    func beats() {
        func time(_ rest: String) -> Int64? { StoredKey.beatTime(prefix + Array(rest.utf8), prefix: prefix) }
        #expect(time("s:~5") == 1_000 && time("s:~{ab}5") == 1_000)
        for rest in ["s:~epoch", "s:~", "s:~{", "s:~-5", "s:~\(Int64.max)", "s:\(sid)", ""] {
            #expect(time(rest) == nil)
        }
    }
}
