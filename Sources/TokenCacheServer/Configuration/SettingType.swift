internal import WireProtocol

/// Why a value was refused: a predicate for a sentence that starts with the value (`is not a duration`). It never holds
/// the value itself, so that the one who prints it decides whether it may be shown.
struct ValueFault: Error, Equatable, Sendable {
    var text: String

    init(_ text: String) {
        self.text = text
    }
}

/// A kind of value: how it is read, printed and described. Ranges are part of it.
struct SettingType<Value: Equatable & Sendable>: Sendable {
    /// `duration`, `size`, …: the first word of the line in the manual.
    var name: String
    /// The values that are taken, for people.
    var allowed: String
    /// Further words for an error message.
    var examples = ""
    /// The value may be a list or a map in the file.
    var isStructured = false
    var parse: @Sendable (String) -> Result<Value, ValueFault>
    /// Text that `parse` reads as the same value; for a secret, what may be shown of it.
    var show: @Sendable (Value) -> String
}

extension SettingType where Value == Duration {
    static func duration(_ range: ClosedRange<Duration>, zeroMeans: String? = nil) -> Self {
        let bounds = "\(DurationText.text(range.lowerBound)) to \(DurationText.text(range.upperBound))"
        return SettingType(
            name: "duration",
            allowed: bounds + (zeroMeans.map { " (0: \($0))" } ?? ""),
            examples: DurationText.examples,
            parse: { text in
                switch DurationText.milliseconds(text.utf8) {
                case .success(let milliseconds):
                    let value = Duration.milliseconds(milliseconds)
                    return range.contains(value) ? .success(value) : .failure(.outOfRange)
                case .failure(.malformed): return .failure(ValueFault("is not a duration"))
                case .failure(.unknownUnit):
                    return .failure(ValueFault("is not a duration: the units are ms, s, m, h and d"))
                case .failure(.inexact): return .failure(ValueFault("is not a whole number of milliseconds"))
                case .failure(.tooLarge): return .failure(.outOfRange)
                }
            },
            show: DurationText.text)
    }
}

extension SettingType where Value == Int {
    static func byteSize(_ range: ClosedRange<Int>) -> Self {
        SettingType(
            name: "size",
            allowed: "\(ByteSizeText.text(range.lowerBound)) to \(ByteSizeText.text(range.upperBound))",
            examples: ByteSizeText.examples,
            parse: { text in
                switch ByteSizeText.bytes(text.utf8) {
                case .success(let bytes): return range.contains(bytes) ? .success(bytes) : .failure(.outOfRange)
                case .failure(.malformed): return .failure(ValueFault("is not a size"))
                case .failure(.unknownUnit):
                    return .failure(ValueFault("is not a size: the units are KiB, MiB and GiB"))
                case .failure(.tooLarge): return .failure(.outOfRange)
                }
            },
            show: ByteSizeText.text)
    }

    static func integer(_ range: ClosedRange<Int>, zeroMeans: String? = nil) -> Self {
        SettingType(
            name: "integer",
            allowed: "\(range.lowerBound) to \(range.upperBound)" + (zeroMeans.map { " (0: \($0))" } ?? ""),
            parse: { text in
                var rest = text.utf8[...]
                guard case .number(let number, let overflowed) = DurationText.takeDigits(&rest), rest.isEmpty else {
                    return .failure(ValueFault("is not a whole number"))
                }
                return !overflowed && range.contains(Int(number)) ? .success(Int(number)) : .failure(.outOfRange)
            },
            show: { "\($0)" })
    }
}

extension SettingType where Value == Bool {
    static var boolean: Self {
        SettingType(
            name: "boolean", allowed: "true or false",
            parse: { text in
                switch text.lowercased() {
                case "true", "yes", "on": return .success(true)
                case "false", "no", "off": return .success(false)
                default: return .failure(ValueFault("is neither true nor false"))
                }
            },
            show: { "\($0)" })
    }
}

extension SettingType where Value == UInt32 {
    /// Permission bits in octal.
    static var mode: Self {
        SettingType(
            name: "mode", allowed: "0000 to 0777, octal",
            parse: { text in
                let digits = text.hasPrefix("0o") ? text.dropFirst(2) : text[...]
                guard (3...4).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x37).contains($0) }),
                    let mode = UInt32(digits, radix: 8)
                else { return .failure(ValueFault("is not an octal mode of three or four digits")) }
                return mode <= 0o777 ? .success(mode) : .failure(.outOfRange)
            },
            show: { mode in
                let digits = String(mode, radix: 8)
                return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
            })
    }
}

extension SettingType {
    /// One of a few words, each of which means a value.
    private static func choice(_ values: [Value], word: @escaping @Sendable (Value) -> String) -> Self {
        let words = values.map(word)
        return SettingType(
            name: "choice", allowed: words.joined(separator: ", "),
            parse: { text in
                if let value = values.first(where: { word($0) == text }) { return .success(value) }
                let meant = NearestName.of(text, in: words).map { "; did you mean \($0)?" } ?? ""
                return .failure(ValueFault("is none of the choices\(meant)"))
            },
            show: word)
    }
}

extension SettingType where Value: RawRepresentable, Value.RawValue == String {
    /// One of some values of a type that has more.
    static func choice(_ values: Value...) -> Self { choice(values, word: \.rawValue) }
}

extension SettingType where Value: CaseIterable & RawRepresentable, Value.RawValue == String {
    static var choice: Self { choice(Array(Value.allCases), word: \.rawValue) }
}

extension SettingType where Value == Role {
    static var role: Self { choice(Role.allCases) { "\($0)" } }
}

extension SettingType where Value == String {
    /// Text under a rule that is said in `allowed`.
    static func text(allowed: String, rule: @escaping @Sendable (String) -> Bool) -> Self {
        SettingType(
            name: "text", allowed: allowed,
            parse: { rule($0) ? .success($0) : .failure(ValueFault("is not allowed")) },
            show: { $0 })
    }

    /// An absolute path of a file or folder, or nothing, which then means what `empty` says.
    static func path(empty: String, maxBytes: Int = 1024) -> Self {
        SettingType(
            name: "path", allowed: "an absolute path of at most \(maxBytes) bytes, or empty for \(empty)",
            parse: { text in
                if text.isEmpty { return .success(text) }
                guard text.hasPrefix("/") else { return .failure(ValueFault("is not an absolute path")) }
                guard !text.utf8.contains(0) else { return .failure(ValueFault("holds a zero byte")) }
                return text.utf8.count <= maxBytes
                    ? .success(text) : .failure(ValueFault("is longer than \(maxBytes) bytes"))
            },
            show: { $0 })
    }
}

extension SettingType where Value == AuditTrail.Target {
    static var auditTarget: Self {
        let path = SettingType<String>.path(empty: "")
        return SettingType(
            name: "target", allowed: "off, log, or file: and an absolute path of at most 1024 bytes",
            examples: "file:/var/lib/tokencached/audit.jsonl",
            parse: { text in
                switch text {
                case "off": return .success(.off)
                case "log": return .success(.log)
                case _ where text.hasPrefix("file:/"): return path.parse(String(text.dropFirst(5))).map { .file($0) }
                default: return .failure(ValueFault("is no target"))
                }
            },
            show: { target in
                switch target {
                case .off: "off"
                case .log: "log"
                case .file(let path): "file:\(path)"
                }
            })
    }
}

extension SettingType where Value == RedisURL {
    static var redisURL: Self {
        SettingType(name: "address", allowed: RedisURL.allowed, parse: RedisURL.parse, show: \.description)
    }
}

extension ValueFault {
    static let outOfRange = ValueFault("is out of range")
}
