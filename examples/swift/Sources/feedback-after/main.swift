// The cure: the worker keeps nothing. Every process asks the same daemon.
import FeedbackSite
import FoundationEssentials
import TokenCacheClient

struct After: Feedback {
    let client: BlockingClient
    let cookie = SessionCookie()
    let form = "feedback"

    func page(for request: Request, _ news: inout News) throws -> FeedbackPage? {
        let presented = token(of: request)
        let visit = try client.call(.visit(presented, fetch: request.fetch, csrf: form, data: ["name"]))
        handOn(visit.change, to: request, &news)
        // The browser has a newer token than the one it sent, or is about to: let it come again, once.
        if visit.holder.isPageOnly, request.onceMore != nil { return nil }
        // For the rest of the request the newest token that is known.
        let newest = visit.change.newest(after: presented)
        return FeedbackPage(
            frontend: visit.page.csrf?.revealedText ?? "", captcha: try newCaptcha(for: newest),
            name: visit.page.data["name"] ?? "")
    }

    func letters(of captcha: String) throws -> String? {
        guard case .solution(let solution) = try client.call(.openCaptcha(Captcha(captcha))) else { return nil }
        return solution.revealedText
    }

    func reply(to action: Action, _ request: Request, _ news: inout News) throws -> Reply {
        // For a front end that keeps a token of its own instead of a cookie.
        if action == .session { return try start(&news) }
        guard let presented = token(of: request) else { return .refused("no session") }
        if action == .renew { return try renew(presented, request, &news) }
        let check = FormCheck(CSRFToken(request.frontend), form: form)
        // Guests may give feedback, too.
        let answer = try client.call(.validate(presented, require: .anyone, check: check, fetch: request.fetch))
        var reply: Reply
        switch answer {
        case .session(let holder, let change, let page), .guest(let holder, let change, let page):
            reply = Reply(["sid": holder.sid.text])
            handOn(change, to: request, &news)
            guard page.check == .passed else {
                reply.fields["error"] = "invalid frontend token"
                return reply
            }
        case .refused(let why): return .refused("session \(why)")
        case .anonymous, .reauthenticate: return .refused("no login")
        }
        // For the rest of the request the newest token that is known.
        let token = answer.change.newest(after: presented) ?? presented
        if action == .captcha {
            reply.fields["captcha"] = try newCaptcha(for: token)
        } else {
            try takeFeedback(request, token, &reply, &news)
        }
        return reply
    }

    private func start(_ news: inout News) throws -> Reply {
        let visit = try client.call(.visit(nil, csrf: form))
        news.sessionToken = visit.change.replacement?.revealedText
        return Reply(["sid": visit.holder.sid.text, "frontend": visit.page.csrf?.revealedText])
    }

    /// A change of privilege replaces the token at once; any other call does so when it is due. The frontend tokens of before
    /// are outdated by it: the answer brings the next.
    private func renew(_ token: SessionToken, _ request: Request, _ news: inout News) throws -> Reply {
        let frontend = CSRFToken(request.frontend)
        guard
            case .checked(.passed) = try client.call(.verifyCSRF(frontend, of: token, form: form, site: request.site))
        else { return .refused("invalid frontend token") }
        guard case .rotated(let rotated) = try client.call(.rotate(token, csrf: form)) else {
            return .refused("session over")
        }
        handOn(rotated.change, to: request, &news)
        return Reply(["sid": rotated.holder.sid.text, "frontend": rotated.csrf?.revealedText])
    }

    /// The first thing worth remembering makes a session of a guest; then this reply has the new token.
    private func takeFeedback(
        _ request: Request, _ token: SessionToken, _ reply: inout Reply, _ news: inout News
    ) throws {
        let captcha = Captcha(request.fields["captcha"] ?? "")
        let verdict = try client.call(
            .verifyCaptcha(captcha, answer: request.fields["answer"] ?? "", form: form, for: token))
        guard verdict == .passed else {
            reply.fields["error"] = "captcha \(verdict)"
            return
        }
        guard case .stored(_, let change) = try client.call(.set(token, ["name": request.fields["name"] ?? ""])) else {
            reply.fields["error"] = "session over"
            return
        }
        handOn(change, to: request, &news)
        guard case .data(let data) = try client.call(.get(change.newest(after: token) ?? token, ["name"])) else {
            reply.fields["error"] = "session over"
            return
        }
        reply.fields["outcome"] = "thank you"
        reply.fields["name"] = data["name"]
    }

    private func newCaptcha(for token: SessionToken?) throws -> String {
        guard case .issued(let captcha, _, _) = try client.call(.issueCaptcha(form: form, for: token)) else {
            return ""
        }
        return captcha.revealedText
    }

    private func token(of request: Request) -> SessionToken? {
        request.sessionToken.map { SessionToken($0) } ?? cookie.token(inHeader: request.cookie)
    }

    /// A successor goes back the way the token came. A cookie's is out of reach of scripts.
    private func handOn(_ change: TokenChange, to request: Request, _ news: inout News) {
        guard let token = change.replacement else { return }
        if request.sessionToken != nil {
            news.sessionToken = token.revealedText
        } else {
            news.setCookie = cookie.header(change)
        }
    }
}

extension Request {
    /// What the browser says of its request.
    fileprivate var fetch: FetchMetadata { FetchMetadata(site: site, mode: mode, isPost: !route.hasPrefix("GET ")) }
}

let socketPath = ProcessInfo.processInfo.environment["TOKENCACHED_SOCKET"] ?? SocketPath.standard
try Site(After(client: BlockingClient(socketPath: socketPath)), pages: CommandLine.pages).serve()
