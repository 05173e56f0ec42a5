import TokenCacheClient
import TokenCrypto

/// A JSON document whose members keep their order.
indirect enum JSONText {
    case object([(String, JSONText)])
    case array([JSONText])
    case string(String)
    case integer(Int64)
    case null

    /// On one line, as RFC 8259 has it.
    var text: String {
        var output = ""
        write(to: &output)
        return output
    }

    private func write(to output: inout String) {
        switch self {
        case .object(let members):
            output += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { output += "," }
                output += jsonString(member.0)
                output += ":"
                member.1.write(to: &output)
            }
            output += "}"
        case .array(let elements):
            output += "["
            for (index, element) in elements.enumerated() {
                if index > 0 { output += "," }
                element.write(to: &output)
            }
            output += "]"
        case .string(let text): output += jsonString(text)
        case .integer(let value): output += String(value)
        case .null: output += "null"
        }
    }
}

extension JSONText {
    /// A domain reply as an object with the protocol's names.
    init(_ fields: ReplyFields) {
        self = .object(
            fields.pairs.map { pair in
                // RESP2 has no maps: that this one is a map, only its name tells.
                if pair.name == "data", let data = pair.value.fields { return (pair.name, JSONText(data)) }
                return (pair.name, JSONText(pair.value))
            })
    }

    /// Any reply. Text that is not UTF-8 becomes `{"base64": …}`, so that nothing is lost.
    init(_ value: ReplyValue) {
        switch value {
        case .integer(let number): self = .integer(number)
        case .null: self = .null
        case .array(let values): self = .array(values.map { JSONText($0) })
        case .error(let code, let message): self = .object([("error", .string("\(code) \(message)"))])
        case .text(let bytes):
            if let text = String(validating: bytes, as: UTF8.self) {
                self = .string(text)
            } else {
                self = .object([("base64", .string(Self.base64(bytes)))])
            }
        }
    }

    static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var output: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { ($0 << 8) | UInt32($1) } << UInt32(8 * (3 - group.count))
            for index in 0..<4 {
                let isFilled = index <= group.count
                output.append(isFilled ? alphabet[Int((bits >> UInt32(18 - 6 * index)) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
