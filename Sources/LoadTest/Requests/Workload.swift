/// What is asked of the daemon.
public enum Workload: String, CaseIterable, Sendable, Codable {
    case validate
    case validateCold = "validate-cold"
    case issue
    case rotate
    case mixed
    case bots
    case guest
    case csrf
    case visitCSRF = "visit-csrf"
    case captcha
    case captchaVerify = "captcha-verify"
    case connect

    /// What it does, for the help text.
    public var meaning: String {
        switch self {
        case .validate: "TOKEN.VALIDATE of sessions that the daemon knows: hits of the near cache"
        case .validateCold: "TOKEN.VALIDATE of sessions that are asked about once: every request goes to Redis"
        case .issue: "TOKEN.ISSUE: a new session each time"
        case .rotate: "TOKEN.ROTATE: a new token each time, always from the newest one"
        case .mixed: "what a site does: 94 % hits, 5 % misses, 1 % rotations"
        case .bots: "page views of bots: TOKEN.VISIT without a token but with CSRF, CAPTCHA.ISSUE, CAPTCHA.OPEN"
        case .guest: "TOKEN.VALIDATE of guests' tokens, which are stored nowhere"
        case .csrf: "CSRF.VERIFY of forms of sessions that the daemon knows"
        case .visitCSRF: "TOKEN.VISIT of such sessions, each with a CSRF token for the page's form"
        case .captcha: "CAPTCHA.ISSUE: a new captcha each time"
        case .captchaVerify: "CAPTCHA.VERIFY: each captcha once, which spends it in Redis"
        case .connect: "as validate, with a connection for each request"
        }
    }

    /// Sessions, guests or captchas that it needs if `--sessions` does not say.
    var usualSessions: Int {
        switch self {
        case .validate, .connect, .guest, .csrf, .visitCSRF: 1_000
        case .validateCold, .captchaVerify: 200_000
        case .rotate: 10_000
        case .mixed: 1_000
        case .issue, .bots, .captcha: 0
        }
    }

    /// Whether `--sessions` means anything to it.
    public var usesSessions: Bool { usualSessions > 0 }

    /// Whether it can run before the measurement: what is asked once would be spent by that.
    public var warmsUp: Bool { self != .validateCold && self != .captchaVerify }

    /// Whether a connection can have several requests in flight.
    public var pipelines: Bool { self != .connect }
}

/// The requests of a workload.
enum WorkloadLanes {
    static let rotations = 1
    static let misses = 5
    static let hits = 94

    static let issueRow = RESP.row(["TOKEN.ISSUE"])

    /// Sessions that end by themselves an hour after a test of somebody's daemon.
    static let briefIssueRow = RESP.row(["TOKEN.ISSUE", "IDLE", "1h", "ABSOLUTE", "1h"])

    static func issue(_ row: RequestRows) -> LaneSpec { LaneSpec(rows: row, form: ReplyForm(statuses: ["issued"])) }

    static func validate(_ tokens: TokenPool, once: Bool = false, weight: Int = 1) -> LaneSpec {
        // A test that outlasts rotation.after meets a rotation, and goes on with the new token as a client would.
        LaneSpec(
            rows: tokens.requests("TOKEN.VALIDATE"), order: once ? .once : .cyclic,
            form: ReplyForm(statuses: ["valid", "rotated"], repeatsSid: true), weight: weight)
    }

    static func rotate(_ tokens: TokenPool, weight: Int = 1) -> LaneSpec {
        LaneSpec(
            rows: tokens.requests("TOKEN.ROTATE"), order: .leased,
            form: ReplyForm(statuses: ["rotated"], repeatsSid: true), weight: weight)
    }

    static func mixed(hits: TokenPool, misses: TokenPool, rotations: TokenPool) -> [LaneSpec] {
        [
            validate(hits, weight: Self.hits), validate(misses, weight: Self.misses),
            rotate(rotations, weight: Self.rotations),
        ]
    }
}
