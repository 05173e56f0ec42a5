/// `INFO`, read: sections with fields, in the daemon's order. Any field may be missing.
struct Info {
    struct Section {
        let name: String
        var fields: [(name: String, value: String)]
    }

    private(set) var sections: [Section] = []

    /// Reads `# Section` and `field:value` lines; everything else is passed over.
    init(parsing text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            if line.hasPrefix("#") {
                let name = line.dropFirst().drop { $0 == " " }
                sections.append(Section(name: String(name), fields: []))
            } else if let colon = line.firstIndex(of: ":") {
                if sections.isEmpty { sections.append(Section(name: "", fields: [])) }
                let field = (String(line[..<colon]), String(line[line.index(after: colon)...]))
                sections[sections.count - 1].fields.append(field)
            }
        }
    }

    /// The field of that name in any section; names are unique. `nil` if the daemon does not say, or says nothing.
    subscript(name: String) -> String? {
        for section in sections {
            for field in section.fields where field.name == name {
                return field.value.isEmpty ? nil : field.value
            }
        }
        return nil
    }

    /// The field as a whole number.
    func number(_ name: String) -> Int64? {
        self[name].flatMap { Int64($0) }
    }

    /// The field fit for people, `-` if it is missing.
    func text(_ name: String) -> String {
        self[name].map { Layout.printable($0) } ?? Layout.absent
    }

    /// The fields whose names begin so, each of the form `name=value,…`; only a fault and its remedy, which come last, may
    /// have commas in them. Fit for people.
    func rows(_ prefix: String) -> [[String: String]] { labelled(prefix).map(\.row) }

    /// The same with what follows in their names.
    func labelled(_ prefix: String) -> [(label: String, row: [String: String])] {
        sections.flatMap(\.fields).filter { $0.name.hasPrefix(prefix) }.map { field in
            var row: [String: String] = [:]
            var rest = field.value[...]
            while let mark = rest.firstIndex(of: "=") {
                let name = String(rest[..<mark])
                rest = rest[rest.index(after: mark)...]
                let end =
                    switch name {
                    case "fault": rest.firstRange(of: ",remedy=")?.lowerBound ?? rest.endIndex
                    case "remedy": rest.endIndex
                    default: rest.firstIndex(of: ",") ?? rest.endIndex
                    }
                if end > rest.startIndex { row[name] = Layout.printable(String(rest[..<end])) }
                rest = rest[end...].dropFirst()
            }
            return (Layout.printable(String(field.name.dropFirst(prefix.count))), row)
        }
    }

    /// The section of that name, in either case.
    func section(_ name: String) -> Section? {
        sections.first { $0.name.lowercased() == name.lowercased() }
    }

    /// Sections as members of an object, named in lower case.
    var json: JSONText {
        .object(sections.map { ($0.name.lowercased(), $0.json) })
    }
}

extension Info.Section {
    /// Whole numbers as numbers, all else as text.
    var json: JSONText {
        .object(fields.map { ($0.name, Self.value($0.value)) })
    }

    static func value(_ text: String) -> JSONText {
        // Only the plain form: "+1" or "007" is text.
        if let number = Int64(text), String(number) == text { .integer(number) } else { .string(text) }
    }
}
