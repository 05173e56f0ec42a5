/// An option of a command: a keyword, and what follows it.
enum CommandOption: UInt32, CaseIterable, Sendable {
    case subject, idle, absolute, bind, except, limit, cursor, check, fetchSite, fetchMode, post, csrf, require, cookie,
        authTime, max, count
    case lifetime, form, holder, solution, length
    /// `IF field value`
    case condition
    /// `DATA field value …`
    case dataPairs
    /// `DATA field …`
    case dataNames
    /// `DATA field [n]`
    case dataNumber

    /// The word on the wire, and what follows it, as help shows it: one text for each kind.
    private var row: (keyword: StaticString, values: [StaticString]) {
        switch self {
        case .subject: ("SUBJECT", ["subject"])
        case .idle: ("IDLE", ["duration"])
        case .absolute: ("ABSOLUTE", ["duration"])
        case .bind: ("BIND", ["signal value"])
        case .except: ("EXCEPT", ["token [BIND signal value]…"])
        case .limit: ("LIMIT", ["count"])
        case .cursor: ("CURSOR", ["cursor"])
        case .check: ("CHECK", ["csrf form"])
        case .fetchSite: ("FETCH-SITE", ["site"])
        case .fetchMode: ("FETCH-MODE", ["mode"])
        case .post: ("POST", [])
        case .csrf: ("CSRF", ["form"])
        case .require: ("REQUIRE", ["subject", "login-within duration"])
        case .cookie: ("COOKIE", ["session|persistent"])
        case .authTime: ("AUTH-TIME", ["time"])
        case .max: ("MAX", ["count"])
        case .count: ("COUNT", ["count"])
        case .lifetime: ("LIFETIME", ["duration"])
        case .form: ("FORM", ["name"])
        case .holder: ("FOR", ["token"])
        case .solution: ("SOLUTION", ["text | LENGTH count"])
        case .length: ("LENGTH", ["count"])
        case .condition: ("IF", ["field value"])
        case .dataPairs: ("DATA", ["field value …"])
        case .dataNames: ("DATA", ["field …"])
        case .dataNumber: ("DATA", ["field [n]"])
        }
    }

    var keyword: StaticString { row.keyword }

    /// As help shows it, each kind.
    var syntax: [String] {
        let (keyword, values) = row
        return values.isEmpty ? ["\(keyword)"] : values.map { "\(keyword) \($0)" }
    }

    /// Given once for each signal, kind or field, rather than once.
    var mayRepeat: Bool { self == .bind || self == .require || self == .condition }

    /// The same with any value, so that help shows it once with a sign behind.
    var repeatsAlike: Bool { self == .bind || self == .condition }

    var isData: Bool { self == .dataPairs || self == .dataNames || self == .dataNumber }

    /// In the order of the cases.
    static func sorted(_ options: [CommandOption]) -> [CommandOption] { allCases.filter(options.contains) }

    /// What its syntax mentions besides.
    var companions: [CommandOption] {
        switch self {
        case .except: [.bind]
        case .solution: [.length]
        default: []
        }
    }
}

/// Options that were given.
struct CommandOptions: Sendable {
    private var bits: UInt32 = 0

    func contains(_ option: CommandOption) -> Bool { bits >> option.rawValue & 1 == 1 }
    mutating func insert(_ option: CommandOption) { bits |= 1 << option.rawValue }
}
