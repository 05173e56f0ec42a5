internal import TokenCache
internal import TokenCrypto
internal import Tokens
internal import UnixTime
internal import WireProtocol

/// `/auth`: may this visitor have what the proxy was asked for? The rules are the operator's: nothing of the request changes
/// what is asked of it.
extension HTTPSite {
    /// How a token came, and so where its successor goes.
    private enum Carrier {
        case cookie, field
    }

    func authorize(
        _ request: HTTPRequest, _ rule: HTTPRule, _ appended: UnsafeRawBufferPointer, _ reply: Reply,
        _ writer: inout HTTPResponseWriter
    ) -> CommandRow.Answered {
        guard let (token, carrier) = presented(request) else {
            deny(.none, rule, Denial(request, rule, appended), reply, &writer)
            return .now
        }
        if dispatcher.audit.isOn { service.asking = AuditPeer(reply.session.peer) }
        do throws(ServiceFault) {
            guard rule.access == .look || !rule.headers.isEmpty else {
                return try authorizeByToken(request, token, carrier, rule, appended, reply, &writer)
            }
            var access = AccessRequest()
            access.isLook = rule.access == .look
            access.needsData = rule.headers.contains { !$0.isSubject }
            access.mode = fetchMode(request)
            let denial = Denial(request, rule, appended)
            let write = { [self] (answer: Judged<TokenCache.Page>, writer: inout HTTPResponseWriter) in
                switch answer {
                case .accepted(let page): judge(page.holder, carrier, rule, denial, reply, &writer)
                case .refused(let refusal): deny(.refused(refusal), rule, denial, reply, &writer)
                }
            }
            guard
                let answer = try service.validate(
                    token, access, signals(request), at: request.arrival, later(reply, write))
            else { return .later }
            write(answer, &writer)
        } catch { unavailable(error, reply, &writer) }
        return .now
    }

    /// The token alone is asked about, and a session in the near cache answers without more.
    private func authorizeByToken(
        _ request: HTTPRequest, _ token: UnsafeRawBufferPointer, _ carrier: Carrier, _ rule: HTTPRule,
        _ appended: UnsafeRawBufferPointer, _ reply: Reply, _ writer: inout HTTPResponseWriter
    ) throws(ServiceFault) -> CommandRow.Answered {
        let known = try service.validate(
            token, signals(request), isNavigation: fetchMode(request) != .other, at: request.arrival,
            laterVerdict(request, carrier, rule, appended, reply))
        switch known {
        case .hit(let session):
            if rule.unmet(session, now: service.seconds) == nil {
                dispatcher.httpCounters.accepted &+= 1
                reply.begin(.ok, &writer)
                session.sid.withUnsafeBytes { writer.field("X-Auth-Sid", hex: $0) }
                writer.field("X-Auth-Subject", encoding: session.subject)
                authTime(session.authTime, &writer)
                writer.end()
            } else {
                judge(SessionView(session), carrier, rule, Denial(request, rule, appended), reply, &writer)
            }
        case .accepted(let view): judge(view, carrier, rule, Denial(request, rule, appended), reply, &writer)
        case .refused(let refusal):
            deny(.refused(refusal), rule, Denial(request, rule, appended), reply, &writer)
        case .asked: return .later
        }
        return .now
    }

    private func laterVerdict(
        _ request: HTTPRequest, _ carrier: Carrier, _ rule: HTTPRule, _ appended: UnsafeRawBufferPointer, _ reply: Reply
    ) -> TokenService.Completion<Verdict> {
        let denial = Denial(request, rule, appended)
        return later(reply) { [self] verdict, writer in
            switch verdict {
            case .accepted(let view): judge(view, carrier, rule, denial, reply, &writer)
            case .refused(let refusal): deny(.refused(refusal), rule, denial, reply, &writer)
            }
        }
    }

    /// What fills the answer in when Redis has answered.
    func later<Answer>(
        _ reply: Reply, _ write: @escaping (Answer, inout HTTPResponseWriter) -> Void
    ) -> TokenService.Completion<Answer> {
        { [self] result in
            reply.later { writer in
                switch result {
                case .success(let answer): write(answer, &writer)
                case .failure(let fault): unavailable(fault, reply, &writer)
                }
            }
        }
    }

    // MARK: The request

    /// The token of the cookie, else of `X-Session-Token`, else of `Authorization: Bearer`.
    private func presented(_ request: HTTPRequest) -> (UnsafeRawBufferPointer, Carrier)? {
        if let cookie = request.cookie(settings.cookieName), !cookie.isEmpty { return (cookie, .cookie) }
        if let token = request.value(of: "x-session-token"), !token.isEmpty { return (token, .field) }
        guard let authorization = request.value(of: "authorization") else { return nil }
        let scheme: StaticString = "BEARER "
        let length = scheme.utf8CodeUnitCount
        guard authorization.count > length,
            UnsafeRawBufferPointer(rebasing: authorization[..<length]).isKeyword(scheme)
        else { return nil }
        let token = HTTPRequest.trimmed(UnsafeRawBufferPointer(rebasing: authorization[length...]))
        return token.isEmpty ? nil : (token, .field)
    }

    /// The token that `/logout` ends: the cookie's.
    func cookieToken(_ request: HTTPRequest) -> UnsafeRawBufferPointer? {
        request.cookie(settings.cookieName).flatMap { $0.isEmpty ? nil : $0 }
    }

    private func fetchMode(_ request: HTTPRequest) -> FetchMode? {
        request.value(of: "sec-fetch-mode").flatMap { FetchMode(header: $0) }
    }

    /// What the token may be bound to.
    func signals(_ request: HTTPRequest) -> Signals {
        var signals = Signals()
        if settings.bindsAgent, let agent = request.value(of: "user-agent"), agent.count <= SessionOptions.maxUserAgent
        {
            signals.userAgent = agent.array
        }
        if settings.bindsAddress, !settings.clientIPHeader.isEmpty,
            let addresses = request.value(of: settings.clientIPHeader)
        {
            let start = addresses.lastIndex(of: UInt8(ascii: ",")).map { $0 + 1 } ?? 0
            signals.ip = IPAddress(text: HTTPRequest.trimmed(UnsafeRawBufferPointer(rebasing: addresses[start...])))
        }
        return signals
    }

    // MARK: The answer

    private func judge(
        _ view: SessionView, _ carrier: Carrier, _ rule: HTTPRule, _ denial: Denial, _ reply: Reply,
        _ writer: inout HTTPResponseWriter
    ) {
        if let unmet = rule.unmet(view, now: service.seconds) {
            service.countUnmet(view, isAnonymous: unmet == .anonymous)
            return deny(.unmet(unmet), rule, denial, reply, &writer)
        }
        dispatcher.httpCounters.accepted &+= 1
        reply.begin(.ok, &writer)
        view.sid.withUnsafeBytes { writer.field("X-Auth-Sid", hex: $0) }
        view.subject.withUnsafeBytes { writer.field("X-Auth-Subject", encoding: $0) }
        authTime(view.authTime, &writer)
        for header in rule.headers {
            // Always there: a proxy that passes it on overwrites what the client sent.
            let value = header.isSubject ? view.subject : view.data?.first { $0.name == header.field }?.value ?? []
            value.withUnsafeBytes { writer.field(header.name, encoding: $0) }
        }
        if let token = view.newToken {
            switch carrier {
            case .cookie:
                writer.field(
                    "Set-Cookie", settings.cookie(token.secretText, maxAge: view.isPersistent ? view.absoluteIn : nil))
            case .field: writer.field("X-Session-Token", String(decoding: token.secretText, as: UTF8.self))
            }
        }
        writer.end()
    }

    /// - Parameter time: nil where nobody proved who they are.
    private func authTime(_ time: UnixSeconds?, _ writer: inout HTTPResponseWriter) {
        if let time { writer.field("X-Auth-Time", time.sinceEpoch) } else { writer.field("X-Auth-Time", "") }
    }

    /// Why a visitor is not let in.
    private enum Reason {
        /// No token came along.
        case none
        case refused(Refusal)
        case unmet(Requirement.Unmet)

        var status: StaticString {
            switch self {
            case .none: "none"
            case .refused(let refusal): refusal.status
            case .unmet(let unmet): unmet.status
            }
        }
    }

    /// Cookies are left as they are: a newer one may be there already.
    private func deny(
        _ reason: Reason, _ rule: HTTPRule, _ denial: Denial, _ reply: Reply, _ writer: inout HTTPResponseWriter
    ) {
        dispatcher.httpCounters.denied &+= 1
        let isRedirected = rule.onDeny == .redirect && denial.isPage
        reply.begin(isRedirected ? .found : .unauthorized, &writer)
        writer.field("X-Auth-Status", "\(reason.status)")
        if case .refused(.revoked(let why)) = reason {
            writer.field("X-Auth-Reason", why.rawValue)
        } else {
            writer.field("X-Auth-Reason", "")
        }
        if isRedirected {
            writer.field("Location", denial.target)
        } else {
            writer.field("WWW-Authenticate", challenge(reason, rule))
            if rule.onDeny == .header, denial.isPage { writer.field("X-Auth-Redirect", denial.target) }
        }
        writer.end()
    }

    /// Source: RFC 6750, 3; RFC 9470, 3.
    private func challenge(_ reason: Reason, _ rule: HTTPRule) -> String {
        switch reason {
        case .none: return "Bearer realm=\"tokencached\""
        case .unmet(.reauthenticate):
            let age = rule.loginWithin.map { $0.wholeMilliseconds / 1_000 } ?? 0
            return "Bearer error=\"insufficient_user_authentication\", max_age=\(age)"
        case .refused, .unmet(.anonymous): return "Bearer error=\"invalid_token\""
        }
    }

    /// Nobody knows: the visitor keeps the cookie and comes again.
    func unavailable(_ fault: ServiceFault, _ reply: Reply, _ writer: inout HTTPResponseWriter) {
        dispatcher.httpCounters.unavailable &+= 1
        if reply.timedSince != nil { dispatcher.httpCounters.authUnavailable &+= 1 }
        let error = ReplyError(fault)
        dispatcher.statistics.countError(error.code)
        reply.begin(.unavailable, &writer)
        writer.field("Retry-After", 1)
        writer.end("text/plain; charset=utf-8", "\(error.message)\n")
    }
}

/// Where a visitor who is not let in is sent, worked out while the request is there.
private struct Denial {
    /// A page that a browser goes to: what may be redirected.
    var isPage = false
    /// The login page, with the way back.
    var target = ""

    init(_ request: HTTPRequest, _ rule: HTTPRule, _ appended: UnsafeRawBufferPointer) {
        guard rule.onDeny != .status else { return }
        let method = request.value(of: "x-forwarded-method") ?? request.method
        let isNavigation =
            if let mode = request.value(of: "sec-fetch-mode") {
                mode.equals("navigate")
            } else {
                request.value(of: "accept").map { Array($0) }.map { Self.contains($0, Array("text/html".utf8)) }
                    ?? false
            }
        isPage = (method.equals("GET") || method.equals("HEAD")) && isNavigation
        let joint = rule.login.contains("?") ? "&" : "?"
        let original =
            request.value(of: "x-forwarded-uri")?.array ?? request.value(of: "x-original-uri")?.array
            ?? appended.array + (request.query.map { [UInt8(ascii: "?")] + $0 } ?? [])
        target = "\(rule.login)\(joint)\(rule.returnParameter)=\(Self.wayBack(original))"
    }

    /// A path of this site in the form of a query's value; `/` for what may be none.
    private static func wayBack(_ path: [UInt8]) -> String {
        let isOwn =
            path.first == UInt8(ascii: "/")
            && !(path.count > 1 && (path[1] == UInt8(ascii: "/") || path[1] == UInt8(ascii: "\\")))
            && path.count <= 2_048 && path.allSatisfy { (0x21...0x7E).contains($0) }
        guard isOwn else { return "/" }
        let digits = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        for byte in path {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: "/"):
                text.append(byte)
            default: text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 0x0F)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        bytes.indices.contains { bytes[$0...].starts(with: part) }
    }
}

extension HTTPRule {
    fileprivate var requirement: Requirement {
        Requirement(subject: require == .subject, loginWithin: loginWithin?.wholeMilliseconds)
    }

    fileprivate func unmet(_ session: CachedSession, now: @autoclosure () -> UnixSeconds) -> Requirement.Unmet? {
        guard loginWithin != nil || (require == .subject && session.subject.isEmpty) else { return nil }
        return requirement.unmet(by: session, now: now())
    }

    fileprivate func unmet(_ view: SessionView, now: UnixSeconds) -> Requirement.Unmet? {
        requirement.unmet(by: view, now: now)
    }
}
