internal import TokenCache
internal import Tokens
internal import WireProtocol

/// The options after the positional arguments of a session command, in any order but `DATA`, which comes last.
struct SessionOptions {
    enum Option: UInt32, CaseIterable {
        case subject
        case idle
        case absolute
        case bind
        case except
        case limit
        case check
        case site
        case csrf
        case lifetime
        case form
        case holder
        case solution
        case length
        /// `DATA field value …`
        case dataPairs
        /// `DATA field …`
        case dataNames

        /// The word on the wire.
        var keyword: StaticString {
            switch self {
            case .subject: "SUBJECT"
            case .idle: "IDLE"
            case .absolute: "ABSOLUTE"
            case .bind: "BIND"
            case .except: "EXCEPT"
            case .limit: "LIMIT"
            case .check: "CHECK"
            case .site: "SITE"
            case .csrf: "CSRF"
            case .lifetime: "LIFETIME"
            case .form: "FORM"
            case .holder: "FOR"
            case .solution: "SOLUTION"
            case .length: "LENGTH"
            case .dataPairs, .dataNames: "DATA"
            }
        }

        fileprivate static let all = Array(allCases)
    }

    /// The options that a command takes.
    struct Allowed: OptionSet {
        let rawValue: UInt32

        init(rawValue: UInt32) { self.rawValue = rawValue }
        private init(_ option: Option) { rawValue = 1 << option.rawValue }

        func allows(_ option: Option) -> Bool { rawValue >> option.rawValue & 1 == 1 }

        static var subject: Allowed { Allowed(.subject) }
        static var idle: Allowed { Allowed(.idle) }
        static var absolute: Allowed { Allowed(.absolute) }
        static var bind: Allowed { Allowed(.bind) }
        static var except: Allowed { Allowed(.except) }
        static var limit: Allowed { Allowed(.limit) }
        static var check: Allowed { Allowed(.check) }
        static var site: Allowed { Allowed(.site) }
        static var csrf: Allowed { Allowed(.csrf) }
        static var lifetime: Allowed { Allowed(.lifetime) }
        static var form: Allowed { Allowed(.form) }
        static var holder: Allowed { Allowed(.holder) }
        static var solution: Allowed { Allowed(.solution) }
        static var length: Allowed { Allowed(.length) }
        static var dataPairs: Allowed { Allowed(.dataPairs) }
        static var dataNames: Allowed { Allowed(.dataNames) }
    }

    var request = SessionRequest()
    /// What VISIT asks besides; `site` is completed when all options are read.
    var visit = VisitRequest()
    var signals = Signals()
    /// `LIFETIME` of a guest token or a captcha, milliseconds.
    var lifetime: Milliseconds?
    var site: FetchSite?
    /// `FORM`: the name of a form; empty for the form without a name.
    var form: [UInt8] = []
    /// Argument index of the token after `FOR`.
    var holderIndex: Int?
    var solution: [UInt8]?
    var length: Int?
    /// Names asked for; nil without `DATA`, empty for all fields.
    var dataNames: [[UInt8]]?
    var limit: Int?
    /// Argument index of the token after `EXCEPT`.
    var exceptIndex: Int?
    static let defaultLimit = 100
    static let maxFieldName = 256
    static let maxUserAgent = 4_096

    private let call: Call
    private let allowed: Allowed
    private let policy: TokenPolicy
    private let maxLifetime: Milliseconds
    private var index: Int

    /// Reads the arguments from `start` on.
    init(
        _ call: Call, from start: Int, allowed: Allowed, policy: TokenPolicy, maxLifetime: Milliseconds = 0
    ) throws(ReplyError) {
        self.call = call
        self.allowed = allowed
        self.policy = policy
        self.maxLifetime = maxLifetime
        index = start
        while index < call.arguments.count { try readOption() }
        request.signals = signals
        visit.needsData = dataNames != nil
        visit.check?.site = site
    }

    private mutating func readOption() throws(ReplyError) {
        let keyword = call.arguments[index]
        guard let option = Option.all.first(where: { allowed.allows($0) && keyword.isKeyword($0.keyword) }) else {
            let names = Option.all.filter(allowed.allows).map { "\($0.keyword)" }.joined(separator: ", ")
            let allowedNow = names.isEmpty ? "nothing more is allowed there" : "allowed there: \(names)"
            throw .badArgument("argument \(index + 1) of \(call.command.spec.name) is no option; \(allowedNow)")
        }
        index += 1
        switch option {
        case .subject: request.subject = try Self.subject(try take("SUBJECT"), isRequired: false)
        case .idle: request.idle = try duration("IDLE", atMost: policy.maxAbsolute, "session.max-absolute")
        case .absolute: request.absolute = try duration("ABSOLUTE", atMost: policy.maxAbsolute, "session.max-absolute")
        case .bind: try readBinding()
        case .except:
            exceptIndex = index
            _ = try take("EXCEPT")
        case .limit: limit = try readLimit()
        case .check:
            let csrf = try take("CHECK").array
            visit.check = FormCheck(csrf: csrf, form: try formName("CHECK"), site: nil)
        case .site: site = FetchSite(header: try take("SITE"))
        case .csrf: visit.csrfForm = try formName("CSRF")
        case .lifetime:
            lifetime = try duration(
                "LIFETIME", atMost: maxLifetime, call.command == .guestIssue ? "guest.absolute" : "a captcha's longest")
        case .form: form = try formName("FORM")
        case .holder:
            holderIndex = index
            _ = try take("FOR")
        case .solution: solution = try readSolution()
        case .length: length = try readLength()
        case .dataPairs: try readPairs()
        case .dataNames: try readNames()
        }
    }

    private mutating func take(_ option: StaticString) throws(ReplyError) -> UnsafeRawBufferPointer {
        guard index < call.arguments.count else {
            throw .badArgument("\(option) needs a value; usage: \(call.command.spec.usage)")
        }
        defer { index += 1 }
        return call.arguments[index]
    }

    // MARK: Values

    /// More than nothing, at most what the configuration says under `key`.
    private mutating func duration(
        _ option: StaticString, atMost limit: Milliseconds, _ key: StaticString
    ) throws(ReplyError) -> Milliseconds {
        let text = try take(option)
        guard case .success(let value) = DurationText.milliseconds(text), value > 0, value <= limit else {
            throw .badArgument(
                "\(option) takes a duration from 1ms to \(DurationText.text(.milliseconds(limit))) "
                    + "(\(key)): a number with ms, s, m, h or d, a bare number means seconds")
        }
        return value
    }

    /// A form's name: text, as it stands in a captcha's JSON.
    private mutating func formName(_ option: StaticString) throws(ReplyError) -> [UInt8] {
        let name = try take(option).array
        guard Captcha.isForm(name) else {
            throw .badArgument("a form's name (\(option)) has at most \(Captcha.maxForm) bytes of UTF-8")
        }
        return name
    }

    private mutating func readSolution() throws(ReplyError) -> [UInt8] {
        let text = try take("SOLUTION").array
        guard Captcha.isSolution(text), !CaptchaAlphabet.isBlank(text) else {
            throw .badArgument("SOLUTION takes 1 to \(Captcha.maxSolution) bytes of UTF-8 that are not all blank")
        }
        return text
    }

    private mutating func readLength() throws(ReplyError) -> Int {
        let text = try take("LENGTH")
        guard let length = Int(String(decoding: text, as: UTF8.self)), (1...CaptchaAlphabet.longest).contains(length)
        else { throw .badArgument("LENGTH takes a number from 1 to \(CaptchaAlphabet.longest)") }
        return length
    }

    static func subject(_ text: UnsafeRawBufferPointer, isRequired: Bool) throws(ReplyError) -> [UInt8] {
        guard text.count <= SessionRecord.maxSubject, !(isRequired && text.isEmpty) else {
            throw .badArgument(
                "a subject has \(isRequired ? 1 : 0) to \(SessionRecord.maxSubject) bytes, this one has \(text.count)")
        }
        return text.array
    }

    private mutating func readBinding() throws(ReplyError) {
        let signal = try take("BIND")
        let value = try take("BIND")
        if signal.isKeyword("IP") {
            guard let address = IPAddress(text: value) else {
                throw .badArgument("BIND ip takes an IPv4 or IPv6 address")
            }
            signals.ip = address
        } else if signal.isKeyword("UA") {
            guard value.count <= Self.maxUserAgent else {
                throw .badArgument("BIND ua takes at most \(Self.maxUserAgent) bytes, this one has \(value.count)")
            }
            signals.userAgent = value.array
        } else {
            throw .badArgument("BIND takes a signal and its value; signals: ip, ua")
        }
    }

    private mutating func readLimit() throws(ReplyError) -> Int {
        let text = try take("LIMIT")
        guard let limit = Int(String(decoding: text, as: UTF8.self)), limit >= 1, limit <= TokenService.maxListed else {
            throw .badArgument("LIMIT takes a number from 1 to \(TokenService.maxListed)")
        }
        return limit
    }

    private mutating func readPairs() throws(ReplyError) {
        let rest = call.arguments.count - index
        guard rest > 0, rest % 2 == 0 else {
            throw .badArgument("DATA takes pairs of field and value, and comes last")
        }
        var positions: [[UInt8]: Int] = [:]
        while index < call.arguments.count {
            let name = try fieldName(call.arguments[index])
            let field = RecordField(name: name, value: call.arguments[index + 1].array)
            // A name given twice: the last value counts, as if they had been set one after the other.
            if let position = positions[name] {
                request.data[position] = field
            } else {
                positions[name] = request.data.count
                request.data.append(field)
            }
            index += 2
        }
    }

    private mutating func readNames() throws(ReplyError) {
        var names: [[UInt8]] = []
        while index < call.arguments.count {
            names.append(try fieldName(call.arguments[index]))
            index += 1
        }
        dataNames = names
    }

    private func fieldName(_ text: UnsafeRawBufferPointer) throws(ReplyError) -> [UInt8] {
        guard !text.isEmpty, text.count <= Self.maxFieldName else {
            throw .badArgument("a DATA field's name has 1 to \(Self.maxFieldName) bytes")
        }
        return text.array
    }

    /// The fields asked for, in the order of asking; those that the session does not have are left out.
    func pick(_ data: [RecordField]) -> [RecordField] {
        guard let dataNames, !dataNames.isEmpty else { return data }
        return dataNames.compactMap { name in data.first { $0.name == name } }
    }
}

extension FetchSite {
    /// Reads the value of `Sec-Fetch-Site`; nil where it is empty: the browser did not send it.
    init?(header: UnsafeRawBufferPointer) {
        guard !header.isEmpty else { return nil }
        let words: [(StaticString, FetchSite)] = [
            ("SAME-ORIGIN", .sameOrigin), ("SAME-SITE", .sameSite), ("NONE", .userAlone), ("CROSS-SITE", .crossSite),
        ]
        self = words.first { header.isKeyword($0.0) }?.1 ?? .other
    }
}
