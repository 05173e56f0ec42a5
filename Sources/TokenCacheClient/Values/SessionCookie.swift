/// The session cookie: reads the token a browser sent, and writes the header that gives it another.
///
/// ```swift
/// let cookie = SessionCookie()
/// let token = cookie.token(inHeader: environment["HTTP_COOKIE"])
/// ```
///
/// A response with a token goes out with `Cache-Control: no-store`, and has one such header: that of the last change.
public struct SessionCookie: Sendable {
    /// For a browser on the developer's own machine, `http://localhost`, where not all browsers take a cookie that is for
    /// HTTPS. Never on a site that others use.
    public static let development = SessionCookie(name: "tc", isSecure: false)

    /// Its name. With the prefix `__Host-` browsers take it only over HTTPS and only from this very host.
    public let name: String
    /// Whether browsers send it over HTTPS only.
    public let isSecure: Bool
    /// Whether it ends with the browser even where the daemon says that it may live longer.
    public let endsWithBrowser: Bool

    /// A cookie of that name.
    ///
    /// - Parameters:
    ///   - name: What it is called. Browsers refuse a name that begins with `__Host-` or `__Secure-` without HTTPS.
    ///   - isSecure: Whether browsers send it over HTTPS only.
    ///   - endsWithBrowser: Whether it never has a `Max-Age`.
    public init(name: String = "__Host-tc", isSecure: Bool = true, endsWithBrowser: Bool = false) {
        self.name = name
        self.isSecure = isSecure
        self.endsWithBrowser = endsWithBrowser
    }

    /// The token in a `Cookie` header; `nil` if it has none, or nothing that can be one.
    public func token(inHeader header: String?) -> SessionToken? {
        guard let header else { return nil }
        for pair in header.utf8.split(separator: UInt8(ascii: ";")) {
            let pair = pair.drop { $0 == 0x20 || $0 == 0x09 }
            guard let equals = pair.firstIndex(of: UInt8(ascii: "=")), pair[..<equals].elementsEqual(name.utf8) else {
                continue
            }
            return SessionToken(bytes: Array(pair[pair.index(after: equals)...]))
        }
        return nil
    }

    /// The value of a `Set-Cookie` header for a change, `nil` if there is nothing to send.
    ///
    /// `HttpOnly`, `SameSite=Lax`, for the whole site, `Secure` unless told otherwise, with a `Max-Age` where the daemon
    /// says so. **It holds the token in the clear**: into the response, never into a log.
    public func header(_ change: TokenChange) -> String? {
        guard case .replace(let token, let maxAge) = change else { return nil }
        let age = endsWithBrowser ? nil : maxAge.map { "; Max-Age=\($0.components.seconds)" }
        return "\(name)=\(token.revealedText)\(age ?? "")\(attributes)"
    }

    /// The value of a `Set-Cookie` header that takes the cookie away: for a logout that answered `revoked`, and only then.
    public var removal: String { "\(name)=; Max-Age=0\(attributes)" }

    private var attributes: String { "; Path=/\(isSecure ? "; Secure" : ""); HttpOnly; SameSite=Lax" }
}
