/// What the response must do with the visitor's token.
///
/// **The cookie rule: whenever it is ``replace(_:maxAge:)``, the response carries the new token** (cookie, page, API field);
/// **whenever it is ``keep``, the cookie stays as it is**, whatever else the answer says. ``SessionCookie/header(_:)`` turns
/// it into a header, or into none.
///
/// **The token rule: for the rest of the request use the newest token you know**, ``newest(after:)``.
public enum TokenChange: Sendable {
    /// The visitor's cookie stays as it is.
    case keep
    /// The visitor gets this token in place of the one presented. `maxAge` is how long its cookie outlives the browser;
    /// `nil` if it ends with it.
    case replace(SessionToken, maxAge: Duration?)

    /// The new token, `nil` if the old one stays.
    public var replacement: SessionToken? {
        if case .replace(let token, _) = self { token } else { nil }
    }

    /// The token for the rest of the request: the new one, else the one known so far.
    public func newest(after token: SessionToken?) -> SessionToken? { replacement ?? token }
}

extension FieldCursor {
    /// The change that `sessiontoken` asks for. The new token stands for the session that the reply names.
    mutating func change(of sid: SessionID) throws(TokenCacheError) -> TokenChange {
        guard let token = try optionalToken("sessiontoken") else { return .keep }
        if let named = token.sid, named != sid { throw .protocolViolation }
        guard let seconds = try optionalNumber("max_age") else { return .replace(token, maxAge: nil) }
        return .replace(token, maxAge: .seconds(max(0, seconds)))
    }
}
