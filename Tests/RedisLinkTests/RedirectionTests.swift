import Testing

@testable import RedisLink

@Suite("Where a node of a cluster sends a command to")
struct RedirectionTests {
    @Test("slot and node stand in the fault")
    func redirections() {
        let moved = RedisFault.classify(error: "MOVED 3999 127.0.0.1:6381").fault
        #expect(moved.kind == .cluster && moved.redirection?.isOnce == false)
        #expect(moved.redirection?.slot == 3_999 && moved.redirection?.host == "127.0.0.1")
        #expect(moved.redirection?.port == 6_381)
        let ask = RedisFault.classify(error: "ASK 0 fe80::1:6381").fault
        #expect(ask.redirection?.isOnce == true && ask.redirection?.host == "fe80::1")
        #expect(RedisFault.classify(error: "MOVED 16383 :7000").fault.redirection?.host == "")
    }

    @Test(
        "what is not written so is none",
        arguments: [
            "MOVED", "MOVED 1", "MOVED 16384 a:1", "MOVED -1 a:1", "MOVED 1 a", "MOVED 1 a:0", "MOVED 1 a:65536",
            "MOVED 1 a:1 b", "MOVED x a:1", "TRYAGAIN Multiple keys request during rehashing of slot",
        ])
    func none(_ text: String) {
        #expect(RedisFault.classify(error: text).fault.redirection == nil)
    }

    @Test("a cluster that is down has lost its role; a slot that moved has not")
    func roles() {
        #expect(RedisFault.classify(error: "CLUSTERDOWN The cluster is down").fault.isLossOfRole)
        #expect(!RedisFault.classify(error: "MOVED 1 a:1").fault.isLossOfRole)
    }
}
