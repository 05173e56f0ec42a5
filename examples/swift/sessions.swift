// Sessions of a worker in Swift, with the product TokenCacheClient of this package.
//
// One connection per thread. Whatever is thrown: keep the visitor's cookie, answer 503. The library has closed the
// connection by then; the next call needs a new one.
import TokenCacheClient

struct Sessions {
    let connection: TokenCacheConnection

    /// One page view: the holder's fields, and the token to hand on, or nil if it stays.
    func visit(_ token: String) throws -> (fields: ReplyFields, handOn: String?) {
        let fields = try ask("TOKEN.VISIT", token)
        if fields.isAccepted, fields["sid"]?.string != token.prefix(32).lowercased() {
            connection.close()
            throw AboutAnother()
        }
        return (fields, fields["sessiontoken"]?.string)
    }

    func ask(_ words: String...) throws -> ReplyFields {
        guard let fields = try connection.call(words.map { Array($0.utf8) }).fields else { throw AboutAnother() }
        return fields
    }

    struct AboutAnother: Error {}
}

do {
    let sessions = Sessions(
        connection: try TokenCacheConnection(socketPath: CommandLine.arguments[1], timeout: .seconds(2)))
    let (first, cookie) = try sessions.visit("")
    print("first visit:", first.status ?? "", "- set the cookie")
    let (second, successor) = try sessions.visit(cookie ?? "")
    print("second visit:", second.status ?? "", "- new cookie:", successor != nil)
    print("logout:", try sessions.ask("TOKEN.REVOKE", cookie ?? "").status ?? "")
} catch {
    print("503 Service Unavailable (\(error)); the cookie stays")
}
