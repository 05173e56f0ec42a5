internal import TokenCrypto

/// A value on its way into a JSON document.
indirect enum JSONValue {
    case text(String)
    case number(Int64?)
    /// Written as it is: a decimal number.
    case literal(String)
    case flag(Bool)
    case nothing
    case list([JSONValue])
    case object([(String, JSONValue)])

    var text: String {
        switch self {
        case .text(let text): jsonString(text)
        case .number(let number): number.map { "\($0)" } ?? "null"
        case .literal(let text): text
        case .flag(let flag): flag ? "true" : "false"
        case .nothing: "null"
        case .list(let values): "[\(values.map(\.text).joined(separator: ","))]"
        case .object(let members):
            "{\(members.map { "\(jsonString($0.0)):\($0.1.text)" }.joined(separator: ","))}"
        }
    }
}
