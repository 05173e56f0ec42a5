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
}

struct Response {
    var status = 200
    // Beside every token, and every page that a form of this visitor is in.
    var headers = ["Cache-Control": "no-store"]
    var body = ""

    /// Once in a response: the cookie of the last answer.
    init(status: Int = 200, body: String = "", setCookie: String? = nil) {
        self.status = status
        self.body = body
        headers["Set-Cookie"] = setCookie
    }

    static func redirect(to address: String, setCookie: String?) -> Response {
        var response = Response(status: 303, setCookie: setCookie)
        response.headers["Location"] = address
        return response
    }
}

/// A site with a login: a request in, a response out. It belongs to one thread, as its client does.
struct Site {
    let client: BlockingClient
    /// For development on http://localhost, and nowhere else, `SessionCookie.development`.
    let cookie: SessionCookie
    /// One form name serves the whole site.
    private let form = "site"

    init(_ client: BlockingClient, cookie: SessionCookie = SessionCookie()) {
        self.client = client
        self.cookie = cookie
    }

    /// Whatever is thrown: nobody knows. The cookie stays.
    func respond(to request: Request) -> Response {
        do throws(TokenCacheError) {
            return try answer(request)
        } catch {
            var response = Response(status: 503, body: "try again: \(error)")
            response.headers["Retry-After"] = "1"
            return response
        }
    }

    private func answer(_ request: Request) throws(TokenCacheError) -> Response {
        let presented = cookie.token(inHeader: request.cookies)
        // One question a page: who is it, is the form that came genuine, and a token for the form that goes.
        let sent = request.isPost ? FormCheck(CSRFToken(request.form["csrf"] ?? ""), form: form) : nil
        let visit = try client.call(.visit(presented, check: sent, fetch: request.fetch, csrf: form))
        let setCookie = visit.setCookie(cookie)
        // For the rest of the request the newest token that is known.
        let token = visit.change.newest(after: presented)
        // The browser has a newer token than the one it sent, or is about to: let it come again, once.
        if visit.holder.isPageOnly, request.isNavigation, !request.query.contains("again") {
            return .redirect(to: "\(request.path)?again=1", setCookie: setCookie)
        }
        switch (request.isPost, request.path) {
        case (true, "/login"):
            // The second click of two: whatever became of its form.
            if visit.subject != nil { return .redirect(to: "/", setCookie: setCookie) }
            // Failed, expired, outdated: nothing is carried out, and the form is shown again, as it was filled.
            guard visit.page.check == .passed, let name = checkPassword(request.form) else {
                return page(visit, name: request.form["name"] ?? "", notice: "Please send it again.")
            }
            return .redirect(to: "/", setCookie: try client.call(.login(token, subject: name)).setCookie(cookie))
        case (true, "/logout") where visit.page.check == .passed:
            // A token from before a login ends nothing (replayed), and the cookie stays.
            guard let token, case .revoked = try client.call(.revoke(token)) else {
                return .redirect(to: "/", setCookie: setCookie)
            }
            return .redirect(to: "/", setCookie: cookie.removal)
        default:
            return page(visit)
        }
    }

    private func checkPassword(_ form: [String: String]) -> String? {
        form["name"] == "ann" && form["password"] == "apple" ? "ann" : nil
    }

    private func page(_ visit: Visit, name: String = "", notice: String = "") -> Response {
        let csrf = #"<input type="hidden" name="csrf" value="\#(visit.page.csrf?.revealedText ?? "")">"#
        let form =
            visit.subject == nil
            ? #"<form method="post" action="/login">\#(csrf)<input name="name" value="\#(name.escaped)">"#
                + #"<input name="password" type="password"><button>Log in</button></form>"#
            : #"<form method="post" action="/logout">\#(csrf)<button>Log out</button></form>"#
        let who = (visit.subject ?? "guest").escaped
        return Response(
            body: "<!doctype html><title>Sessions</title><p>\(notice) Hello, <b>\(who)</b>.</p>\(form)",
            setCookie: visit.setCookie(cookie))
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
