/// Text as bytes.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
func decimal(_ number: Int64) -> [UInt8] { bytes(String(number)) }
func number(_ bytes: [UInt8]?) -> Int64? { bytes.flatMap { Int64(text($0)) } }

/// A reply of the model, in the words of both protocols.
indirect enum ModelReply: Equatable {
    case status(String)
    case error(String)
    case integer(Int64)
    case bulk([UInt8])
    case null
    case array([ModelReply])
    /// Names and values in turn; an array in RESP2.
    case map([ModelReply])
    /// Text; a bulk in RESP2.
    case verbatim([UInt8])
    /// Out of turn, RESP3 only.
    case push([ModelReply])

    static let ok = ModelReply.status("OK")
    static func words(_ words: String...) -> ModelReply { .array(words.map { .bulk(bytes($0)) }) }

    func encode(into output: inout [UInt8], isRESP3: Bool) {
        func line(_ mark: String, _ value: String) { output += "\(mark)\(value)\r\n".utf8 }
        func all(_ elements: [ModelReply]) {
            for element in elements { element.encode(into: &output, isRESP3: isRESP3) }
        }
        switch self {
        case .status(let text): line("+", text)
        case .error(let text): line("-", text)
        case .integer(let number): line(":", String(number))
        case .bulk(let content):
            line("$", String(content.count))
            output += content
            output += "\r\n".utf8
        case .null: output += (isRESP3 ? "_\r\n" : "$-1\r\n").utf8
        case .array(let elements):
            line("*", String(elements.count))
            all(elements)
        case .map(let elements):
            line(isRESP3 ? "%" : "*", String(isRESP3 ? elements.count / 2 : elements.count))
            all(elements)
        case .verbatim(let content):
            guard isRESP3 else { return ModelReply.bulk(content).encode(into: &output, isRESP3: false) }
            line("=", String(content.count + 4))
            output += "txt:".utf8
            output += content
            output += "\r\n".utf8
        case .push(let elements):
            line(">", String(elements.count))
            all(elements)
        }
    }
}

/// Commands out of the bytes of a connection, however they were cut. What is no command ends the connection.
struct CommandReader {
    private var buffer: [UInt8] = []
    private var start = 0
    private(set) var isBroken = false

    mutating func feed(_ bytes: [UInt8]) { buffer += bytes }

    mutating func next() -> [[UInt8]]? {
        guard !isBroken else { return nil }
        var at = start
        guard let count = header(UInt8(ascii: "*"), &at) else { return nil }
        var words: [[UInt8]] = []
        words.reserveCapacity(count)
        for _ in 0..<count {
            guard let length = header(UInt8(ascii: "$"), &at), at + length + 2 <= buffer.count else { return nil }
            words.append(Array(buffer[at..<at + length]))
            at += length + 2
        }
        start = at
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            start = 0
        }
        return words
    }

    /// A count behind its mark; nil where it is not all there.
    private mutating func header(_ mark: UInt8, _ at: inout Int) -> Int? {
        guard at < buffer.count else { return nil }
        guard buffer[at] == mark else {
            isBroken = true
            return nil
        }
        var value = 0
        var next = at + 1
        while next < buffer.count, (0x30...0x39).contains(buffer[next]), value < 1 << 24 {
            value = value * 10 + Int(buffer[next] - 0x30)
            next += 1
        }
        guard next + 1 < buffer.count else { return nil }
        guard buffer[next] == 13, buffer[next + 1] == 10 else {
            isBroken = true
            return nil
        }
        at = next + 2
        return value
    }
}
