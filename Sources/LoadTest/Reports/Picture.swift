/// A picture as SVG: within a page it takes the page's colours, as a file it brings its own, light and dark.
struct Picture {
    var width: Double
    var height: Double
    /// What it shows, for those who do not see it.
    var title: String
    private(set) var body = ""

    init(width: Double, height: Double, title: String) {
        self.width = width
        self.height = height
        self.title = title
    }

    mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, class style: String) {
        body += "<line x1=\"\(Self.place(x1))\" y1=\"\(Self.place(y1))\" x2=\"\(Self.place(x2))\""
        body += " y2=\"\(Self.place(y2))\" class=\"\(style)\"/>\n"
    }

    mutating func text(_ x: Double, _ y: Double, _ text: String, class style: String = "") {
        body += "<text x=\"\(Self.place(x))\" y=\"\(Self.place(y))\""
        if !style.isEmpty { body += " class=\"\(style)\"" }
        body += ">\(Markup.escape(text))</text>\n"
    }

    mutating func bar(
        _ x: Double, _ y: Double, _ width: Double, _ height: Double, class style: String, hint: String
    ) {
        body += "<rect x=\"\(Self.place(x))\" y=\"\(Self.place(y))\" width=\"\(Self.place(width))\""
        body += " height=\"\(Self.place(height))\" rx=\"2\" class=\"\(style)\">"
        body += "<title>\(Markup.escape(hint))</title></rect>\n"
    }

    mutating func curve(_ points: [(Double, Double)], class style: String, hint: String) {
        let places = points.map { "\(Self.place($0.0)),\(Self.place($0.1))" }.joined(separator: " ")
        body += "<polyline points=\"\(places)\" class=\"\(style)\"><title>\(Markup.escape(hint))</title></polyline>\n"
    }

    /// The element, for a page that has the colours.
    var inline: String { element(style: "") }

    /// A file of its own.
    var file: String {
        let style = Markup.colors + "svg { background: var(--page); }\n"
        return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + element(style: "<style>\n\(style)</style>\n")
    }

    private func element(style: String) -> String {
        let (width, height) = (Self.place(width), Self.place(height))
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" \
            role="img" aria-label="\(Markup.escape(title))">
            \(style)\(body)</svg>

            """
    }

    private static func place(_ value: Double) -> String { Figures.fixed(value, 1) }
}

/// Text within markup.
enum Markup {
    static let colors = String(decoding: PackageResources.colors_css, as: UTF8.self)
    static let page = String(decoding: PackageResources.report_css, as: UTF8.self)

    static func escape(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            default: escaped.append(character)
            }
        }
        return escaped
    }
}
