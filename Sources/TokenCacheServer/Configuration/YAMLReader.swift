internal import CYAML

/// A part of a YAML document that knows its line. Tags are passed over: whoever takes a text knows what it is to mean.
struct YAMLNode {
    indirect enum Content {
        /// - Parameter isPlain: written without quotes and not as a block.
        case scalar(String, isPlain: Bool)
        /// In the order of the file, duplicates included.
        case mapping([(key: YAMLNode, value: YAMLNode)])
        case sequence([YAMLNode])
    }

    /// Where it begins, from 1.
    var line: Int
    var content: Content
}

/// Why bytes are no document. Never quotes them: they may hold a password.
struct YAMLFault: Error, Equatable {
    /// From 1, as far as it is known.
    var line: Int?
    var text: String
}

/// Reads one YAML document by the events of libyaml. The depth is bounded, and an alias stands for one value, never for a
/// section: what a document becomes grows with its bytes only.
struct YAMLReader {
    /// Sections in sections; the table has two levels.
    static let maxDepth = 16

    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let input: UnsafeBufferPointer<UInt8>
    /// Anchor → what it stands before.
    private var anchors: [String: YAMLNode.Content] = [:]

    /// The document in `bytes`, which must be UTF-8; nil where there is none.
    static func read(_ bytes: [UInt8]) throws(YAMLFault) -> YAMLNode? {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { parser.deallocate() }
        guard yaml_parser_initialize(parser) == 1 else { throw YAMLFault(text: "no memory") }
        defer { yaml_parser_delete(parser) }
        // The encoding is said, or a few first bytes would choose another one.
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        // An editor's mark before the first line would count as a column of it.
        let bytes = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes.dropFirst(3) : bytes[...]
        // The parser looks at the bytes until it is deleted.
        let result = bytes.withUnsafeBufferPointer { input -> Result<YAMLNode?, YAMLFault> in
            yaml_parser_set_input_string(parser, input.baseAddress, input.count)
            var reader = YAMLReader(parser: parser, input: input)
            do throws(YAMLFault) { return .success(try reader.document()) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private init(parser: UnsafeMutablePointer<yaml_parser_t>, input: UnsafeBufferPointer<UInt8>) {
        self.parser = parser
        self.input = input
    }

    /// What an event tells, copied out of libyaml's memory.
    private enum Event {
        case documentStart, documentEnd, streamEnd
        case alias(String)
        case scalar(String, isPlain: Bool, anchor: String?)
        case start(isMapping: Bool, anchor: String?)
        /// Of a mapping or a sequence.
        case end
        case streamStart
    }

    private mutating func document() throws(YAMLFault) -> YAMLNode? {
        var root: YAMLNode?
        var documents = 0
        while true {
            let (event, line) = try next()
            switch event {
            case .streamEnd: return root
            case .documentStart:
                documents += 1
                guard documents == 1 else {
                    throw YAMLFault(line: line, text: "the file must be one document, and another one begins here")
                }
            case .streamStart, .documentEnd: break
            case .alias, .scalar, .start, .end: root = try node(event, line: line, depth: 0)
            }
        }
    }

    private mutating func node(_ event: Event, line: Int, depth: Int) throws(YAMLFault) -> YAMLNode {
        guard depth <= Self.maxDepth else {
            throw YAMLFault(line: line, text: "sections are nested deeper than \(Self.maxDepth) levels")
        }
        var node = YAMLNode(line: line, content: .sequence([]))
        let name: String?
        switch event {
        case .scalar(let text, let isPlain, let anchor):
            node.content = .scalar(text, isPlain: isPlain)
            name = anchor
        case .start(isMapping: true, let anchor):
            node.content = .mapping(try members(depth: depth + 1))
            name = anchor
        case .start(isMapping: false, let anchor):
            node.content = .sequence(try elements(depth: depth + 1))
            name = anchor
        case .alias(let anchor):
            guard let named = anchors[anchor] else {
                throw YAMLFault(line: line, text: "an alias (*) names no anchor (&) that was given before")
            }
            guard case .scalar = named else {
                throw YAMLFault(line: line, text: "an alias (*) stands for one value: write a section out")
            }
            node.content = named
            name = nil
        case .documentStart, .documentEnd, .streamStart, .streamEnd, .end: throw YAMLFault(line: line, text: "not YAML")
        }
        if let name { anchors[name] = node.content }
        return node
    }

    private mutating func members(depth: Int) throws(YAMLFault) -> [(key: YAMLNode, value: YAMLNode)] {
        var members: [(key: YAMLNode, value: YAMLNode)] = []
        while true {
            let (event, line) = try next()
            if case .end = event { return members }
            let key = try node(event, line: line, depth: depth)
            let (value, valueLine) = try next()
            members.append((key, try node(value, line: valueLine, depth: depth)))
        }
    }

    private mutating func elements(depth: Int) throws(YAMLFault) -> [YAMLNode] {
        var elements: [YAMLNode] = []
        while true {
            let (event, line) = try next()
            if case .end = event { return elements }
            elements.append(try node(event, line: line, depth: depth))
        }
    }

    private mutating func next() throws(YAMLFault) -> (Event, line: Int) {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw fault() }
        defer { yaml_event_delete(&event) }
        return (Self.read(event), line: Self.line(event.start_mark))
    }

    private static func read(_ event: yaml_event_t) -> Event {
        switch event.type {
        case YAML_DOCUMENT_START_EVENT: return .documentStart
        case YAML_DOCUMENT_END_EVENT: return .documentEnd
        case YAML_STREAM_START_EVENT: return .streamStart
        case YAML_MAPPING_START_EVENT: return .start(isMapping: true, anchor: text(event.data.mapping_start.anchor))
        case YAML_SEQUENCE_START_EVENT: return .start(isMapping: false, anchor: text(event.data.sequence_start.anchor))
        case YAML_MAPPING_END_EVENT, YAML_SEQUENCE_END_EVENT: return .end
        case YAML_ALIAS_EVENT: return .alias(text(event.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            // It may hold zero bytes.
            let value = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            return .scalar(
                String(decoding: value, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE,
                anchor: text(scalar.anchor))
        default: return .streamEnd
        }
    }

    private static func text(_ value: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        value.map { String(cString: $0) }
    }

    private static func line(_ mark: yaml_mark_t) -> Int { Int(clamping: mark.line) &+ 1 }

    /// Why libyaml goes no further. It says so in constant sentences.
    private func fault() -> YAMLFault {
        let problem = parser.pointee.problem.map { String(cString: $0) }
        let text = "not YAML" + (problem.map { ": \($0)" } ?? "")
        switch parser.pointee.error {
        case YAML_SCANNER_ERROR, YAML_PARSER_ERROR:
            let mark = parser.pointee.problem_mark
            return YAMLFault(line: Self.line(mark), text: "\(text), column \(Int(clamping: mark.column) &+ 1)")
        case YAML_READER_ERROR:
            // It names a byte, not a line.
            let before = input.prefix(Int(clamping: parser.pointee.problem_offset))
            return YAMLFault(line: before.count { $0 == UInt8(ascii: "\n") } &+ 1, text: text)
        default: return YAMLFault(text: text)
        }
    }
}
