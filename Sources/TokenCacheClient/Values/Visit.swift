/// What `TOKEN.VISIT` says of a page view.
///
/// Every case carries the holder that the page is for and the ``TokenChange`` that the response must carry out.
public enum Visit: Sendable {
    /// The token is that of a session, or (`token` being ``TokenChange/replace(_:)``) a new one was made for a visitor
    /// without a token.
    case session(Holder, token: TokenChange, page: Page)
    /// The visitor is a guest, or (`token` being ``TokenChange/replace(_:)``) has become one with this page.
    case guest(Holder, token: TokenChange, page: Page)
    /// The token presented is not accepted. The visitor goes on as another holder, whose token the response carries.
    case refused(Refusal, instead: Holder, token: TokenChange, page: Page)
}

/// What a page view asked for beside the holder.
public struct Page: Sendable {
    /// Whether the form that was sent is genuine; `nil` if no check was asked for.
    public let check: CSRFCheck?
    /// The token for the form in this page; `nil` if none was asked for.
    public let csrf: CSRFToken?
    /// The fields asked for that the session has; empty if none were asked for.
    public let data: SessionData
}

/// What `TOKEN.VALIDATE` says of a token.
public enum Validation: Sendable {
    /// The token of a living session.
    case session(Holder, token: TokenChange)
    /// The token of a guest.
    case guest(Holder, token: TokenChange)
    /// Not accepted.
    case refused(Refusal)
}

/// What `TOKEN.INSPECT` says of a session or token. Nothing was renewed or rotated.
public enum Inspection: Sendable, Equatable {
    /// Where the session's rotation stands.
    public enum Successor: String, Sendable {
        /// Not rotated lately.
        case none
        /// Its successor waits to be used for the first time.
        case pending
        /// Its successor has been used.
        case confirmed
    }

    /// It lives.
    case accepted(Holder, successor: Successor, dataFields: Int64)
    /// Not accepted.
    case refused(Refusal)
}
