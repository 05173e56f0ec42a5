/// What the response must do with the visitor's token.
///
/// **Whenever it is ``replace(_:)``, the response must carry the new token** (cookie, page, API field): it is the only
/// chance, and the old token will be retired. Within the request under way go on using the token that was received.
///
/// The cases that lead to a ``Holder`` carry a change beside it, and there is no other way to the holder: whoever binds
/// it has the change in hand, and the compiler warns if it is not used. ``SessionCookie/header(_:for:)`` turns it into
/// a header.
public enum TokenChange: Sendable {
    /// The visitor's token stays as it is.
    case keep
    /// The visitor gets this token in place of the one presented.
    case replace(Token)

    /// The new token, `nil` if the old one stays.
    public var replacement: Token? {
        if case .replace(let token) = self { token } else { nil }
    }

    init(_ token: Token?) {
        self = token.map(Self.replace) ?? .keep
    }
}

/// The session cookie: reads the token a browser sent, and writes the header that gives it another.
///
/// ```swift
/// let cookie = SessionCookie()
/// let token = cookie.token(inHeader: environment["HTTP_COOKIE"])
/// ```
public struct SessionCookie: Sendable {
    /// Its name. With the prefix `__Host-` browsers take it only over HTTPS and only from this very host.
    public let name: String

    /// A cookie of that name.
    public init(name: String = "__Host-tc") {
        self.name = name
    }

    /// The token in a `Cookie` header; `nil` if it has none, or nothing that can be one.
    public func token(inHeader header: String?) -> Token? {
        guard let header else { return nil }
        for pair in header.utf8.split(separator: UInt8(ascii: ";")) {
            let pair = pair.drop { $0 == 0x20 || $0 == 0x09 }
            guard let equals = pair.firstIndex(of: UInt8(ascii: "=")), pair[..<equals].elementsEqual(name.utf8) else {
                continue
            }
            return Token(bytes: Array(pair[pair.index(after: equals)...]))
        }
        return nil
    }

    /// The value of a `Set-Cookie` header for a change, `nil` if there is nothing to send.
    ///
    /// `Secure`, `HttpOnly`, `SameSite=Lax`, for the whole site, and for as long as the session can live at most. **It
    /// holds the token in the clear**: into the response, never into a log.
    public func header(_ change: TokenChange, for holder: Holder) -> String? {
        guard let token = change.replacement else { return nil }
        return "\(name)=\(token.revealedText); Max-Age=\(holder.absoluteIn.components.seconds); \(Self.attributes)"
    }

    /// The value of a `Set-Cookie` header that takes the cookie away: for a logout, and only then.
    public var removal: String { "\(name)=; Max-Age=0; \(Self.attributes)" }

    private static let attributes = "Path=/; Secure; HttpOnly; SameSite=Lax"
}
