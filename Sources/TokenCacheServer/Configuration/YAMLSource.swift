/// Settings from the file. YAML is read into a tree of nodes, which know their lines; sections may be nested
/// (`session: {idle: 2h}`) or dotted (`session.idle: 2h`).
enum YAMLSource {
    /// Bytes of a file; the manual with every key has a tenth of it.
    static let maxBytes = 256 << 10
    /// What is wrong is named up to this number: a file that is no configuration may have a problem a line.
    static let maxProblems = 100

    /// The values in `text`, the content of the file at `path`, which is only named in messages.
    static func read(_ text: String, path: String) -> SettingLayer { read(Array(text.utf8), path: path) }

    static func read(_ bytes: [UInt8], path: String) -> SettingLayer {
        var walk = Walk(path: path)
        do throws(YAMLFault) {
            if let root = try YAMLReader.read(bytes) { walk.visit(root) }
        } catch {
            walk.refuse(nil, error.line, error.text)
        }
        if walk.isCut { walk.refuse(nil, nil, "more is wrong with this file than the \(maxProblems) problems named") }
        return walk.layer
    }

    private struct Walk {
        let path: String
        var layer = SettingLayer("file")
        /// Something was not looked at any more.
        private(set) var isCut = false
        /// Full name of a key → the line where it was given, in whichever form.
        private var seen: [String: Int] = [:]

        init(path: String) {
            self.path = path
        }

        mutating func visit(_ root: YAMLNode) {
            switch root.content {
            case .mapping(let members): visit(members, below: "")
            case .scalar where root.isNull: break
            default: refuse(nil, root.line, "the file must be a mapping: key: value")
            }
        }

        /// Only what is known is entered, so that the depth is that of the table.
        private mutating func visit(_ members: [(key: YAMLNode, value: YAMLNode)], below section: String) {
            var seenHere: [String: Int] = [:]
            for (key, value) in members {
                guard layer.problems.count < YAMLSource.maxProblems else {
                    isCut = true
                    return
                }
                guard case .scalar(let text, _) = key.content else {
                    refuse(section.isEmpty ? nil : section, key.line, "a key must be a plain text")
                    continue
                }
                let name = section.isEmpty ? text : "\(section).\(text)"
                if let first = seenHere[name] ?? seen[name] {
                    refuse(SettingLayer.shown(name), key.line, "given twice, first in line \(first)")
                    continue
                }
                seenHere[name] = key.line
                visit(name, value, line: key.line)
            }
        }

        private mutating func visit(_ name: String, _ value: YAMLNode, line: Int) {
            let isSection = SettingRow.sections.contains(name)
            let isMap = SettingRow.byName[name]?.isMap == true
            switch value.content {
            case .mapping where !isSection && !isMap && SettingLayer.takesStructure(name),
                .sequence where !isSection && !isMap && SettingLayer.takesStructure(name):
                take(name, value.flow, isNull: false, line: line)
            case .mapping(let members) where isSection || isMap: visit(members, below: name)
            case .scalar where (isSection || isMap) && value.isNull: break
            case .scalar where isSection:
                refuse(name, line, "is a section: its keys stand below it, indented")
            case .scalar(let text, _): take(name, text, isNull: value.isNull, line: line)
            case .mapping, .sequence:
                if let key = SettingRow.byName[name] {
                    let kind = if case .sequence = value.content { "a list" } else { "a section" }
                    refuse(name, line, "takes one value, not \(kind); allowed: \(key.allowed)")
                } else if isSection {
                    refuse(name, line, "is a section: its keys stand below it, indented")
                } else {
                    layer.refuse(unknown: name, .file(path, line: line))
                }
            }
        }

        private mutating func take(_ name: String, _ text: String, isNull: Bool, line: Int) {
            seen[name] = line
            if isNull, let key = SettingRow.byName[name] {
                refuse(name, line, "has no value; allowed: \(key.allowed)")
            } else {
                layer.take(name, text, .file(path, line: line))
            }
        }

        mutating func refuse(_ key: String?, _ line: Int?, _ message: String) {
            layer.problems.append(SettingsProblem(key: key, origin: .file(path, line: line), message))
        }
    }
}

extension YAMLNode {
    /// Nothing, `~` or `null`, not between quotes.
    fileprivate var isNull: Bool {
        guard case .scalar(let text, isPlain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }
}
