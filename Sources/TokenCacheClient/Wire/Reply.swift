internal import Glibc

/// One whole reply: its elements in the order of the wire, each array before what it holds.
struct Reply {
    /// An element.
    enum Node: Equatable {
        case integer(Int64)
        /// A bulk or simple string: start and length in the reply's text.
        case text(UInt32, UInt32)
        /// An error, as a line.
        case error(UInt32, UInt32)
        /// As many elements follow, with what they hold.
        case array(UInt32)
        case null
    }

    /// Never empty; the first one is the reply itself.
    let nodes: [Node]
    private let text: [UInt8]

    init(nodes: [Node], text: [UInt8]) {
        self.nodes = nodes
        self.text = text
    }

    /// The element at a position; absent past the end, which a whole reply has no way to point to.
    subscript(position: Int) -> Node {
        nodes.indices.contains(position) ? nodes[position] : .null
    }

    /// The position after an element and everything in it.
    func after(_ position: Int) -> Int {
        var next = position
        var left = 1
        while left > 0, next < nodes.count {
            if case .array(let count) = nodes[next] { left += Int(count) }
            left -= 1
            next += 1
        }
        return next
    }

    /// The bytes of a text or error; empty for anything else.
    func bytes(at position: Int) -> ArraySlice<UInt8> {
        switch self[position] {
        case .text(let start, let count), .error(let start, let count):
            let range = Int(start)..<(Int(start) + Int(count))
            return range.upperBound <= text.count ? text[range] : []
        default:
            return []
        }
    }

    /// Whether the element is this text.
    func isText(at position: Int, _ expected: StaticString) -> Bool {
        guard case .text(let start, let count) = self[position], Int(count) == expected.utf8CodeUnitCount,
            Int(start) + Int(count) <= text.count
        else { return false }
        return text.withUnsafeBytes { bytes in
            count == 0 || bytes.baseAddress.map { memcmp($0 + Int(start), expected.utf8Start, Int(count)) } == 0
        }
    }

    /// The text as UTF-8, invalid sequences replaced; `nil` if this is no text.
    func string(at position: Int) -> String? {
        guard case .text = self[position] else { return nil }
        return String(decoding: bytes(at: position), as: UTF8.self)
    }

    /// What the reply stands for if it is an error, `nil` if it is not.
    var error: TokenCacheError? {
        guard case .error = self[0] else { return nil }
        let (code, message) = errorWords(at: 0)
        return TokenCacheError(code: code, message: message)
    }

    /// What the daemon turns a whole connection away with, `nil` if this is not that.
    var farewell: TokenCacheError? {
        switch error {
        case .overloaded?, .notPermitted?: error
        default: nil
        }
    }

    /// The first word of an error, and the rest of its line, both fit for a terminal and a log.
    fileprivate func errorWords(at position: Int) -> (code: String, message: String) {
        let line = bytes(at: position)
        let code = line.prefix { $0 != 0x20 }
        return (ErrorText.clean(code), ErrorText.clean(line.dropFirst(code.count + 1)))
    }
}

extension ReplyValue {
    /// A reply as a tree, from one of its elements on.
    init(_ reply: Reply, at position: Int = 0) {
        switch reply[position] {
        case .integer(let value):
            self = .integer(value)
        case .null:
            self = .null
        case .text:
            self = .text(Array(reply.bytes(at: position)))
        case .error:
            let (code, message) = reply.errorWords(at: position)
            self = .error(code: code, message: message)
        case .array(let count):
            // hiredis nests at most seven levels deep, hence the recursion is bounded.
            var values: [ReplyValue] = []
            var next = position + 1
            for _ in 0..<count where next < reply.nodes.count {
                values.append(ReplyValue(reply, at: next))
                next = reply.after(next)
            }
            self = .array(values)
        }
    }
}
