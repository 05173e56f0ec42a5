import TokenCacheClient

/// What the browser sent.
struct Request {
    var method = "GET"
    var path = "/"
    var query = ""
    var cookies: String?
    var site: String?
    var mode: String?
    var form: [String: String] = [:]

    var isPost: Bool { method != "GET" && method != "HEAD" }
    var fetch: FetchMetadata { FetchMetadata(site: site, mode: mode, isPost: isPost) }
    var isNavigation: Bool { !isPost && ["", "navigate"].contains(mode ?? "") }

    /// The address of the page itself: its query, and the mark as a parameter of its own. Whatever the path is, it stays.
    /// `nil` where the mark is there: once is enough. A page leaves the mark out of its own links.
    var onceMore: String? {
        let mark = "again=1"
        guard !query.split(separator: "&").contains(Substring(mark)) else { return nil }
        return query.isEmpty ? "?\(mark)" : "?\(query)&\(mark)"
    }
}

struct Response {
    var status = 200
    // Beside every token, and every page that a form of this visitor is in.
    var headers = ["Cache-Control": "no-store"]
    var body = ""

    static func redirect(to address: String) -> Response {
        var response = Response(status: 303)
        response.headers["Location"] = address
        return response
    }
}

/// Whoever sent a request. Two rules keep themselves: each command takes the newest token that is known, and the response,
/// whatever it will be, has the cookie of the last answer with a token.
struct Visitor {
    let cookie: SessionCookie
    private(set) var token: SessionToken?
    var setCookie: String?

    init(_ cookie: SessionCookie, header: String?) {
        self.cookie = cookie
        token = cookie.token(inHeader: header)
    }

    mutating func note(_ change: TokenChange) {
        token = change.newest(after: token)
        setCookie = cookie.header(change) ?? setCookie
    }
}

/// A site with a login: a request in, a response out. It belongs to one thread, as its client does.
struct Site {
    let client: BlockingClient
    /// For development on http://localhost, and nowhere else, `SessionCookie.development`.
    let cookie: SessionCookie
    /// One form name serves the whole site.
    private let form = "site"
    /// Bytes of UTF-8.
    private let mostNote = 200

    init(_ client: BlockingClient, cookie: SessionCookie = SessionCookie()) {
        self.client = client
        self.cookie = cookie
    }

    func respond(to request: Request) -> Response {
        var visitor = Visitor(cookie, header: request.cookies)
        var response: Response
        do throws(TokenCacheError) {
            response = try answer(request, &visitor)
        } catch {
            // Whatever is thrown: nobody knows.
            response = Response(status: 503, body: "try again: \(error)")
            response.headers["Retry-After"] = "1"
        }
        // On the 503 as well: a later fault takes back no token that was given.
        response.headers["Set-Cookie"] = visitor.setCookie
        return response
    }

    private func answer(_ request: Request, _ visitor: inout Visitor) throws(TokenCacheError) -> Response {
        // One question a page: who is it, is the form that came genuine, and a token for the form that goes.
        let sent = request.isPost ? FormCheck(CSRFToken(request.form["csrf"] ?? ""), form: form) : nil
        let visit = try client.call(
            .visit(visitor.token, check: sent, fetch: request.fetch, csrf: form, data: ["note"]))
        visitor.note(visit.change)
        // The browser has a newer token than the one it sent, or is about to: let it come again, once.
        if visit.holder.isPageOnly, request.isNavigation, let again = request.onceMore { return .redirect(to: again) }
        switch (request.isPost, request.path) {
        case (true, "/login"):
            // The second click of two: whatever became of its form.
            if visit.subject != nil { return .redirect(to: "/") }
            // Failed, expired, outdated: nothing is carried out, and the form is shown again, as it was filled.
            guard visit.page.check == .passed, let name = checkPassword(request.form) else {
                return page(visit, name: request.form["name"] ?? "", notice: "Please send it again.")
            }
            visitor.note(try client.call(.login(visitor.token, subject: name)).change)
            return .redirect(to: "/")
        case (true, "/note"):
            let note = request.form["note"] ?? ""
            guard visit.page.check == .passed, visit.subject != nil, note.utf8.count <= mostNote,
                let token = visitor.token, case .stored(_, let change) = try client.call(.set(token, ["note": note]))
            else { return page(visit, note: note, notice: "Please send it again.") }
            visitor.note(change)
            return .redirect(to: "/")
        case (true, "/logout") where visit.page.check == .passed:
            // A token from before a login ends nothing (replayed), and the cookie stays.
            if let token = visitor.token, case .revoked = try client.call(.revoke(token)) {
                visitor.setCookie = cookie.removal
            }
            return .redirect(to: "/")
        default:
            return page(visit)
        }
    }

    private func checkPassword(_ form: [String: String]) -> String? {
        form["name"] == "ann" && form["password"] == "apple" ? "ann" : nil
    }

    private func page(_ visit: Visit, name: String = "", note: String? = nil, notice: String = "") -> Response {
        let csrf = #"<input type="hidden" name="csrf" value="\#(visit.page.csrf?.revealedText ?? "")">"#
        let form =
            visit.subject == nil
            ? #"<form method="post" action="/login">\#(csrf)<input name="name" value="\#(name.escaped)">"#
                + #"<input name="password" type="password"><button>Log in</button></form>"#
            : #"<form method="post" action="/note">\#(csrf)"#
                + #"<input name="note" value="\#((note ?? visit.page.data["note"] ?? "").escaped)"><button>Keep</button></form>"#
                + #"<form method="post" action="/logout">\#(csrf)<button>Log out</button></form>"#
        let who = (visit.subject ?? "guest").escaped
        return Response(body: "<!doctype html><title>Sessions</title><p>\(notice) Hello, <b>\(who)</b>.</p>\(form)")
    }
}

extension String {
    fileprivate var escaped: String {
        var text = ""
        for character in unicodeScalars {
            if "&<>\"'".unicodeScalars.contains(character) {
                text += "&#\(character.value);"
            } else {
                text.unicodeScalars.append(character)
            }
        }
        return text
    }
}
