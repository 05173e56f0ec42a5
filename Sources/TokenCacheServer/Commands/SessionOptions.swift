internal import TokenCache
internal import Tokens
internal import WireProtocol

/// The options after the positional arguments of a session command, in any order but `DATA`, which comes last.
///
/// Bindings are read and checked for form; they take effect with the guests' key ring.
struct SessionOptions {
    enum Option: String, CaseIterable {
        case subject = "SUBJECT"
        case idle = "IDLE"
        case absolute = "ABSOLUTE"
        case bind = "BIND"
        case except = "EXCEPT"
        case limit = "LIMIT"
        case check = "CHECK"
        case site = "SITE"
        case csrf = "CSRF"
        /// `DATA field value …`
        case dataPairs = "DATA"
        /// `DATA field …`
        case dataNames = "DATA field"
    }

    var request = SessionRequest()
    /// Names asked for; nil without `DATA`, empty for all fields.
    var dataNames: [[UInt8]]?
    var limit: Int?
    /// Argument index of the token after `EXCEPT`.
    var exceptIndex: Int?
    /// Whether CHECK or CSRF was given: they need the key ring.
    var needsKeys = false

    static let defaultLimit = 100
    static let maxFieldName = 256

    private let call: Call
    private let allowed: Set<Option>
    private let policy: TokenPolicy
    private var index: Int

    /// Reads the arguments from `start` on.
    init(
        _ call: Call, from start: Int, allowed: Set<Option>, policy: TokenPolicy
    ) throws(ReplyError) {
        self.call = call
        self.allowed = allowed
        self.policy = policy
        index = start
        while index < call.arguments.count { try readOption() }
    }

    private mutating func readOption() throws(ReplyError) {
        let keyword = call.arguments[index]
        guard let option = Option.allCases.first(where: { allowed.contains($0) && $0.matches(keyword) }) else {
            let names = Option.allCases.filter(allowed.contains).map(\.keyword).joined(separator: ", ")
            let allowedNow = names.isEmpty ? "nothing more is allowed there" : "allowed there: \(names)"
            throw .badArgument("argument \(index + 1) of \(call.command.spec.name) is no option; \(allowedNow)")
        }
        index += 1
        switch option {
        case .subject: request.subject = try Self.subject(try take("SUBJECT"), isRequired: false)
        case .idle: request.idle = try duration("IDLE")
        case .absolute: request.absolute = try duration("ABSOLUTE")
        case .bind: try readBinding()
        case .except:
            exceptIndex = index
            _ = try take("EXCEPT")
        case .limit: limit = try readLimit()
        case .check:
            _ = try take("CHECK")
            _ = try take("CHECK")
            needsKeys = true
        case .site: _ = try take("SITE")
        case .csrf:
            _ = try take("CSRF")
            needsKeys = true
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

    /// `IDLE` and `ABSOLUTE`: more than nothing, at most `session.max-absolute`.
    private mutating func duration(_ option: StaticString) throws(ReplyError) -> Milliseconds {
        let text = try take(option)
        guard case .success(let value) = DurationText.milliseconds(text), value > 0, value <= policy.maxAbsolute else {
            throw .badArgument(
                "\(option) takes a duration from 1ms to \(DurationText.text(.milliseconds(policy.maxAbsolute))) "
                    + "(session.max-absolute): a number with ms, s, m, h or d, a bare number means seconds")
        }
        return value
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
        _ = try take("BIND")
        guard signal.isKeyword("IP") || signal.isKeyword("UA") else {
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

extension SessionOptions.Option {
    /// The word on the wire.
    var keyword: String { self == .dataNames ? "DATA" : rawValue }

    func matches(_ text: UnsafeRawBufferPointer) -> Bool {
        text.count == keyword.utf8.count
            && zip(text, keyword.utf8).allSatisfy { $0 == $1 || ($0 >= 97 && $0 <= 122 && $0 - 32 == $1) }
    }
}
