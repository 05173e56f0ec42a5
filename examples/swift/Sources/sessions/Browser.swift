/// What a visitor's browser does with a site, printed.
struct Browser {
    let site: Site
    /// The pair that it would send.
    var jar: String?
    /// The form of the page that it shows.
    var csrf = ""

    /// What stopped the visitor's life.
    struct Stopped: Error {
        let why: String
    }

    init(_ site: Site) {
        self.site = site
    }

    /// Sends a request with the cookie that the browser held when it was made, and follows redirects.
    mutating func go(
        _ what: String, _ method: String, _ path: String, cookies: String?, form: [String: String] = [:]
    ) throws {
        var request = Request(
            method: method, path: path, cookies: cookies, site: "same-origin", mode: "navigate", form: form)
        var marks: [String] = []
        while true {
            let response = site.respond(to: request)
            guard response.status != 503 else { throw Stopped(why: response.body) }
            if let pair = response.headers["Set-Cookie"]?.split(separator: ";").first {
                jar = pair.hasSuffix("=") ? nil : String(pair)
                request.cookies = jar
                marks.append(jar == nil ? "cookie deleted" : "cookie set")
            }
            if response.body.contains("send it again") { marks.append("the form again") }
            guard let address = response.headers["Location"] else {
                csrf = response.body.between(#"name="csrf" value=""#, "\"")
                let who = response.body.between("<b>", "</b>")
                let note = response.body.between(#"name="note" value=""#, "\"")
                let seen = note.isEmpty ? who : "\(who) (\(note))"
                return print("\(what): \(seen), \(marks.isEmpty ? "cookie kept" : marks.joined(separator: ", "))")
            }
            let parts = address.split(separator: "?", omittingEmptySubsequences: false).map(String.init)
            (request.method, request.form) = ("GET", [:])
            // A query alone leaves the path as it is.
            if !parts[0].isEmpty { request.path = parts[0] }
            request.query = parts.count > 1 ? parts[1] : ""
            if !request.query.isEmpty { marks.append("asked to come again") }
        }
    }
}

extension String {
    /// The text behind one mark and before another.
    fileprivate func between(_ start: String, _ end: String) -> String {
        guard let from = ranges(of: start).first?.upperBound, let to = self[from...].ranges(of: end).first?.lowerBound
        else { return "" }
        return String(self[from..<to])
    }
}
