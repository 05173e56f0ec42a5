/// Texts of one length that a daemon sealed: guests' tokens, CSRF tokens, captchas.
struct SealedTexts {
    private(set) var texts: [[UInt8]] = []

    /// The field `name` of the answer to each of `requests`, which are sent in batches.
    init(
        _ name: String, of requests: [[UInt8]], over control: ControlConnection
    ) throws(LoadTestError) {
        texts.reserveCapacity(requests.count)
        var start = 0
        while start < requests.count {
            let batch = requests[start..<min(requests.count, start + Self.batch)]
            try control.send(batch.flatMap { $0 })
            for _ in batch { texts.append(try Self.field(name, of: control.reply())) }
            start += batch.count
        }
        guard let first = texts.first, texts.allSatisfy({ $0.count == first.count }) else {
            throw .refused("the daemon's \(name)s are of different lengths")
        }
    }

    /// Answers that fit into a socket's buffers, so that neither side waits for the other.
    private static let batch = 100

    private static func field(_ name: String, of reply: ControlConnection.Reply) throws(LoadTestError) -> [UInt8] {
        if case .error(let text) = reply { throw .refused("the daemon answers \(text)") }
        if case .list(let entries) = reply {
            for index in stride(from: 0, to: entries.count - 1, by: 2) where entries[index].string == name {
                if case .text(let text) = entries[index + 1] { return text }
            }
        }
        throw .refused("a reply without \(name)")
    }

    /// One request for each: these words, the text, those words.
    func rows(_ before: [String], _ after: [[UInt8]] = []) -> RequestRows {
        let before = before.map { Array($0.utf8) }
        return RESP.rows(texts.count, tokenOffset: nil) { (before, texts[$0], after) }
    }
}

/// What visitors ask without anything being stored of them.
enum SealedLanes {
    /// The form that pages of these workloads show.
    private static let form = "contact"

    static func guestTokens(_ count: Int, over control: ControlConnection) throws(LoadTestError) -> SealedTexts {
        try SealedTexts(
            "sessiontoken", of: Array(repeating: RESP.command(["GUEST.ISSUE"]), count: count), over: control)
    }

    static func captchas(_ count: Int, over control: ControlConnection) throws(LoadTestError) -> SealedTexts {
        let request = RESP.command(["CAPTCHA.ISSUE", "FORM", form, "LIFETIME", "1h"])
        return try SealedTexts("captcha", of: Array(repeating: request, count: count), over: control)
    }

    /// A page view of a bot, which brings no token: who it is and the form's CSRF token, the captcha, its picture.
    static func pageViews(pictures: SealedTexts) -> [LaneSpec] {
        let open = LaneSpec(rows: pictures.rows(["CAPTCHA.OPEN"]), form: ReplyForm(statuses: ["issued"]))
        return [visitors, captchaIssue, open]
    }

    static let visitors = LaneSpec(
        rows: RESP.row(["TOKEN.VISIT", "", "CSRF", form]), form: ReplyForm(statuses: ["none"]))

    static let captchaIssue = LaneSpec(
        rows: RESP.row(["CAPTCHA.ISSUE", "FORM", form]), form: ReplyForm(statuses: ["issued"]))

    static func validate(guests: SealedTexts) -> LaneSpec {
        LaneSpec(rows: guests.rows(["TOKEN.VALIDATE"]), form: ReplyForm(statuses: ["valid"]))
    }

    /// A page view of a session that shows a form.
    static func visitWithCSRF(_ tokens: TokenPool) -> LaneSpec {
        let after = ["CSRF", form].map { Array($0.utf8) }
        let rows = RESP.rows(tokens.count, tokenOffset: 0) {
            ([Array("TOKEN.VISIT".utf8)], Array(tokens[$0]), after)
        }
        return LaneSpec(rows: rows, form: ReplyForm(statuses: ["valid", "rotated"], repeatsSid: true))
    }

    /// Forms that come back, each with the token of the one who was shown it.
    static func csrf(holders: [[UInt8]], over control: ControlConnection) throws(LoadTestError) -> LaneSpec {
        let words = ["FORM", form].map { Array($0.utf8) }
        let issue = holders.map { RESP.command([Array("CSRF.ISSUE".utf8), $0] + words) }
        let tokens = try SealedTexts("csrf", of: issue, over: control).texts
        let rows = RESP.rows(holders.count, tokenOffset: nil) {
            ([Array("CSRF.VERIFY".utf8)], holders[$0], [tokens[$0]] + words)
        }
        return LaneSpec(rows: rows, form: ReplyForm(statuses: ["passed"]))
    }

    /// Answers to captchas, none right: right or wrong, the first one spends its captcha.
    static func captchaVerify(_ captchas: SealedTexts) -> LaneSpec {
        let after = ["-", "FORM", form].map { Array($0.utf8) }
        return LaneSpec(
            rows: captchas.rows(["CAPTCHA.VERIFY"], after), order: .once, form: ReplyForm(statuses: ["failed"]))
    }
}
