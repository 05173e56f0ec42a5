/// What visitors cost who are stored nowhere: speed beside hits of sessions, and what Redis was told.
public struct GuestResult: Codable, Sendable {
    public var rounds: Int
    /// Of one measurement.
    public var seconds: Double
    public var connections: Int
    public var sessions: Int
    /// Ratios are those to sessions.
    public var rows: [SpeedRow<GuestQuestion>] = []
    /// Page views by bots, and by the visitors of a site that gives everybody a session, on one Redis.
    public var visitors: [VisitorRow] = []
    public var figures: [FigureResult] = []
    public var notes: [String] = []
}

/// One kind of request in the comparison.
public enum GuestQuestion: String, CaseIterable, SpeedSubject {
    public static let member = "question"

    case session
    case guest
    case csrf
    case guestCSRF = "guest-csrf"
    case visitCSRF = "visit-csrf"
    case botVisit = "bot-visit"
    case captchaIssue = "captcha-issue"
    case captchaVerify = "captcha-verify"

    /// As tables name it.
    public var title: String {
        switch self {
        case .session: "TOKEN.VALIDATE, a session (near-cache hit)"
        case .guest: "TOKEN.VALIDATE, a guest"
        case .csrf: "CSRF.VERIFY, a session's form"
        case .guestCSRF: "CSRF.VERIFY, a guest's form"
        case .visitCSRF: "TOKEN.VISIT with CSRF, a session"
        case .botVisit: "TOKEN.VISIT with CSRF, no token"
        case .captchaIssue: "CAPTCHA.ISSUE"
        case .captchaVerify: "CAPTCHA.VERIFY (spends it in Redis)"
        }
    }
}

/// What so many page views left in Redis.
public struct VisitorRow: Codable, Sendable {
    public var site: String
    public var pageViews: Int
    /// Command → calls, of those that write by Redis's own table (`COMMAND INFO`).
    public var writes: [String: Int]
    public var keysBefore: Int
    public var keysAfter: Int
    /// Difference of `used_memory`, bytes.
    public var bytes: Int

    public var writeCount: Int { writes.values.reduce(0, +) }
    public var keys: Int { keysAfter - keysBefore }
}

extension GuestResult {
    static func judge(_ result: GuestResult) -> [FigureResult] {
        func ratio(_ question: GuestQuestion) -> Spread? {
            result.rows.first { $0.subject == question }?.speed.ratio
        }
        var figures = [
            Targets.atLeast(0.7, ratio(.guest), "guests", "VALIDATE of a guest to that of a session"),
            Targets.atLeast(0.7, ratio(.csrf), "guests", "CSRF.VERIFY, a session's form"),
            Targets.atLeast(0.6, ratio(.visitCSRF), "guests", "VISIT with CSRF, a session"),
        ]
        if let bots = result.visitors.first {
            figures.append(
                FigureResult(
                    id: "G1", text: "Redis writes and keys of \(Figures.grouped(bots.pageViews)) page views by bots",
                    wanted: "0 and 0",
                    measured: "\(Figures.grouped(bots.writeCount)) and \(Figures.grouped(bots.keys))",
                    isReached: bots.writeCount == 0 && bots.keys == 0))
        }
        return figures
    }
}
