import Testing

@testable import LoadTest

@Suite("Judging answers")
struct LaneTests {
    private static let sids = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"]
    private static func token(_ row: Int, _ fill: Character) -> String {
        sids[row] + String(repeating: fill, count: 96)
    }
    private static var tokens: TokenPool { TokenPool(bytes: Array((token(0, "a") + token(1, "b")).utf8)) }

    private static func reply(_ status: String, sid: String, token: String? = nil, expires: Int = 7_200) -> String {
        var text =
            "*\(token == nil ? 6 : 8)\r\n$6\r\nstatus\r\n$\(status.count)\r\n\(status)\r\n$3\r\nsid\r\n$32\r\n\(sid)\r\n"
        text += "$10\r\nexpires_in\r\n:\(expires)\r\n"
        if let token { text += "$12\r\nsessiontoken\r\n$128\r\n\(token)\r\n" }
        return text
    }

    /// What a lane says of an answer: nil if it is good.
    private static func judge(_ lane: inout Lane, _ text: String, row: Int) -> String? {
        let bytes = Array((text + "*").utf8)
        return bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return "empty" }
            switch lane.judge(base, buffer.count, row: row) {
            case .incomplete: return "incomplete"
            case .malformed: return "malformed"
            case .answered(let length, let failure): return failure ?? (length == text.utf8.count ? nil : "length")
            }
        }
    }

    @Test("good answers are good, by the slow way and then by the fast one")
    func good() {
        var lane = Lane(WorkloadLanes.validate(Self.tokens))
        for row in [0, 1, 0, 1] {
            #expect(Self.judge(&lane, Self.reply("valid", sid: Self.sids[row]), row: row) == nil)
        }
        #expect(Self.judge(&lane, Self.reply("valid", sid: Self.sids[0], expires: 9), row: 0) == nil)
        #expect(Self.judge(&lane, Self.reply("valid", sid: Self.sids[0], expires: 10_000), row: 0) == nil)
    }

    @Test("another session's answer is noticed, also by the fast way")
    func foreignSid() {
        var lane = Lane(WorkloadLanes.validate(Self.tokens))
        #expect(Self.judge(&lane, Self.reply("valid", sid: Self.sids[1]), row: 0) == "the sid of another session")
        #expect(Self.judge(&lane, Self.reply("valid", sid: Self.sids[0]), row: 0) == nil)
        #expect(Self.judge(&lane, Self.reply("valid", sid: Self.sids[1]), row: 0) == "the sid of another session")
    }

    @Test("refusals and errors are told by name")
    func refusals() {
        var lane = Lane(WorkloadLanes.validate(Self.tokens))
        #expect(Self.judge(&lane, Self.reply("valid", sid: Self.sids[0]), row: 0) == nil)
        #expect(Self.judge(&lane, "*2\r\n$6\r\nstatus\r\n$7\r\nunknown\r\n", row: 0) == "status unknown")
        #expect(Self.judge(&lane, "-UNAVAILABLE Redis is away\r\n", row: 0) == "UNAVAILABLE Redis is away")
        #expect(Self.judge(&lane, Self.reply("valid", sid: Self.sids[0]), row: 0) == nil)
    }

    @Test("a rotated session is asked about with its new token, and not before its answer")
    func rotation() {
        var lane = Lane(WorkloadLanes.rotate(Self.tokens))
        #expect(lane.nextRow() == 0 && lane.nextRow() == 1 && lane.nextRow() == nil)
        for fill in ["c", "d", "e"] as [Character] {
            let token = Self.token(1, fill)
            #expect(Self.judge(&lane, Self.reply("rotated", sid: Self.sids[1], token: token), row: 1) == nil)
            #expect(lane.nextRow() == 1 && lane.nextRow() == nil)
            let row = UnsafeBufferPointer(start: lane.rows + lane.stride, count: lane.stride)
            #expect(String(decoding: row, as: UTF8.self).contains(token))
        }
    }

    @Test("cyclic goes round, once ends")
    func order() {
        var round = Lane(WorkloadLanes.validate(Self.tokens))
        #expect((0..<5).map { _ in round.nextRow() } == [0, 1, 0, 1, 0] && round.repeats == 3)
        var once = Lane(WorkloadLanes.validate(Self.tokens, once: true))
        #expect((0..<3).map { _ in once.nextRow() } == [0, 1, nil] && once.isExhausted)
    }
}
