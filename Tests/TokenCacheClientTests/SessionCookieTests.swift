import Testing

@testable import TokenCacheClient

@Suite("Session cookie")
struct SessionCookieTests {
    private let cookie = SessionCookie()

    @Test(
        "the token is found among other cookies",
        arguments: [
            ("__Host-tc=abc", "abc"), ("a=b; __Host-tc=abc; c=d", "abc"), ("x__Host-tc=no;__Host-tc=abc", "abc"),
            ("__Host-tc=abc; __Host-tc=def", "abc"),
        ])
    func found(header: String, expected: String) {
        #expect(cookie.token(inHeader: header)?.revealedText == expected)
    }

    @Test("no token where there is none", arguments: [nil, "", "a=b", "__Host-tc", "__Host-tc=", "__Host-tc=a b"])
    func absent(header: String?) {
        #expect(cookie.token(inHeader: header) == nil)
    }

    @Test("a change becomes a header, no change none")
    func header() {
        let token = WireReply.token(7)
        let text = "__Host-tc=\(token.revealedText)"
        #expect(cookie.header(.keep) == nil)
        #expect(
            cookie.header(.replace(token, maxAge: .seconds(86_400)))
                == "\(text); Max-Age=86400; Path=/; Secure; HttpOnly; SameSite=Lax")
        #expect(cookie.header(.replace(token, maxAge: nil)) == "\(text); Path=/; Secure; HttpOnly; SameSite=Lax")
        #expect(cookie.removal == "__Host-tc=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax")
    }

    @Test("a site may want cookies that end with the browser, and a developer one without HTTPS")
    func choices() {
        let change = TokenChange.replace(WireReply.token(7), maxAge: .seconds(60))
        #expect(SessionCookie(endsWithBrowser: true).header(change)?.contains("Max-Age") == false)
        #expect(
            SessionCookie.development.header(change)
                == "tc=\(WireReply.token(7).revealedText); Max-Age=60; Path=/; HttpOnly; SameSite=Lax")
    }
}
