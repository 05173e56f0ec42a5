/// One argument of a command in the form in which `COMMAND DOCS` describes it, read out of the syntax text of the
/// command's row. Source: redis.io/docs/reference/command-arguments.
struct CommandArgument: Equatable, Sendable {
    /// Redis's argument types, as far as they occur here.
    enum Kind: String, Sendable { case string, integer, pureToken = "pure-token", oneof, block }

    /// In lower case; for a choice `choice`.
    var name: String
    var kind: Kind
    /// The upper-case word that stands before the value and is sent as it is.
    var token: String?
    /// May be left out.
    var isOptional = false
    /// May be given several times.
    var isMultiple = false
    /// Each time with its token, rather than all behind one.
    var repeatsToken = false
    /// The parts of a block, or the members of a choice.
    var parts: [CommandArgument] = []

    /// Reads a syntax text; see `CommandRow.words` for its rules.
    static func parse(_ syntax: String) -> [CommandArgument] {
        var reader = SyntaxReader(syntax)
        let alternatives = reader.alternatives()
        return alternatives.count == 1 ? alternatives[0] : [SyntaxReader.joined(alternatives)]
    }
}

/// Goes through the words and signs of a syntax text.
private struct SyntaxReader {
    private var items: ArraySlice<String> = []

    init(_ text: String) {
        var list: [String] = []
        var word = ""
        for character in text {
            if "[]<>|… ".contains(character) {
                if !word.isEmpty { list.append(word) }
                word = ""
                if character != " " { list.append(String(character)) }
            } else {
                word.append(character)
            }
        }
        if !word.isEmpty { list.append(word) }
        items = list[...]
    }

    /// Reads up to the closing bracket, or the end: the members of the choice, each a sequence.
    mutating func alternatives() -> [[CommandArgument]] {
        var done: [[CommandArgument]] = []
        var sequence: [CommandArgument] = []
        while let item = items.popFirst() {
            switch item {
            case "]", ">":
                return done + [sequence]
            case "|":
                done.append(sequence)
                sequence = []
            case "…":
                guard var last = sequence.popLast() else { continue }
                last.isMultiple = true
                sequence.append(last)
            case "[":
                var optional = Self.joined(alternatives())
                optional.isOptional = true
                if items.first == "…" { optional.repeatsToken = optional.token != nil }
                sequence.append(optional)
            case "<":
                sequence.append(Self.joined(alternatives()))
            default:
                sequence.append(word(item))
            }
        }
        return done + [sequence]
    }

    /// One argument out of the members of a choice.
    static func joined(_ alternatives: [[CommandArgument]]) -> CommandArgument {
        let members = alternatives.map { sequence in
            sequence.count == 1
                ? sequence[0] : CommandArgument(name: sequence.first?.name ?? "", kind: .block, parts: sequence)
        }
        return members.count == 1 ? members[0] : CommandArgument(name: "choice", kind: .oneof, parts: members)
    }

    /// A value, or a token with the values that follow it.
    private mutating func word(_ text: String) -> CommandArgument {
        guard Self.isToken(text) else { return Self.value(text) }
        var values: [CommandArgument] = []
        while let next = items.first, next.first?.isLetter == true, !Self.isToken(next) {
            items.removeFirst()
            values.append(Self.value(next))
        }
        switch values.count {
        case 0: return CommandArgument(name: text.lowercased(), kind: .pureToken, token: text)
        case 1:
            values[0].token = text
            return values[0]
        default: return CommandArgument(name: text.lowercased(), kind: .block, token: text, parts: values)
        }
    }

    private static func value(_ name: String) -> CommandArgument {
        switch name {
        case "count", "index", "version": CommandArgument(name: name, kind: .integer)
        default: CommandArgument(name: name, kind: .string)
        }
    }

    private static func isToken(_ text: String) -> Bool { text.first?.isUppercase == true }
}
