internal import TokenCache
internal import Tokens
internal import UnixTime
internal import WireProtocol

/// The options after the positional arguments of a session command, in any order but `DATA`, which comes last.
struct SessionOptions {
    var request = SessionRequest()
    /// What VISIT and VALIDATE ask besides; of the form that came back the site is completed when all options are read.
    var access = AccessRequest()
    var requirement = Requirement()
    var signals = Signals()
    /// `LIFETIME` of a guest token or a captcha.
    var lifetime: Milliseconds?
    /// `FORM`: the name of a form; empty for the form without a name.
    var form: [UInt8] = []
    /// Argument index of the token after `FOR`.
    var holderIndex: Int?
    var solution: [UInt8]?
    var length: Int?
    /// `DATA`: the fields that are asked for.
    var fields = AskedFields()
    var limit: Int?
    var cursor: IndexCursor?
    /// Keys that a call of SCAN looks at.
    var scanCount: Int?
    /// Argument index of the token after `EXCEPT`.
    var exceptIndex: Int?
    /// `IF`: fields and what they must be.
    var conditions: [RecordField] = []
    /// `DATA field [n]`.
    var addend: (field: [UInt8], number: Int64)?
    static let defaultLimit = 100
    static let maxFieldName = 256
    static let maxUserAgent = 4_096

    private let call: Call
    private let options: [CommandOption]
    /// Whose policy and clock options are held against; it outlives the command.
    private unowned(unsafe) let service: TokenService
    private let maxLifetime: Milliseconds
    private var index: Int
    /// Options that were given.
    private var given = CommandOptions()

    /// Reads the arguments from `start` on.
    /// - Parameter allowed: options that the command takes there.
    init(
        _ call: Call, from start: Int, allowed: [CommandOption], service: TokenService, maxLifetime: Milliseconds = 0
    ) throws(ReplyError) {
        self.call = call
        options = allowed
        self.service = service
        self.maxLifetime = maxLifetime
        index = start
        while index < call.arguments.count { try readOption() }
        request.signals = signals
        access.needsData = fields.areAsked
        access.check?.site = access.site
        try checkLimits()
    }

    /// The idle limit that is asked for is never cut in silence.
    private func checkLimits() throws(ReplyError) {
        guard let idle = request.idle else { return }
        // A session that lives already has an absolute end of its own.
        let isNew = call.command == .tokenIssue || call.command == .tokenLogin
        guard let absolute = request.absolute ?? (isNew ? service.policy.absolute : nil), idle > absolute else {
            return
        }
        let text = DurationText.text(.milliseconds(absolute))
        throw .badArgument(
            "IDLE \(DurationText.text(.milliseconds(idle))) is longer than "
                + (request.absolute == nil ? "session.absolute (\(text)): give ABSOLUTE, too" : "ABSOLUTE \(text)"))
    }

    private mutating func readOption() throws(ReplyError) {
        let keyword = call.arguments[index]
        guard let option = options.first(where: { keyword.isKeyword($0.keyword) }) else {
            let names = options.map { "\($0.keyword)" }.joined(separator: ", ")
            let allowedNow = names.isEmpty ? "nothing more is allowed there" : "allowed there: \(names)"
            throw .badArgument("argument \(index + 1) of \(call.row.name) is no option; \(allowedNow)")
        }
        index += 1
        if !option.mayRepeat {
            guard !given.contains(option) else { throw .givenTwice(option.keyword) }
            given.insert(option)
        }
        switch option {
        case .subject: request.subject = try Self.subject(try take("SUBJECT"), isRequired: false)
        case .idle: request.idle = try duration("IDLE", atMost: service.policy.maxAbsolute, "session.max-absolute")
        case .absolute:
            request.absolute = try duration("ABSOLUTE", atMost: service.policy.maxAbsolute, "session.max-absolute")
        case .bind: try readBinding()
        case .except:
            exceptIndex = index
            _ = try take("EXCEPT")
        case .limit: limit = try readNumber("LIMIT", 1...TokenService.maxListed)
        case .cursor: cursor = try readCursor()
        case .check:
            let csrf = try take("CHECK").array
            access.check = FormCheck(csrf: csrf, form: try formName("CHECK"), site: nil)
        case .fetchSite: access.site = FetchSite(header: try take("FETCH-SITE"))
        case .fetchMode: access.mode = FetchMode(header: try take("FETCH-MODE"))
        case .post: access.isPost = true
        case .csrf: access.csrfForm = try formName("CSRF")
        case .require: try readRequirement()
        case .cookie: request.isPersistent = try readCookie()
        case .authTime: request.authTime = try readAuthTime()
        case .max: request.maxSessions = try readNumber("MAX", 0...TokenService.maxListed)
        case .count: scanCount = try readNumber("COUNT", 1...TokenService.maxScanned)
        case .lifetime:
            lifetime = try duration(
                "LIFETIME", from: 1_000, atMost: maxLifetime,
                call.command == .guestIssue ? "guest.absolute" : "a captcha's longest")
        case .form: form = try formName("FORM")
        case .holder:
            holderIndex = index
            _ = try take("FOR")
        case .solution: solution = try readSolution()
        case .length: length = try readNumber("LENGTH", 1...CaptchaAlphabet.longest)
        case .condition: try readCondition()
        case .dataNumber: try readAddend()
        case .dataPairs: try readPairs()
        case .dataNames: try readNames()
        }
    }

    private mutating func take(_ option: StaticString) throws(ReplyError) -> UnsafeRawBufferPointer {
        guard index < call.arguments.count else {
            throw .badArgument("\(option) needs a value; usage: \(call.row.usage)")
        }
        defer { index += 1 }
        return call.arguments[index]
    }

    // MARK: Values

    /// A number of digits alone; nil for anything else.
    private static func number(_ text: UnsafeRawBufferPointer) -> Int? {
        guard !text.isEmpty, text.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(String(decoding: text, as: UTF8.self))
    }

    /// More than nothing, at most what the configuration says under `key`.
    private mutating func duration(
        _ option: StaticString, from least: Milliseconds = 1, atMost limit: Milliseconds, _ key: StaticString
    ) throws(ReplyError) -> Milliseconds {
        let text = try take(option)
        guard case .success(let value) = DurationText.milliseconds(text), value >= least, value <= limit else {
            throw .badArgument(
                "\(option) takes a duration from \(DurationText.text(.milliseconds(least))) to "
                    + "\(DurationText.text(.milliseconds(limit))) (\(key)): a number with ms, s, m, h or d, a bare "
                    + "number means seconds")
        }
        return value
    }

    private mutating func readRequirement() throws(ReplyError) {
        let kind = try take("REQUIRE")
        if kind.isKeyword("SUBJECT") {
            guard !requirement.subject else { throw .givenTwice("REQUIRE subject") }
            requirement.subject = true
        } else if kind.isKeyword("LOGIN-WITHIN") {
            guard requirement.loginWithin == nil else { throw .givenTwice("REQUIRE login-within") }
            requirement.loginWithin = try duration(
                "REQUIRE login-within", atMost: service.policy.maxAbsolute, "session.max-absolute")
        } else {
            throw .badArgument("REQUIRE takes subject, or login-within and a duration")
        }
    }

    private mutating func readCookie() throws(ReplyError) -> Bool {
        let kind = try take("COOKIE")
        if kind.isKeyword("PERSISTENT") { return true }
        guard kind.isKeyword("SESSION") else {
            throw .badArgument("COOKIE takes session (the cookie ends with the browser) or persistent")
        }
        return false
    }

    private mutating func readAuthTime() throws(ReplyError) -> UnixMilliseconds {
        let text = try take("AUTH-TIME")
        guard let seconds = Self.number(text).map(Int64.init),
            UnixSeconds(seconds) <= service.seconds + Sealer.maxClockLead
        else {
            throw .badArgument(
                "AUTH-TIME takes a time that has come, Unix time in whole seconds, or 0 where nobody proved who they are"
            )
        }
        return UnixSeconds(seconds).milliseconds
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
            guard signals.ip == nil else { throw .givenTwice("BIND ip") }
            guard let address = IPAddress(text: value) else {
                throw .badArgument(
                    "BIND ip takes an IPv4 or IPv6 address, without a zone (%eth0); where a request has none, leave BIND ip "
                        + "away")
            }
            signals.ip = address
        } else if signal.isKeyword("UA") {
            guard signals.userAgent == nil else { throw .givenTwice("BIND ua") }
            guard value.count <= Self.maxUserAgent else {
                throw .badArgument("BIND ua takes at most \(Self.maxUserAgent) bytes, this one has \(value.count)")
            }
            signals.userAgent = value.array
        } else {
            throw .badArgument("BIND takes a signal and its value; signals: ip, ua")
        }
    }

    private mutating func readNumber(_ option: StaticString, _ range: ClosedRange<Int>) throws(ReplyError) -> Int {
        let text = try take(option)
        guard let number = Self.number(text), range.contains(number) else {
            throw .badArgument("\(option) takes a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private mutating func readCursor() throws(ReplyError) -> IndexCursor {
        guard let cursor = IndexCursor(text: try take("CURSOR")) else {
            throw .badArgument("CURSOR takes 0, or what the call before answered")
        }
        return cursor
    }

    private mutating func readCondition() throws(ReplyError) {
        let name = try fieldName(try take("IF"))
        guard !conditions.contains(where: { $0.name == name }) else { throw .givenTwice("IF of one field") }
        conditions.append(RecordField(name: name, value: try take("IF").array))
    }

    private mutating func readAddend() throws(ReplyError) {
        let name = try fieldName(try take("DATA"))
        try checkNotOption(name)
        guard index < call.arguments.count else { return addend = (name, 1) }
        guard let number = Int64(strict: try take("DATA")), index == call.arguments.count else {
            throw .badArgument("DATA of \(call.row.name) takes one field and an integer of 64 bits, and comes last")
        }
        addend = (name, number)
    }

    private mutating func readPairs() throws(ReplyError) {
        let rest = call.arguments.count - index
        guard rest > 0, rest % 2 == 0 else {
            throw .badArgument("DATA takes pairs of field and value, and comes last")
        }
        var positions: [[UInt8]: Int] = [:]
        while index < call.arguments.count {
            let name = try fieldName(call.arguments[index])
            try checkNotOption(name)
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
            let name = try fieldName(call.arguments[index])
            try checkNotOption(name)
            guard !names.contains(name) else { throw .givenTwice("a field behind DATA") }
            names.append(name)
            index += 1
        }
        fields.names = names
    }

    /// An option that stands behind DATA would be taken for a field.
    private func checkNotOption(_ name: [UInt8]) throws(ReplyError) {
        guard
            let option = options.first(where: { option in
                option.keyword.withUTF8Buffer { $0.elementsEqual(name) }
            })
        else { return }
        throw .badArgument(
            "\(option.keyword) stands behind DATA, which takes all that follows for fields: put it before DATA")
    }

    private func fieldName(_ text: UnsafeRawBufferPointer) throws(ReplyError) -> [UInt8] {
        guard !text.isEmpty, text.count <= Self.maxFieldName else {
            throw .badArgument("a field's name (DATA, IF) has 1 to \(Self.maxFieldName) bytes")
        }
        return text.array
    }

    /// Nil without `SUBJECT`.
    var givenSubject: [UInt8]? { given.contains(CommandOption.subject) ? request.subject : nil }

    /// Limits of a session that lives.
    var limits: SessionLimits { SessionLimits(idle: request.idle, absolute: request.absolute) }

    /// Whether VALIDATE is asked for more than the token.
    var asksForPage: Bool { fields.areAsked || access.check != nil || access.csrfForm != nil }
}

/// The fields of a session's data that a command asks for. By itself, since it is what is left of the options when the answer
/// comes.
struct AskedFields {
    /// Nil without `DATA`, empty for all fields.
    var names: [[UInt8]]?

    var areAsked: Bool { names != nil }

    /// Of a session's data; nil where none was asked for.
    func picked(_ view: SessionView) -> [RecordField]? { areAsked ? pick(view.data ?? []) : nil }

    /// In the order of asking; those that the session does not have are left out.
    func pick(_ data: [RecordField]) -> [RecordField] {
        guard let names, !names.isEmpty else { return data }
        return data.picked(names)
    }
}

extension FetchSite {
    /// Reads the value of `Sec-Fetch-Site`; nil where it is empty: the browser did not send it.
    init?(header: UnsafeRawBufferPointer) {
        let value = header.trimmed
        guard !value.isEmpty else { return nil }
        let words: [(StaticString, FetchSite)] = [
            ("SAME-ORIGIN", .sameOrigin), ("SAME-SITE", .sameSite), ("NONE", .userAlone), ("CROSS-SITE", .crossSite),
        ]
        self = words.first { value.isKeyword($0.0) }?.1 ?? .other
    }
}

extension FetchMode {
    /// Reads the value of `Sec-Fetch-Mode`; nil where it is empty: old browsers, plain HTTP.
    init?(header: UnsafeRawBufferPointer) {
        let value = header.trimmed
        guard !value.isEmpty else { return nil }
        self = value.isKeyword("NAVIGATE") ? .navigate : .other
    }
}

extension UnsafeRawBufferPointer {
    /// Without the blanks that a header's value may have around it.
    fileprivate var trimmed: UnsafeRawBufferPointer {
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        let start = drop(while: isBlank).startIndex
        let end = self[start...].lastIndex { !isBlank($0) }.map { $0 + 1 } ?? start
        return UnsafeRawBufferPointer(rebasing: self[start..<end])
    }
}

extension ReplyError {
    fileprivate static func givenTwice(_ what: StaticString) -> ReplyError { .badArgument("\(what) is given twice") }
}
