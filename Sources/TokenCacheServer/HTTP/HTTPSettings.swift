internal import Tokens
internal import WireProtocol

/// `http.…` in the form in which requests need it. A reload makes a new one.
final class HTTPSettings: Sendable {
    /// Name → rule; `user` is always there.
    let rules: [[UInt8]: HTTPRule]
    /// What `/auth` asks.
    let standardRule: HTTPRule
    let cookieName: [UInt8]
    /// What stands behind the value in `Set-Cookie`, but for Max-Age.
    let cookieAttributes: String
    /// In lower case; empty where there is none.
    let clientIPHeader: [UInt8]
    /// In lower case.
    let hosts: Set<String>
    let afterLogout: String
    /// What of the client tokens are bound to.
    let bindsAddress: Bool
    let bindsAgent: Bool

    init(_ settings: Settings) {
        let http = settings.http
        var rules = Dictionary(uniqueKeysWithValues: http.rules.map { (Array($0.key.utf8), $0.value) })
        let standard = Array(HTTPRule.standardName.utf8)
        if rules[standard] == nil { rules[standard] = HTTPRule() }
        self.rules = rules
        standardRule = rules[standard] ?? HTTPRule()
        cookieName = Array(http.cookieName.utf8)
        let domain = http.cookieDomain.isEmpty ? "" : "; Domain=\(http.cookieDomain)"
        let site = ["lax": "Lax", "strict": "Strict", "none": "None"][http.cookieSameSite.rawValue] ?? "Lax"
        cookieAttributes = "; Path=\(http.cookiePath)\(domain); Secure; HttpOnly; SameSite=\(site)"
        clientIPHeader = Array(http.clientIPHeader.lowercased().utf8)
        hosts = Set(http.hosts)
        afterLogout = http.afterLogout
        bindsAddress = settings.binding.ip != .off
        bindsAgent = settings.binding.userAgent != .off
    }

    /// The value of `Set-Cookie`.
    /// - Parameter maxAge: seconds; nil leaves the cookie to the browser's life.
    func cookie(_ value: [UInt8], maxAge: Int64?) -> String {
        let age = maxAge.map { "; Max-Age=\($0)" } ?? ""
        return "\(String(decoding: cookieName, as: UTF8.self))=\(String(decoding: value, as: UTF8.self))"
            + cookieAttributes + age
    }
}
