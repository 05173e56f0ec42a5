// The cure: the worker keeps nothing. Every process asks the same daemon.
import FeedbackSite
import FoundationEssentials
import TokenCacheClient

struct After: Feedback {
    let client: BlockingClient
    let cookie = SessionCookie()
    let form = "feedback"

    func page(for request: Request) throws -> FeedbackPage {
        let presented = token(of: request)
        switch try client.call(.visit(presented, csrf: form, data: ["name"])) {
        case .session(let holder, let change, let page), .guest(let holder, let change, let page):
            // Within this request the token that was sent.
            return try show(page, to: presented ?? change.replacement, cookie.header(change, for: holder))
        case .refused(_, let holder, let change, let page):
            return try show(page, to: change.replacement, cookie.header(change, for: holder))
        }
    }

    func letters(of captcha: String) throws -> String? {
        guard case .solution(let solution) = try client.call(.openCaptcha(Captcha(captcha))) else { return nil }
        return solution.revealedText
    }

    func reply(to action: Action, _ request: Request) throws -> Reply {
        // For a front end that keeps a token of its own instead of a cookie.
        if action == .session { return try start() }
        guard let token = token(of: request) else { return .refused("no session") }
        let frontend = CSRFToken(request.frontend)
        guard case .checked(.passed) = try client.call(.verifyCSRF(frontend, of: token, form: form, site: request.site))
        else { return .refused("invalid frontend token") }
        // A change of privilege replaces the token at once; any other call does so when it is due.
        if action == .renew { return try renew(token, request) }
        switch try client.call(.validate(token)) {
        case .refused(let why):
            return .refused("session \(why)")
        case .session(let holder, let change), .guest(let holder, let change):
            var reply = Reply(["sid": holder.sid])
            handOn(change, of: holder, to: request, &reply)
            if action == .captcha {
                reply.fields["captcha"] = try newCaptcha(for: token)
            } else {
                try takeFeedback(request, token, holder, &reply)
            }
            return reply
        }
    }

    private func show(_ page: Page, to token: Token?, _ header: String?) throws -> FeedbackPage {
        FeedbackPage(
            frontend: page.csrf?.revealedText ?? "", captcha: try newCaptcha(for: token), name: page.data["name"] ?? "",
            setCookie: header)
    }

    private func start() throws -> Reply {
        switch try client.call(.visit(nil, csrf: form)) {
        case .session(let holder, let change, let page), .guest(let holder, let change, let page),
            .refused(_, let holder, let change, let page):
            return Reply([
                "sid": holder.sid, "sessiontoken": change.replacement?.revealedText,
                "frontend": page.csrf?.revealedText,
            ])
        }
    }

    /// A ROTATE ends the frontend tokens of before with the session token.
    private func renew(_ token: Token, _ request: Request) throws -> Reply {
        guard case .rotated(let holder, let successor) = try client.call(.rotate(token)) else {
            return .refused("session over")
        }
        var reply = Reply(["sid": holder.sid])
        handOn(.replace(successor), of: holder, to: request, &reply)
        if case .issued(let frontend, _) = try client.call(.issueCSRF(successor, form: form)) {
            reply.fields["frontend"] = frontend.revealedText
        }
        return reply
    }

    /// The first thing worth remembering makes a session of a guest; then this reply has the new token.
    private func takeFeedback(_ request: Request, _ token: Token, _ holder: Holder, _ reply: inout Reply) throws {
        let captcha = Captcha(request.fields["captcha"] ?? "")
        let verdict = try client.call(
            .verifyCaptcha(captcha, answer: request.fields["answer"] ?? "", form: form, for: token))
        guard verdict == .passed else {
            reply.fields["error"] = "captcha \(verdict)"
            return
        }
        guard case .stored(_, let change) = try client.call(.set(token, ["name": request.fields["name"] ?? ""])),
            case .data(let data) = try client.call(.get(token, ["name"]))
        else {
            reply.fields["error"] = "session over"
            return
        }
        handOn(change, of: holder, to: request, &reply)
        reply.fields["outcome"] = "thank you"
        reply.fields["name"] = data["name"]
    }

    private func newCaptcha(for token: Token?) throws -> String {
        guard case .issued(let captcha, _, _) = try client.call(.issueCaptcha(form: form, for: token)) else {
            return ""
        }
        return captcha.revealedText
    }

    private func token(of request: Request) -> Token? {
        request.sessionToken.map { Token($0) } ?? cookie.token(inHeader: request.cookie)
    }

    /// A successor goes back the way the token came. A cookie's is out of reach of scripts.
    private func handOn(_ change: TokenChange, of holder: Holder, to request: Request, _ reply: inout Reply) {
        guard let token = change.replacement else { return }
        if request.sessionToken != nil {
            reply.fields["sessiontoken"] = token.revealedText
        } else {
            reply.setCookie = cookie.header(change, for: holder)
        }
    }
}

let socketPath = ProcessInfo.processInfo.environment["TOKENCACHED_SOCKET"] ?? SocketPath.standard
try Site(After(client: BlockingClient(socketPath: socketPath)), pages: CommandLine.pages).serve()
