/// Columns of text, aligned: the first to the left, the others to the right.
struct TextTable {
    private var lines: [[String]] = []

    init(_ head: [String]) { lines = [head] }

    mutating func add(_ cells: [String]) { lines.append(cells) }

    /// Lines for a terminal, indented by two spaces.
    func plain() -> String {
        let widths = widths
        return lines.map { cells in
            let padded = cells.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + space : space + cell
            }
            var line = "  " + padded.joined(separator: "   ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }

    /// A table of Markdown.
    func markdown() -> String {
        guard let head = lines.first else { return "" }
        let rule = head.indices.map { $0 == 0 ? "---" : "---:" }
        return ([head, rule] + lines.dropFirst()).map { "| \($0.joined(separator: " | ")) |\n" }.joined()
    }

    private var widths: [Int] {
        (0..<(lines.map(\.count).max() ?? 0)).map { column in
            lines.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
    }
}
