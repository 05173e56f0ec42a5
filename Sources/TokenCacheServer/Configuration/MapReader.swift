internal import WireProtocol

/// Reads a value that is a small map of its own, `{unix: /path, mode: 0660}`: what is in it, and what should not be.
struct MapReader {
    private let members: [(name: String, value: YAMLNode)]

    /// - Parameter known: the names that may stand in it.
    init(_ node: YAMLNode, known: [String]) throws(ValueFault) {
        guard case .mapping(let entries) = node.content else { throw ValueFault("is no map") }
        var members: [(name: String, value: YAMLNode)] = []
        for (key, value) in entries {
            guard case .scalar(let name, _) = key.content, known.contains(name) else {
                throw ValueFault("holds a key that is none of \(known.joined(separator: ", "))")
            }
            guard !members.contains(where: { $0.name == name }) else { throw ValueFault("holds \(name) twice") }
            members.append((name, value))
        }
        self.members = members
    }

    func has(_ name: String) -> Bool { node(name) != nil }

    private func node(_ name: String) -> YAMLNode? { members.first { $0.name == name }?.value }

    /// A single value; nil where it is not there.
    func text(_ name: String) throws(ValueFault) -> String? {
        guard let node = node(name) else { return nil }
        guard case .scalar(let text, _) = node.content else {
            throw ValueFault("holds \(name), which is no single value")
        }
        return text
    }

    /// The same, of a type.
    func value<Value>(_ name: String, _ type: SettingType<Value>) throws(ValueFault) -> Value? {
        guard let text = try text(name) else { return nil }
        switch type.parse(text) {
        case .success(let value): return value
        case .failure(let fault): throw ValueFault("holds \(name), which \(fault.text) (allowed: \(type.allowed))")
        }
    }

    /// A list, or a single value that stands for one.
    func values<Value>(_ name: String, _ type: SettingType<Value>) throws(ValueFault) -> [Value]? {
        guard let node = node(name) else { return nil }
        let elements = if case .sequence(let elements) = node.content { elements } else { [node] }
        var values: [Value] = []
        for element in elements {
            guard case .scalar(let text, _) = element.content, case .success(let value) = type.parse(text) else {
                throw ValueFault("holds \(name), in which not all is one of \(type.allowed)")
            }
            if !values.contains(value) { values.append(value) }
        }
        guard !values.isEmpty else { throw ValueFault("holds \(name), which is empty") }
        return values
    }

    /// A map of texts, in the order of the file.
    func pairs(_ name: String) throws(ValueFault) -> [(name: String, text: String)]? {
        guard let node = node(name) else { return nil }
        guard case .mapping(let entries) = node.content else { throw ValueFault("holds \(name), which is no map") }
        var pairs: [(name: String, text: String)] = []
        for (key, value) in entries {
            guard case .scalar(let key, _) = key.content, case .scalar(let text, _) = value.content,
                !pairs.contains(where: { $0.name == key })
            else {
                throw ValueFault("holds \(name), in which a name or value is no single value, or a name stands twice")
            }
            pairs.append((key, text))
        }
        return pairs
    }
}

extension YAMLNode {
    /// The node as text that reads as the same node: in one line, texts between quotes.
    var flow: String {
        switch content {
        case .scalar(let text, isPlain: _): Self.quoted(text)
        case .sequence(let elements): "[\(elements.map(\.flow).joined(separator: ", "))]"
        case .mapping(let members):
            "{\(members.map { "\($0.key.flow): \($0.value.flow)" }.joined(separator: ", "))}"
        }
    }

    /// Its text, where it is a single value.
    var scalar: String? { if case .scalar(let text, _) = content { text } else { nil } }

    private static func quoted(_ text: String) -> String {
        // What needs no quotes has none: an error message then shows what was written.
        let isPlain =
            !text.isEmpty
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || "/._-".utf8.contains(byte)
            } && !text.hasPrefix("-")
        guard !isPlain else { return text }
        let escaped = text.unicodeScalars.map { scalar in
            switch scalar {
            case "\"", "\\": "\\\(scalar)"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                "\\x" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: String(scalar)
            }
        }
        return "\"\(escaped.joined())\""
    }
}
