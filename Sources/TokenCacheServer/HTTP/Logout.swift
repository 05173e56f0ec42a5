internal import TokenCache
internal import WireProtocol

/// `POST /logout`: ends the session of the cookie, for sites whose login is all behind a proxy.
extension HTTPSite {
    func logOut(_ request: HTTPRequest, _ reply: Reply, _ writer: inout HTTPResponseWriter) -> CommandRow.Answered {
        guard isSameOrigin(request) else {
            return reply.plain(
                .forbidden, "a logout comes from a page of the same site (Sec-Fetch-Site, or Origin)\n", &writer)
        }
        guard let token = cookieToken(request) else {
            loggedOut(reply, &writer)
            return .now
        }
        if dispatcher.audit.isOn { service.asking = AuditPeer(reply.session.peer) }
        do throws(ServiceFault) {
            let reference = SessionReference.token(Presented(try service.credential(token), token, signals(request)))
            // Whatever the token was worth: the browser asked to be logged out, and is.
            service.revoke(
                reference, at: request.arrival, later(reply) { [self] _, writer in loggedOut(reply, &writer) })
            return .later
        } catch { unavailable(error, reply, &writer) }
        return .now
    }

    private func loggedOut(_ reply: Reply, _ writer: inout HTTPResponseWriter) {
        reply.begin(.seeOther, &writer)
        writer.field("Location", settings.afterLogout)
        writer.field("Set-Cookie", settings.cookie([], maxAge: 0))
        writer.end()
    }

    /// Whether the browser says that the request comes from the site itself. One that says nothing is no browser of today.
    private func isSameOrigin(_ request: HTTPRequest) -> Bool {
        if let site = request.value(of: "sec-fetch-site") { return site.equals("same-origin") }
        guard let origin = request.value(of: "origin"),
            let host = request.value(of: "x-forwarded-host") ?? request.host
        else { return false }
        let parts = String(decoding: origin, as: UTF8.self).lowercased().split(
            separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "https:" || parts[0] == "http:", parts[1].isEmpty else { return false }
        if let scheme = request.value(of: "x-forwarded-proto") {
            guard parts[0].dropLast() == String(decoding: scheme, as: UTF8.self).lowercased() else { return false }
        }
        return parts[2] == String(decoding: host, as: UTF8.self).lowercased()
    }
}
