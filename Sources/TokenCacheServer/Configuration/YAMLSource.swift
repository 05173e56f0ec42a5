internal import Yams

/// Settings from the file. YAML is read into a tree of nodes, which know their lines; sections may be nested
/// (`session: {idle: 2h}`) or dotted (`session.idle: 2h`).
enum YAMLSource {
    /// Bytes of a file; the manual with every key has a tenth of it.
    static let maxBytes = 256 << 10

    /// The values in `text`, the content of the file at `path`, which is only named in messages.
    static func read(_ text: String, path: String) -> SettingLayer {
        var walk = Walk(path: path)
        do {
            // The encoding is said, because otherwise a variable of the environment would choose it.
            guard let root = try Parser(yaml: text, encoding: .utf8).singleRoot() else { return walk.layer }
            walk.visit(root)
        } catch let error as YamlError {
            walk.refuse(error)
        } catch {
            walk.layer.problems.append(
                SettingsProblem(key: nil, origin: .file(path, line: nil), "is not a YAML file"))
        }
        return walk.layer
    }

    private struct Walk {
        let path: String
        var layer = SettingLayer("file")
        /// Full name → the line where it was given.
        var seen: [String: Int] = [:]

        init(path: String) {
            self.path = path
        }

        mutating func visit(_ root: Node) {
            switch root {
            case .mapping(let mapping): visit(mapping, below: "")
            case .scalar(let scalar) where Self.isNull(scalar): break
            default: refuse(nil, root.mark, "the file must be a mapping: key: value")
            }
        }

        /// Only what is known is entered, so that the depth is that of the table.
        private mutating func visit(_ mapping: Node.Mapping, below section: String) {
            for (keyNode, value) in mapping {
                guard case .scalar(let scalar) = keyNode else {
                    refuse(section.isEmpty ? nil : section, keyNode.mark, "a key must be a plain text")
                    continue
                }
                let name = section.isEmpty ? scalar.string : "\(section).\(scalar.string)"
                visit(name, value, line: scalar.mark?.line)
            }
        }

        private mutating func visit(_ name: String, _ value: Node, line: Int?) {
            let isSection = SettingKey.sections.contains(name)
            let isMap = SettingKey.byName[name]?.isMap == true
            switch value {
            case .mapping(let mapping) where isSection || isMap: visit(mapping, below: name)
            case .scalar(let scalar) where (isSection || isMap) && Self.isNull(scalar): break
            case .scalar where isSection:
                refuse(name, line, "is a section: its keys stand below it, indented")
            case .scalar(let scalar): take(name, scalar, line: line)
            case .mapping, .sequence, .alias:
                if let key = SettingKey.byName[name] {
                    let kind = value.sequence == nil ? "a section" : "a list"
                    refuse(name, line, "takes one value, not \(kind); allowed: \(key.allowed)")
                } else if isSection {
                    refuse(name, line, "is a section: its keys stand below it, indented")
                } else {
                    layer.refuse(unknown: name, .file(path, line: line))
                }
            }
        }

        private mutating func take(_ name: String, _ scalar: Node.Scalar, line: Int?) {
            if let first = seen[name] {
                refuse(SettingLayer.shown(name), line, "given twice, first in line \(first)")
                return
            }
            seen[name] = line ?? 0
            if let key = SettingKey.byName[name], Self.isNull(scalar) {
                refuse(name, line, "has no value; allowed: \(key.allowed)")
                return
            }
            layer.take(name, scalar.string, .file(path, line: line))
        }

        private static func isNull(_ scalar: Node.Scalar) -> Bool {
            let isPlain = scalar.style == .plain || scalar.style == .any
            return isPlain && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
        }

        private mutating func refuse(_ key: String?, _ mark: Mark?, _ message: String) {
            refuse(key, mark?.line, message)
        }

        private mutating func refuse(_ key: String?, _ line: Int?, _ message: String) {
            layer.problems.append(SettingsProblem(key: key, origin: .file(path, line: line), message))
        }

        /// The parser's own messages quote the line, and the line may hold a password; so only place and problem.
        mutating func refuse(_ error: YamlError) {
            switch error {
            case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
                .composer(_, let problem, let mark, _):
                refuse(nil, mark, "not YAML: \(problem), column \(mark.column)")
            case .duplicatedKeysInMapping(let names, let context):
                let shown = names.map(SettingLayer.shown).joined(separator: ", ")
                refuse(shown, context.mark, "given twice in one section, first here")
            case .reader(let problem, _, _, _):
                refuse(nil, nil as Int?, "not YAML: \(problem)")
            default:
                refuse(nil, nil as Int?, "not YAML")
            }
        }
    }
}
