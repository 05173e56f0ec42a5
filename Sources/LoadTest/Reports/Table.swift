/// A table of a report: the first column to the left, the others to the right.
struct Table {
    /// Its heading, and what it says of a row.
    typealias Column<Row> = (head: String, cell: (Row) -> String)

    var title: String
    var head: [String]
    var rows: [[String]]
    /// Lines that explain or warn.
    var notes: [String]

    init<Row>(_ title: String, of rows: [Row], notes: [String] = [], _ columns: [Column<Row>]) {
        self.title = title
        head = columns.map(\.head)
        self.rows = rows.map { row in columns.map { $0.cell(row) } }
        self.notes = notes
    }

    /// Lines for a terminal, indented by two spaces.
    func plain() -> String {
        let lines = [head] + rows
        let widths = head.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        let text = lines.map { cells in
            let padded = cells.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + space : space + cell
            }
            var line = "  " + padded.joined(separator: "   ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
        return "\(title)\n\(text)" + notes.map { "  · \($0)\n" }.joined() + "\n"
    }

    /// A section of Markdown.
    func markdown() -> String {
        let rule = head.indices.map { $0 == 0 ? "---" : "---:" }
        let lines = ([head, rule] + rows).map { "| \($0.joined(separator: " | ")) |\n" }.joined()
        let list = notes.map { "- \($0)\n" }.joined()
        return "## \(title.prefix(1).uppercased() + title.dropFirst())\n\n\(lines)\n" + list
            + (list.isEmpty ? "" : "\n")
    }

    /// A section of a page.
    func html() -> String {
        let heads = head.map { "<th>\(Markup.escape($0))</th>" }.joined()
        var text = "<h3>\(Markup.escape(title))</h3>\n<div class=\"wide\"><table>\n<thead><tr>\(heads)</tr></thead>\n"
        text += "<tbody>\n" + rows.map(Self.htmlRow).joined() + "</tbody></table></div>\n"
        return text + notes.map { "<p class=\"note\">\(Markup.escape($0))</p>\n" }.joined()
    }

    private static func htmlRow(_ cells: [String]) -> String {
        let text = cells.map { cell in
            switch cell {
            case "reached": "<td class=\"reached\">✓ reached</td>"
            case "not reached": "<td class=\"missed\">✗ not reached</td>"
            default: "<td>\(Markup.escape(cell))</td>"
            }
        }
        let isOwn = cells.first == Contender.tokencached.title
        return (isOwn ? "<tr class=\"own\">" : "<tr>") + text.joined() + "</tr>\n"
    }
}
